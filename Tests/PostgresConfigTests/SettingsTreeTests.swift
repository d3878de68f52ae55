import PostgresConfig
import Report
import Testing

@Suite("A tree of settings files") struct SettingsTreeTests {
    static let files = [
        "/etc/pg/postgresql.conf": "port = 1\ninclude_dir 'conf.d'\n#work_mem = 4MB\ninclude_if_exists 'none.conf'\nx.a = main\n",
        "/etc/pg/conf.d/b.conf": "port = 2 # here\n", "/etc/pg/conf.d/a.conf": "PORT = 3\nsort_mem = 1MB\n", "/data/postgresql.auto.conf": "x.a = 'auto'\ndata_directory = '/no'\n",
    ]

    static func tree(_ files: [String: String] = files, version: Int = 15) -> SettingsTree {
        var snapshot = FileSnapshot(files: files.mapValues { Array($0.utf8) })
        while true {
            let tree = SettingsTree(configFile: "/etc/pg/postgresql.conf", dataDirectory: "/data", snapshot: snapshot, version: .postgres(version))
            if tree.missing.isEmpty { return tree }
            for request in tree.missing {
                let inside = files.keys.filter { $0.hasPrefix(request.path + "/") }
                let names = Dictionary(uniqueKeysWithValues: inside.map { (String($0.dropFirst(request.path.count + 1)), FileSnapshot.Kind.file) })
                snapshot[request] = if case .directory = request, !inside.isEmpty { .directory(names) } else { FileSnapshot.absent }
            }
        }
    }

    @Test("says what has to be read")
    func missing() {
        let tree = SettingsTree(configFile: "/a/postgresql.conf", dataDirectory: "/d/../data", snapshot: FileSnapshot(), version: .postgres(15))
        #expect(tree.missing == [.file("/a/postgresql.conf"), .file("/data/postgresql.auto.conf")])
        #expect(tree.errors.isEmpty)
        #expect(throws: SettingsTree.Unwritable.noFile("/a/postgresql.conf")) { try tree.setting("port", to: "1") }
    }

    @Test("is read in the server's order, and the last line decides")
    func order() {
        let tree = Self.tree()
        #expect(
            tree.entries.map(\.description) == [
                "/etc/pg/postgresql.conf:1: port = 1", "/etc/pg/conf.d/a.conf:1: PORT = 3", "/etc/pg/conf.d/a.conf:2: sort_mem = 1MB",
                "/etc/pg/conf.d/b.conf:1: port = 2", "/etc/pg/postgresql.conf:5: x.a = main", "/data/postgresql.auto.conf:1: x.a = auto",
                "/data/postgresql.auto.conf:2: data_directory = /no",
            ])
        #expect(tree.deciding("Port")?.description == "/etc/pg/conf.d/b.conf:1: port = 2")
        #expect(tree.overridden("port").map(\.value) == ["1", "3"])
        #expect(tree.deciding("work_mem")?.name == "sort_mem")
        #expect(tree.deciding("data_directory") == nil)
        #expect(tree.entries.map(\.isApplied) == [false, true, true, true, false, true, true])
    }

    @Test("is edited where the line stands that decides")
    func edit() throws {
        let tree = Self.tree()
        let port = try tree.setting("port", to: "9")
        #expect(port.path == "/etc/pg/conf.d/b.conf")
        #expect(port.after.text == "port = 9 # here\n")
        #expect(try tree.setting("x.A", to: "it's").after.text == "x.a = 'it''s'\ndata_directory = '/no'\n")
        #expect(try tree.setting("work_mem", to: "2MB").after.text == "PORT = 3\nsort_mem = 2MB\n")
        #expect(try tree.setting("fsync", to: "on").after.text.hasSuffix("x.a = main\nfsync = 'on'\n"))
        #expect(try tree.setting("data_directory", to: "/x").path == "/etc/pg/postgresql.conf")
        #expect(
            tree.removing("port").map(\.after.text) == [
                "include_dir 'conf.d'\n#work_mem = 4MB\ninclude_if_exists 'none.conf'\nx.a = main\n", "sort_mem = 1MB\n", "",
            ])
        #expect(tree.removing("maintenance_work_mem").isEmpty)
    }

    @Test("does not write what no file can say", arguments: ["", "a b", "x.", "1a", "include", "Config_File", "a.b.c", "x=1\ny"])
    func unwritable(name: String) {
        #expect(throws: SettingsTree.Unwritable.name(name)) { try Self.tree().setting(name, to: "1") }
    }

    @Test("does not write a zero byte")
    func zeroByte() {
        #expect(throws: SettingsTree.Unwritable.zeroByte(name: "x.a")) { try Self.tree().setting("x.a", to: "a\0b") }
    }

    @Test(
        "says what is wrong, and where",
        arguments: [
            (
                "x.a = 1 2\nb\ninclude 'none'\ninclude ''\n",
                ["1: syntax error", "2: syntax error", "3: could not open file \"/etc/pg/none\"", "4: empty configuration file name"]
            ),
            ("include_dir 'none'", ["1: could not open directory \"/etc/pg/none\""]), ("include 'postgresql.conf'", ["1: configuration file recursion"]),
            // The second line ends with the file, and the server counts it as the first.
            ("include_dir ' '\nport =", ["1: empty configuration directory name", "1: syntax error"]),
        ])
    func errors(text: String, expected: [String]) {
        let tree = Self.tree(["/etc/pg/postgresql.conf": text])
        #expect(tree.errors.map(\.description) == expected.map { "/etc/pg/postgresql.conf:" + $0 })
        #expect(tree.entries.allSatisfy { !$0.isApplied })
        #expect(tree.rows.count <= tree.errors.count + tree.entries.count)
    }

    @Test("ends where files include each other")
    func loop() {
        let tree = Self.tree(["/etc/pg/postgresql.conf": "include 'a'\n", "/etc/pg/a": "include 'b'\n", "/etc/pg/b": "x.a = 1\ninclude 'a'\n"])
        #expect(tree.errors.map(\.description) == ["/etc/pg/b:2: nesting depth exceeded"])
        #expect(tree.entries.count == 5)
    }

    @Test("of 9.3 has no postgresql.auto.conf")
    func older() throws {
        let version = try #require(MajorVersion("9.3"))
        let tree = SettingsTree(configFile: "/c", dataDirectory: "/data", snapshot: FileSnapshot(), version: version)
        #expect(tree.missing == [.file("/c")])
    }
}
