import PostgresClient
import Testing

@Suite struct `SQL text` {
    @Test func `values become parameters, numbered across parts`() throws {
        let lsn = try #require(LSN("16/B374D848"))
        let filter: SQL = "lsn > \(lsn) AND active = \(true)"
        let sql: SQL = "SELECT * FROM t WHERE name = \("n1") AND \(filter) AND id = \(7) AND x IS NOT DISTINCT FROM \(nil as String?)"
        #expect(sql.text == "SELECT * FROM t WHERE name = $1 AND lsn > $2 AND active = $3 AND id = $4 AND x IS NOT DISTINCT FROM $5")
        #expect(sql.parameters == ["n1", "16/B374D848", "t", "7", nil])
    }

    @Test func `a list of strings is one array parameter`() {
        let sql: SQL = "SELECT spock.sub_create(\("s"), replication_sets := \(["default", #"a "b"\c"#]))"
        #expect(sql.text == "SELECT spock.sub_create($1, replication_sets := $2)")
        #expect(sql.parameters == ["s", #"{"default","a \"b\"\\c"}"#])
    }

    @Test(arguments: [
        ("plain", #""plain""#), ("Mixed Case", #""Mixed Case""#), (#"a"b"#, #""a""b""#), ("a;b--", #""a;b--""#),
        // One Character of two scalars: the quote must still be seen.
        ("x\"\u{301}; DROP", "\"x\"\"\u{301}; DROP\""),
    ])
    func `a name is quoted as an identifier`(name: String, quoted: String) {
        let sql: SQL = "TABLE \(identifier: name)"
        #expect(sql.text.unicodeScalars.elementsEqual("TABLE \(quoted)".unicodeScalars))
        #expect(sql.parameters.isEmpty)
    }

    @Test(arguments: [
        ("plain", "plain"), ("_a1", "_a1"), ("Mixed", #""Mixed""#), ("my-app", #""my-app""#), ("1a", #""1a""#), ("ä", #""ä""#), ("order", #""order""#), ("", #""""#),
    ])
    func `a name is typed with quotes where it needs them`(name: String, typed: String) {
        let sql: SQL = "TABLE \(identifier: name) \(literal: "it's")"
        #expect(sql.typed == "TABLE \(typed) 'it''s'")
    }

    @Test(arguments: [
        ("", "''"), ("it's", "'it''s'"), (#"a\b"#, #" E'a\\b'"#), (#"'\"#, #" E'''\\'"#), ("x'\u{301}", "'x''\u{301}'"),
    ])
    func `a literal is quoted as libpq quotes it`(value: String, quoted: String) {
        let sql: SQL = "ALTER SYSTEM SET x = \(literal: value)"
        #expect(sql.text.unicodeScalars.elementsEqual("ALTER SYSTEM SET x = \(quoted)".unicodeScalars))
    }

    @Test func `parts are joined with their parameters in order`() {
        let parts: [SQL] = ["a = \(1)", "b = \("two")", "c"]
        let joined = SQL.joined(parts, separator: " AND ")
        #expect(joined.text == "a = $1 AND b = $2 AND c")
        #expect(joined.parameters == ["1", "two"])
        #expect(SQL.joined([], separator: ", ").text == "")
    }

    @Test func `a description shows the values and no secret`() {
        let dsn = Conninfo(["host": "n1", "password": "hush"])
        let sql: SQL = "SELECT node_create(\("n1"), \(dsn)), \(Secret("hush")), \(literal: Secret("hush")), \(nil as String?)"
        #expect(
            sql.description == """
                SELECT node_create($1, $2), $3, '‹redacted›', $4  -- $1 = 'n1', $2 = 'host=n1 password=‹redacted›', $3 = '‹redacted›', $4 = NULL
                """)
        #expect(sql.parameters == ["n1", "host=n1 password=hush", "hush", nil])
        #expect(sql.text.hasSuffix("'hush', $4"))
    }
}

@Suite struct `A secret` {
    @Test func `prints as redacted everywhere`() {
        struct Holder { let secret = Secret("hush"), dsn = Conninfo(["password": "hush"]) }
        var dumped = ""
        dump(Holder(), to: &dumped)
        for text in ["\(Secret("hush"))", String(reflecting: Secret("hush")), "\(Holder())", String(reflecting: Holder()), dumped] {
            #expect(!text.contains("hush"))
            #expect(text.contains("‹redacted›"))
        }
        #expect(Secret("hush").reveal() == "hush")
    }

    // `SQL` holds the secrets that go into it.
    @Test func `stays hidden inside a statement`() {
        let sql: SQL = "ALTER ROLE a PASSWORD \(literal: Secret("hush"))"
        #expect(!"\(sql)".contains("hush"))
        #expect(!"\([sql])".contains("hush"))
        #expect(!String(reflecting: sql).contains("hush"))
        var dumped = ""
        dump(sql, to: &dumped)
        #expect(!dumped.contains("hush"))
    }
}
