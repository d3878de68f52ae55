import Foundation
import PostgresConfig

/// One `psql` that answers one query after the other, for tests that ask thousands of times.
final class PSQLSession {
    private let process: Process
    private let input = Pipe()
    private let output = Pipe()
    private var buffer = Data()

    /// - Parameter directory: where the server's socket is.
    init(_ directory: String, bin: String) throws {
        process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = (getuid() == 0 ? ["runuser", "-u", "postgres", "--"] : [])
            + ["\(bin)/psql", "-XAtqh", directory, "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// The one line that `query` answers with.
    func line(_ query: String) throws -> Data {
        try input.fileHandleForWriting.write(contentsOf: Data((query.split(separator: "\n").joined(separator: " ") + ";\n").utf8))
        while true {
            if let end = buffer.firstIndex(of: 0x0A) {
                let line = buffer[..<end]
                buffer = Data(buffer[(end + 1)...])
                return Data(line)
            }
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Programs.Failed(description: "psql ended on: \(query)") }
            buffer += more
        }
    }

    /// The value that `query` answers with, decoded from JSON. What is no UTF-8 is repaired as the parsers repair it.
    func json<Value: Decodable>(_ query: String, as type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: Data(String(decoding: try line(query), as: UTF8.self).utf8))
    }

    func close() throws {
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
