import Foundation
import PostgresConfig
import Testing

/// What the servers say of generated configuration, and what we say of it.
@Suite("Settings files, judged by servers", .serialized) struct SettingsTreeServerTests {
    /// A server, a session on it, and what its main file needs at its beginning.
    struct Bench {
        let version: MajorVersion
        let server: ScratchServer
        let session: ServerSession
        let own: [UInt8]
        var configFile: String { server.data + "/postgresql.conf" }

        init(_ judge: (version: MajorVersion, bin: String)) throws {
            version = judge.version
            server = try ScratchServer(settings: "", bin: judge.bin)
            session = try ServerSession(server)
            own = Array(FileManager.default.contents(atPath: server.data + "/postgresql.conf") ?? Data())
        }

        func stop() throws {
            try session.close()
            try server.stop()
        }

        func rows() throws -> [FileSettingsRow] { try session.rows(FileSettingsRow.query).map(FileSettingsRow.init) }
    }

    static func withBench(_ judge: Int, _ body: (Bench) throws -> Void) throws {
        let bench = try Bench(Programs.judges[judge])
        defer { #expect(throws: Never.self) { try bench.stop() } }
        try body(bench)
    }

    /// The first row in which both differ, with the file it is of.
    static func difference(_ ours: [FileSettingsRow], _ theirs: [FileSettingsRow]) -> String? {
        guard ours != theirs else { return nil }
        let index = zip(ours, theirs).enumerated().first { $1.0 != $1.1 }?.offset ?? min(ours.count, theirs.count)
        let (our, their) = (ours.dropFirst(index).first, theirs.dropFirst(index).first)
        let contents = Set([our, their].compactMap { $0?.file }).map { file in
            let path = String(decoding: file, as: UTF8.self)
            let text = FileManager.default.contents(atPath: path).map { String(reflecting: String(decoding: $0, as: UTF8.self)) } ?? "no file"
            return "\n\(path): \(text)"
        }
        return "seed \(Fuzz.seed), row \(index) of \(ours.count), \(theirs.count)\nours:   \(our.map { "\($0)" } ?? "-")\ntheirs: \(their.map { "\($0)" } ?? "-")"
            + contents.joined()
    }

    // MARK: Files, many at once

    @Test("every file reads as the server reads it", arguments: Programs.judges.indices)
    func files(judge: Int) throws {
        try Self.withBench(judge) { bench in
            var generator = SettingsGenerator(seed: Fuzz.seed &+ UInt64(judge))
            let root = bench.server.data + "/fuzz", perBatch = 300
            for index in 0..<perBatch / 10 { try Disk.makeDirectory("\(root)/d\(index)") }
            var count = 0, compared = 0
            let wanted = Fuzz.count(usual: 3000)
            while count < wanted {
                // The last line keeps the server from applying anything, which takes it longer than to read.
                var main = bench.own, snapshot = FileSnapshot()
                for index in 0..<perBatch {
                    let isInDirectory = index % 10 < 3, name = isInDirectory ? "d\(index / 10)/\(index % 10).conf" : "\(index).conf"
                    let bytes = generator.file(lines: 1...3, isValid: false)
                    try Disk.write(bytes, to: "\(root)/\(name)")
                    snapshot[.file("\(root)/\(name)")] = .file(bytes)
                    if !isInDirectory { main += generator.include(generator.random.chance(80) ? "include" : "include_if_exists", "fuzz/\(name)") + [0x0A] }
                    if index % 10 == 2 { main += generator.include("include_dir", "fuzz/d\(index / 10)") + [0x0A] }
                }
                main += Array("include 'fuzz/none'".utf8)
                try Disk.write(main, to: bench.configFile)
                let (tree, _) = Disk.snapshot(for: bench.configFile, data: bench.server.data, version: bench.version, known: snapshot)
                let theirs = try bench.rows()
                if let difference = Self.difference(tree.rows.map(FileSettingsRow.init), theirs) {
                    Issue.record("\(bench.version): \(difference)")
                    return
                }
                for file in tree.files { #expect(SettingsFile(file.value.render()) == file.value) }
                (count, compared) = (count + perBatch, compared + theirs.count)
            }
            #expect(compared > wanted / 2)
            print("settings files judged by \(bench.version): \(count) files, \(compared) rows, seed \(Fuzz.seed)")
        }
    }
}
