import PostgresConfig
import Report
import Testing

@Suite("A settings file") struct SettingsFileTests {
    static let debian = """
        # -----------------------------
        data_directory = '/var/lib/postgresql/15/main'\t\t# use data in another directory
        port = 5432\t\t\t\t# (change requires restart)
        #shared_preload_libraries = ''\t# (change requires restart)
        include_dir = 'conf.d'

        """

    @Test(
        "keeps every byte that is not changed",
        arguments: [
            debian, "", "\n", "port=1", "port = 1\r\n\r\n# x\r\n", "broken line here\n  port 7 # seven", "log_line_prefix = '%m [%p] ''x'\\n'\n\n\n",
        ])
    func roundTrip(text: String) {
        #expect(SettingsFile(text).text == text)
    }

    @Test("keeps bytes that are not UTF-8")
    func latin1() {
        let bytes: [UInt8] = Array("# caf".utf8) + [0xE9, 0x0A] + Array("port = 1\n".utf8)
        var file = SettingsFile(bytes)
        file.set("port", to: "2")
        #expect(file.render() == Array("# caf".utf8) + [0xE9, 0x0A] + Array("port = 2\n".utf8))
    }

    @Test(
        "replaces a value in place, and its comment stays",
        arguments: [
            ("port = 5432   # why\n", "port", "5433", "port = 5433   # why\n"),
            ("Port 5432\n", "port", "5433", "Port 5433\n"),
            ("port='5432'# x\n", "PORT", "5433", "port='5433'# x\n"),
            ("wal_level = replica\n", "wal_level", "logical", "wal_level = logical\n"),
            ("wal_level = replica\n", "wal_level", "", "wal_level = ''\n"),
            ("shared_preload_libraries = 'a, b'\n", "shared_preload_libraries", "", "shared_preload_libraries = ''\n"),
            ("shared_preload_libraries = spock\n", "shared_preload_libraries", "a, b", "shared_preload_libraries = 'a, b'\n"),
            ("a.b = 1\na.b = 2 # last\n", "a.b", "3", "a.b = 1\na.b = 3 # last\n"),
            ("search_path = x\n", "search_path", "x.y", "search_path = 'x.y'\n"),
            ("x.y = 'a'\r\n", "x.y", "b\r\n\u{1}\u{7F}\tc", "x.y = 'b\\r\\n\\001\\177\\tc'\r\n"),
            ("x.y+5\n", "x.y", "6", "x.y'6'\n"),
            ("x.y = 'same' # as before\n", "x.y", "same", "x.y = 'same' # as before\n"),
            ("x.y = 'it''s'\n", "x.y", "C:\\it's\nthere", "x.y = 'C:\\\\it''s\\nthere'\n"),
        ])
    func replace(text: String, name: String, value: String, expected: String) {
        var file = SettingsFile(text)
        file.set(name, to: value)
        #expect(file.text == expected)
        #expect(file.value(of: name) == value)
    }

    @Test(
        "appends a setting it does not have",
        arguments: [
            ("", "port = '1'\n"),
            ("#port = 5\n", "port = '1'\n#port = 5\n"),
            (
                "a = 1\n# port = 7 to ask for\n# port = 6\n#PORT = 5\t# (change requires restart)\nb = 1\n",
                "a = 1\n# port = 7 to ask for\n# port = 6\nport = '1'\n#PORT = 5\t# (change requires restart)\nb = 1\n"
            ),
            ("# port = 6\nb = 1", "port = '1'\n# port = 6\nb = 1"),
            ("#ports = 5\n#port 5\n", "#ports = 5\n#port 5\nport = '1'\n"),
            ("a = 1\r\nb = 2\r\n", "a = 1\r\nb = 2\r\nport = '1'\r\n"),
            ("a = 1\r\n#port = 2\r\n", "a = 1\r\nport = '1'\r\n#port = 2\r\n"),
            ("a = 1\r\nb = 2", "a = 1\r\nb = 2\r\nport = '1'\r\n"),
            ("wal_level = logical", "wal_level = logical\nport = '1'\n"),
        ])
    func append(text: String, expected: String) {
        var file = SettingsFile(text)
        file.set("port", to: "1")
        #expect(file.text == expected)
    }

    @Test("removes every line of a setting and no other")
    func remove() {
        var file = SettingsFile("port = 1\n# port = 2\nPORT 3 # x\nports = 4\n")
        file.remove("port")
        #expect(file.text == "# port = 2\nports = 4\n")
        #expect(file.value(of: "port") == nil)
    }

    @Test("knows the files it includes")
    func includes() {
        let file = SettingsFile("include 'a.conf'\nInclude_Dir = 'conf.d'\n#include 'no'\ninclude_if_exists='/etc/x y.conf' # z\n")
        #expect(file.includes.map(\.kind) == [.file, .directory, .fileIfExists])
        #expect(file.includes.map(\.path) == ["a.conf", "conf.d", "/etc/x y.conf"])
        #expect(file.includes.map(\.line) == [1, 2, 4])
        #expect(file.settings.isEmpty)
    }

    @Test("makes a comment of a line and says why")
    func commentOut() {
        var file = SettingsFile("a = 1\ninclude '/etc/pg/common.conf'\nb = 2")
        file.commentOut(line: 2, because: "not on this host")
        file.commentOut(line: 3, because: "neither")
        #expect(file.text == "a = 1\n#include '/etc/pg/common.conf'  # not on this host\n#b = 2  # neither\n")
        var dos = SettingsFile("a = 1\r\nb = 2\r\n")
        dos.commentOut(line: 1, because: "so")
        #expect(dos.text == "#a = 1  # so\r\nb = 2\r\n")
    }

    @Test("names the lines that the server refuses")
    func syntaxErrors() {
        let file = SettingsFile("a = 1\nsynchronous_standby_names =\nb = 'open\nc = 2\r\nd = 1 2\r\n")
        #expect(
            file.syntaxErrors.map(\.description) == [
                "syntax error in line 2: synchronous_standby_names =", "syntax error in line 3: b = 'open", "syntax error in line 5: d = 1 2",
            ])
    }
}
