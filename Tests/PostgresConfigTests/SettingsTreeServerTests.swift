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

        init(_ judge: (version: MajorVersion, bin: String), isQuiet: Bool) throws {
            version = judge.version
            server = try ScratchServer(settings: "", bin: judge.bin)
            session = try ServerSession(server, isQuiet: isQuiet)
            own = Array(FileManager.default.contents(atPath: server.data + "/postgresql.conf") ?? Data())
        }

        func stop() throws {
            try session.close()
            try server.stop()
        }

        func rows() throws -> [FileSettingsRow] { try session.rows(FileSettingsRow.query).map(FileSettingsRow.init) }
    }

    static func withBench(_ judge: Int, isQuiet: Bool = false, _ body: (Bench) throws -> Void) throws {
        let bench = try Bench(Programs.judges[judge], isQuiet: isQuiet)
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

    // MARK: Files that were written to be read wrongly

    static let known =
        [
            "x.a = 1\nx.b=2\nx.c 3\nx.d\t=\t'four' # comment\n#x.e = 5\n  X.F = 'it''s' #\n",
            "x.a = 'a\\nb\\tc\\\\d\\'e\\101\\7z\\q'\n",
            "x.a = on\nx.a = off\nX.A = maybe\n",
            "x.a = foo-bar_1.2:3/4\nx.b = -12kB\nx.c = 0x1FkB\nx.d = 1.5e-3\nx.e = .5\nx.f = 5.\nx.g = +7\n",
            "x.a = '' # empty\nx.b = ''''\nx.c = '#no'# yes\nx.d = 'tab\tin'\nx.f = 1",
            "x.a = 1\r\nx.b = 'c'\r\n\r\n# c\r\nx.d = e\r\n",
            "\n\n   \n\t# c\nx.a = 1",
            "größe.ä = ü\nx.ü = 'ß'\n",
        ] + [
            // One syntax error only is reported: one line, one file.
            "x.a = 1e5", "x.b = a.b", "x.c = 1.2.3", "x.d = -", "x.e = 1,2", "x.f = $x", "x.g = \"a\"", "x.h = 0x", "x.i = 1.5GB",
            "x.a =", "x.b", "= 5", "'x.c' = 1", "x.d = = 1", "x.e = 'open", "x.f = 1 2", "x.g.h = 1", "1x = 2", "x-y = 3", "x = \u{0C}1",
            "x.a='b'#'c'", "x.b = 'c'd", "x.c = 'c''d'", "x.e = f'g'", "x._1$ = 2", "x.g = .", "x.h = +.5e+1", "x.i = 1.e", "x.j = 1.5e5", "x.k = 0x1Gx",
            "x.l = -0xff", "x.m = a.b.c", "x.n = a.", "x.o = a.1", "x.p = a:b", "x.q = /tmp", "x.r = 00x1", "x.s = 'a\\'", "x. = 1", "x.t ='\\", "x.u = 'a' \\",
        ]

    @Test("known traps read as the server reads them", arguments: Programs.judges.indices)
    func known(judge: Int) throws {
        try Self.withBench(judge) { bench in
            var main = bench.own
            for (index, text) in Self.known.enumerated() {
                try Disk.write(Array(text.utf8), to: "\(bench.server.data)/known\(index).conf")
                main += Array("include known\(index).conf\n".utf8)
            }
            try Disk.write(main, to: bench.configFile)
            let (tree, _) = Disk.snapshot(for: bench.configFile, data: bench.server.data, version: bench.version)
            #expect(Self.difference(tree.rows.map(FileSettingsRow.init), try bench.rows()) == nil)
        }
    }

    @Test("an old name is the setting's where the server takes it for that", arguments: Programs.judges.indices)
    func oldNames(judge: Int) throws {
        try Self.withBench(judge) { bench in
            for (old, name, value, shown) in [
                ("sort_mem", "work_mem", "2MB", "2048"), ("Vacuum_Mem", "maintenance_work_mem", "3MB", "3072"),
                ("ssl_ecdh_curve", "ssl_groups", "x", "x"), ("force_parallel_mode", "debug_parallel_query", "on", "on"),
            ] {
                try Disk.write(bench.own + Array("\(old) = \(value)\n".utf8), to: bench.configFile)
                let (tree, _) = Disk.snapshot(for: bench.configFile, data: bench.server.data, version: bench.version)
                let theirs = try Programs.run(
                    ["\(bench.server.bin)/postgres", "-C", name, "-D", bench.server.data], asPostgres: true, accepting: [0, 1], isQuiet: true)
                #expect((tree.deciding(name) != nil) == (theirs == shown + "\n"), "\(old) in \(bench.version): \(theirs)")
            }
            try Disk.write(bench.own, to: bench.configFile)
        }
    }

    // MARK: Files, many at once

    @Test("every file reads as the server reads it", arguments: Programs.judges.indices)
    func files(judge: Int) throws {
        try Self.withBench(judge) { bench in
            var generator = SettingsGenerator(seed: Fuzz.seed &+ UInt64(judge))
            let root = bench.server.data + "/fuzz", perBatch = 300
            for index in 0..<perBatch / 10 { try Disk.makeDirectory("\(root)/d\(index)") }
            var count = 0, compared = 0
            let wanted = Fuzz.count(usual: 1000)
            while count < wanted {
                // The last line keeps the server from applying anything, which takes it longer than to read.
                var main = bench.own, snapshot = FileSnapshot()
                for index in 0..<perBatch {
                    let isInDirectory = index % 10 < 3, name = isInDirectory ? "d\(index / 10)/\(index % 10).conf" : "\(index).conf"
                    let bytes = generator.random.chance(50) ? generator.file(lines: 1...3, isValid: false) : generator.file(lines: 2...6, isValid: true)
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

    // MARK: Whole trees

    /// Values that can be anything, so that any text can be written.
    static let free = ["x.a", "X.B", "y.b", "new.one", "größe.ä", "log_line_prefix", "archive_command"]

    @Test("a whole tree reads as the server reads it, and an edit does what it says", arguments: Programs.judges.indices)
    func trees(judge: Int) throws {
        try Self.withBench(judge) { bench in
            var generator = SettingsGenerator(seed: Fuzz.seed &+ 1000 &+ UInt64(judge))
            var count = 0, compared = 0, clean = 0, edits = 0
            let wanted = Fuzz.count(usual: 250, part: 10), data = bench.server.data
            var written: [String: [UInt8]] = [:]
            for directory in ["sub", "conf.d", "conf.d/dir.conf", "empty"] { try Disk.makeDirectory("\(data)/\(directory)") }
            while count < wanted {
                let before = written
                written = generator.tree(own: bench.own, root: data)
                for path in before.keys where written[path] == nil { unlink("\(data)/\(path)") }
                for (path, bytes) in written where before[path] != bytes { try Disk.write(bytes, to: "\(data)/\(path)") }
                unlink("\(data)/conf.d/link.conf")
                if generator.random.chance(3) { symlink("nowhere", "\(data)/conf.d/link.conf") }

                // The first look makes the server know the names it has not met; only of those it knows it tells which are overridden.
                _ = try bench.rows()
                func compare() throws -> SettingsTree? {
                    let (tree, _) = Disk.snapshot(for: bench.configFile, data: data, version: bench.version)
                    let theirs = try bench.rows()
                    compared += theirs.count
                    guard let difference = Self.difference(tree.rows.map(FileSettingsRow.init), theirs) else { return tree }
                    let main = FileManager.default.contents(atPath: bench.configFile).map { String(reflecting: String(decoding: $0, as: UTF8.self)) } ?? "-"
                    Issue.record("\(bench.version), tree \(count): \(difference)\n\(main)")
                    return nil
                }
                guard let tree = try compare() else { return }
                (count, clean) = (count + tree.files.count, clean + (tree.errors.isEmpty ? 1 : 0))

                let isMemory = generator.random.chance(15)
                let name = isMemory ? generator.random.one(of: ["work_mem", "sort_mem"]) : generator.random.one(of: Self.free)
                let value = isMemory ? generator.random.one(of: ["8MB", "16 MB"]) : generator.text()
                let isRemoved = generator.random.chance(30)
                let changes = isRemoved ? tree.removing(name) : [try tree.setting(name, to: value)]
                for change in changes {
                    try Disk.write(change.after.render(), to: change.path)
                    // Written again for the next tree, or taken away.
                    if let path = written.keys.first(where: { change.path.hasSuffix("/\($0)") }) { written[path] = change.after.render() }
                }
                if !isRemoved, let problem = Self.oneLine(changes[0], wasThere: tree.deciding(name) != nil) {
                    Issue.record("\(bench.version), seed \(Fuzz.seed), tree \(count): \(problem)")
                    return
                }
                // A name that is new to the server needs its first look, too.
                _ = try bench.rows()
                guard let edited = try compare() else { return }
                #expect(edited.deciding(name)?.value == (isRemoved ? nil : value), "\(bench.version), seed \(Fuzz.seed), tree \(count), \(name)")
                #expect(edited.errors.count == tree.errors.count)
                edits += 1
            }
            #expect(clean > 0)
            print("settings trees judged by \(bench.version): \(count) files, \(compared) rows, \(edits) edits, \(clean) trees without an error, seed \(Fuzz.seed)")
        }
    }

    /// Why an edit is not one of one line; `nil` where it is.
    static func oneLine(_ change: SettingsTree.Edit, wasThere: Bool) -> String? {
        func lines(_ file: SettingsFile) -> [ArraySlice<UInt8>] {
            let bytes = file.render()
            if bytes.isEmpty { return [] }
            return (bytes.last == 0x0A ? bytes.dropLast() : bytes[...]).split(separator: 0x0A, omittingEmptySubsequences: false)
        }
        let (before, after) = (lines(change.before), lines(change.after))
        let difference = after.difference(from: before)
        let allowed = wasThere ? (0...1, 0...1) : (1...2, 0...1)
        guard allowed.0.contains(difference.insertions.count), allowed.1.contains(difference.removals.count) else {
            return "\(difference.insertions.count) lines for \(difference.removals.count) in \(change.path)"
        }
        return after.count == before.count + (wasThere ? 0 : 1) ? nil : "\(after.count) lines of \(before.count)"
    }
}
