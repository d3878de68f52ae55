import PostgresConfig
import Testing

@Suite("A list in a setting") struct SettingListTests {
    @Test(
        "is read as the server reads it",
        arguments: [
            ("\"$user\", Public", .identifiers, ["$user", "public"]), ("a b", .identifiers, nil), ("a b", .paths, ["a b"]), ("", .words, []),
            ("A,::1 , \"*\"", .words, ["A", "::1", "*"]), ("a,", .identifiers, nil), (",", .words, nil), ("\"a", .identifiers, nil),
            ("\"A\"\"b\"", .identifiers, ["A\"b"]), ("\"\"", .identifiers, [""]), ("\"a\"b", .words, nil),
            (String(repeating: "X", count: 70), .identifiers, [String(repeating: "x", count: 63)]),
            (String(repeating: "x", count: 62) + "ü", .identifiers, [String(repeating: "x", count: 62)]),
        ] as [(String, SettingList.Syntax, [String]?)])
    func read(value: String, syntax: SettingList.Syntax, names: [String]?) {
        #expect(SettingList(value, syntax: syntax)?.names == names)
    }

    @Test(
        "gets a name, quoted where it must be",
        arguments: [
            ("a", .identifiers, "b", "a, b"), ("", .identifiers, "Sales", "\"Sales\""), ("Public", .identifiers, "public", "Public"),
            ("/a", .paths, "/b c", "/a, \"/b c\""), ("x", .words, "a\"b", "x, \"a\"\"b\""), ("", .paths, "", "\"\""),
        ] as [(String, SettingList.Syntax, String, String)])
    func add(value: String, syntax: SettingList.Syntax, name: String, expected: String) throws {
        let list = try #require(SettingList(value, syntax: syntax)).adding(name)
        #expect(list.description == expected)
        #expect(list.contains(name))
        #expect(SettingList(list.description, syntax: syntax)?.names == list.names)
        #expect(!list.removing(name).contains(name))
    }

    @Test(
        "is known by the setting's name",
        arguments: [
            ("search_path", .list(.identifiers)), ("DateStyle", .list(.identifiers)), ("Shared_Preload_Libraries", .list(.paths)),
            ("listen_addresses", .list(.words)), ("synchronous_standby_names", .standbyNames), ("work_mem", nil), ("log_connections", nil),
        ] as [(String, ListSetting?)])
    func kind(name: String, expected: ListSetting?) { #expect(ListSetting.of(name, in: .postgres(15)) == expected) }
}

@Suite("The names of synchronous standbys") struct StandbyNamesTests {
    @Test(
        "are read as the version reads them",
        arguments: [
            ("", "15", .list, []), ("*", "15", .list, ["*"]), ("n2, \"N 3\",4", "15", .list, ["n2", "N 3", "4"]), ("ANY 2 (a, b,c)", "15", .any(2), ["a", "b", "c"]),
            ("first 1(a)", "18", .first(1), ["a"]), ("2 (a, b)", "9.6", .number(2), ["a", "b"]), ("any, first", "9.6", .list, ["any", "first"]),
            ("A, b", "9.5", .list, ["a", "b"]),
        ] as [(String, String, StandbyNames.Method, [String])])
    func read(value: String, version: String, method: StandbyNames.Method, names: [String]) throws {
        let version = try #require(MajorVersion(version)), parsed = try #require(StandbyNames(value, version: version))
        #expect(parsed.method == method)
        #expect(parsed.names == names)
        #expect(StandbyNames(parsed.description, version: version) == parsed)
    }

    @Test(
        "are refused where the version refuses them",
        arguments: [
            (" ", "15"), ("ANY 2 (a, b)", "9.6"), ("2 (a, b)", "9.5"), ("0 (a)", "15"), ("any", "15"), ("a b", "15"), ("2 ()", "15"), ("2 (a", "15"), ("a-b", "15"), ("a,", "15"),
        ])
    func refused(value: String, version: String) throws {
        #expect(StandbyNames(value, version: try #require(MajorVersion(version))) == nil)
    }

    @Test(
        "lose and get one, and the method stays",
        arguments: [
            ("ANY 2 (n2, n3, n4)", "N3", "ANY 2 (n2, n4)", true), ("FIRST 2 (n2, n3)", "n3", "FIRST 2 (n2)", false), ("n2", "n2", "", true),
            ("2 (n2, *)", "n2", "2 (*)", true), ("\"n-2\", n3", "n3", "\"n-2\"", true),
        ])
    func remove(value: String, name: String, expected: String, isSatisfiable: Bool) throws {
        let names = try #require(StandbyNames(value, version: .postgres(15)))
        #expect(names.removing(name).description == expected)
        #expect(names.removing(name).isSatisfiable == isSatisfiable)
        #expect(names.removing(name).adding(name).contains(name))
    }

    @Test("are quoted where they must be", arguments: [("n-5", "\"n-5\""), ("first", "\"first\""), ("5", "\"5\""), ("N5", "N5"), ("a\"b", "\"a\"\"b\"")])
    func quote(name: String, expected: String) throws {
        let names = try #require(StandbyNames("n2", version: .postgres(15))).adding(name)
        #expect(names.description == "n2, " + expected)
        #expect(StandbyNames(names.description, version: .postgres(15))?.names == ["n2", name])
    }
}
