import Foundation
import PostgresConfig
import Testing

/// Runs the real programs that the parsers are compared with.
enum Programs {
    static let postgresBin = ProcessInfo.processInfo.environment["PGGRAFT_PG_BINDIR"] ?? "/usr/lib/postgresql/15/bin"

    /// The directories of programs of each major version that the parsers are compared with; fixtures/postgres-programs brings the later ones.
    static let judges: [(version: MajorVersion, bin: String)] = [
        (.postgres(15), postgresBin), (.postgres(16), "/usr/local/lib/pggraft/postgresql/16/bin"),
        (.postgres(18), "/usr/local/lib/pggraft/postgresql/18/bin"),
    ]

    struct Failed: Error, CustomStringConvertible { let description: String }

    static func start(_ words: [String], asPostgres: Bool = true, output: Pipe? = nil, isQuiet: Bool = false) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = (asPostgres && getuid() == 0 ? ["runuser", "-u", "postgres", "--"] : []) + words
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.standardInput = FileHandle.nullDevice
        if let output { process.standardOutput = output } else { process.standardOutput = FileHandle.nullDevice }
        if isQuiet { process.standardError = FileHandle.nullDevice }
        try process.run()
        return process
    }

    /// What `words` wrote to standard output. PostgreSQL's programs refuse to run as root, so `asPostgres` steps down.
    @discardableResult
    static func run(_ words: [String], asPostgres: Bool = false, accepting codes: Set<Int32> = [0], isQuiet: Bool = false) throws -> String {
        let output = Pipe()
        let process = try start(words, asPostgres: asPostgres, output: output, isQuiet: isQuiet)
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard codes.contains(process.terminationStatus) else {
            throw Failed(description: "\(words) ended with \(process.terminationStatus): \(String(decoding: data, as: UTF8.self))")
        }
        return String(decoding: data, as: UTF8.self)
    }
}

extension Programs {
    /// Writes a file that the server can read, and a server that runs as another user can remove.
    static func put(_ content: [UInt8], at path: String) throws {
        try Data(content).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
    }
}

/// A PostgreSQL server of its own, in a temporary directory, reached over a socket there.
///
/// It runs in the foreground: `Process` waits for every descendant that holds its descriptors, a daemon among them.
final class ScratchServer {
    let directory: String
    let bin: String
    private let server: Process
    var data: String { directory + "/data" }

    /// - Parameter prepare: is given the data directory before the server starts.
    init(settings: String, bin: String = Programs.postgresBin, prepare: (_ data: String) throws -> Void = { _ in }) throws {
        self.bin = bin
        directory = try Programs.run(["mktemp", "-d", "/tmp/pggraft-config.XXXXXX"], asPostgres: true).trimmingCharacters(in: .whitespacesAndNewlines)
        do {
            server = try ScratchServer.start(in: directory, settings: settings, bin: bin, prepare: prepare)
        } catch {
            try FileManager.default.removeItem(atPath: directory)
            throw error
        }
    }

    private static func start(in directory: String, settings: String, bin: String, prepare: (_ data: String) throws -> Void) throws -> Process {
        let data = directory + "/data"
        try Programs.run(["\(bin)/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"], asPostgres: true)
        let own = "listen_addresses = ''\nunix_socket_directories = '\(directory)'\nfsync = off\nlogging_collector = on\n"
        try Programs.put(Array((own + settings).utf8), at: data + "/postgresql.conf")
        try prepare(data)
        let server = try Programs.start(["\(bin)/postgres", "-D", data])
        let limit = ContinuousClock.now + .seconds(120)
        while true {
            let answer = try Programs.run(["\(bin)/pg_isready", "-h", directory], accepting: [0, 1, 2])
            if answer.contains("accepting connections") { return server }
            guard server.isRunning, ContinuousClock.now < limit else {
                if server.isRunning { server.terminate() }
                server.waitUntilExit()
                throw Programs.Failed(description: "the server did not start: \(answer)")
            }
        }
    }

    func write(_ text: String, to name: String) throws { try Programs.put(Array(text.utf8), at: "\(data)/\(name)") }

    /// The one value that `query` answers with, decoded from JSON.
    func json<Value: Decodable>(_ query: String, as type: Value.Type = Value.self) throws -> Value {
        let text = try Programs.run(
            ["\(bin)/psql", "-XAtqh", directory, "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", query],
            asPostgres: true)
        return try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    func stop() throws {
        try Programs.run(["\(bin)/pg_ctl", "stop", "-w", "-m", "immediate", "-D", data], asPostgres: true)
        server.waitUntilExit()
        try FileManager.default.removeItem(atPath: directory)
    }
}

/// A `psql` that stays, for thousands of queries; what it answers are bytes, whatever the encoding.
final class ServerSession {
    private let process = Process()
    private let (input, output) = (Pipe(), Pipe())
    private var pending: [UInt8] = []

    init(_ server: ScratchServer, isQuiet: Bool = false) throws {
        // A broken pipe is an error of the write, not the end of the tests.
        signal(SIGPIPE, SIG_IGN)
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            (getuid() == 0 ? ["runuser", "-u", "postgres", "--"] : [])
            + ["\(server.bin)/psql", "-XAtqF,", "-h", server.directory, "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1"]
        process.environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "PGCLIENTENCODING": "SQL_ASCII"]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        (process.standardInput, process.standardOutput) = (input, output)
        if isQuiet { process.standardError = FileHandle.nullDevice }
        try process.run()
    }

    /// The error code of each of `statements`; `00000` where there is none.
    func codes(_ statements: [String]) throws -> [String] {
        let script = statements.map { "\($0);\n\\echo :SQLSTATE\n" }.joined()
        return try rows("\\set ON_ERROR_STOP 0\n\(script)\\set ON_ERROR_STOP 1\nSELECT 1 WHERE false").map { String(decoding: $0, as: UTF8.self) }
    }

    /// The rows of one query, each the text between line ends; fields are parted by commas.
    func rows(_ query: String) throws -> [ArraySlice<UInt8>] {
        let end = "end of rows"
        try input.fileHandleForWriting.write(contentsOf: Data("\(query);\nSELECT '\(end)';\n".utf8))
        let mark = Array("\(end)\n".utf8)
        while pending.suffix(mark.count) != mark[...] {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw Programs.Failed(description: "psql ended in \(query)") }
            pending += data
        }
        defer { pending = [] }
        return pending.dropLast(mark.count).split(separator: 0x0A)
    }

    func close() throws {
        try input.fileHandleForWriting.close()
        process.waitUntilExit()
    }
}
