import PostgresConfig
import Testing

@Suite("A preload list") struct LibraryListTests {
    @Test(
        "is read as the server reads it",
        arguments: [
            ("", []),
            ("  ", []),
            ("spock", ["spock"]),
            ("pg_stat_statements,spock , \"auto explain\"", ["pg_stat_statements", "spock", "auto explain"]),
            ("\"a\"\"b\",$libdir/c", ["a\"b", "$libdir/c"]),
            ("a b", ["a b"]),
            ("\"a,b\"", ["a,b"]),
            ("\"\"", [""]),
        ] as [(String, [String])])
    func read(value: String, names: [String]) {
        #expect(LibraryList(value)?.names == names)
    }

    @Test("is refused where the server refuses it", arguments: ["a,", ",a", "a,,b", "\"a", "\"a\"b"])
    func refuse(value: String) {
        #expect(LibraryList(value) == nil)
    }

    @Test(
        "loses a library and gets it back at its old place",
        arguments: [
            ("spock", "", "spock"),
            ("a,spock,b", "a, b", "a, spock, b"),
            ("spock, a", "a", "spock, a"),
            ("a, $libdir/spock", "a", "a, $libdir/spock"),
            ("a, \"/opt/my lib/spock.so\", b", "a, b", "a, \"/opt/my lib/spock.so\", b"),
            ("spock_extra, spock", "spock_extra", "spock_extra, spock"),
        ])
    func removeAndRestore(value: String, without: String, again: String) throws {
        let list = try #require(LibraryList(value))
        let removed = list.removing("spock")
        #expect(removed.description == without)
        #expect(!removed.contains("spock"))
        #expect(removed.restoring("spock", from: list).description == again)
    }

    @Test(
        "keeps what came meanwhile",
        arguments: [
            ("a, spock, b", "a, c, b", "a, spock, c, b"),
            ("a, spock, b", "c, b", "c, spock, b"),
            ("a, spock", "c", "c, spock"),
            ("a, spock", "spock, a", "spock, a"),
            ("a", "a", "a"),
        ])
    func restoreIntoChanged(original: String, current: String, expected: String) throws {
        let (original, current) = (try #require(LibraryList(original)), try #require(LibraryList(current)))
        #expect(current.restoring("spock", from: original).description == expected)
    }

    @Test("that is empty is written as '', which the server can start with")
    func empty() throws {
        var file = SettingsFile("shared_preload_libraries = 'spock'\n")
        let list = try #require(LibraryList(file.value(of: "shared_preload_libraries") ?? ""))
        file.set("shared_preload_libraries", to: list.removing("spock").description)
        #expect(file.text == "shared_preload_libraries = ''\n")
    }
}
