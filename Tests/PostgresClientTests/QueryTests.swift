import EventLoop
import Foundation
import PostgresClient
import Report
import Testing

@Suite struct `A query` {
    /// Named apart from what is in it: ten megabytes are no name.
    struct Parameter: Sendable, CustomTestStringConvertible {
        let value: String
        var testDescription: String { value.count < 100 ? value.debugDescription : "\(value.utf8.count) bytes" }
    }

    static let parameters = [
        "", "it's", #"back\slash \' \\"#, #"double "quoted""#, "two\nlines\r\n\ttab", "$1 %s ? ; -- /* */", "öäü € 🐘 \u{301} \u{FEFF}",
        String(repeating: "10 MB… ", count: 1_200_000),
    ].map(Parameter.init)

    @Test(arguments: parameters)
    func `brings a parameter to the server and back as it is`(parameter: Parameter) async throws {
        let value = parameter.value
        let connection = try await TestServer.shared.value.connect()
        let row = try await connection.query("SELECT \(value)::text AS value, octet_length(\(value)::text) AS bytes", deadline: soon).one()
        // Bytes, since strings are equal that differ in their scalars.
        #expect(try Data(row.get("value", as: String.self).utf8) == Data(value.utf8))
        #expect(try row.get("bytes") == value.utf8.count)
    }

    @Test func `knows NULL in both directions, and every type of parameter`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let lsn = try #require(LSN("16/B374D848"))
        let row = try await connection.query(
            """
            SELECT \(nil as String?)::text IS NULL AS went, NULL::text AS came, \(-7)::int4 AS small, \(Int64.min)::int8 AS big,
                   \(UInt32.max)::oid AS oid, \(true)::bool AS yes, \(lsn)::pg_lsn AS lsn, \(nil as [String]?)::text[] IS NULL AS noarray,
                   \(Secret("hush")) || '' AS secret, \(Conninfo(["host": "n 1"]))::text AS dsn
            """, deadline: soon
        ).one()
        #expect(try row.get("went") == true)
        #expect(try row.optional("came", as: String.self) == nil)
        #expect(try row.get("small") == -7)
        #expect(try row.get("big") == Int64.min)
        #expect(try row.get("oid") == UInt32.max)
        #expect(try row.get("yes") == true)
        #expect(try row.get("lsn") == lsn)
        #expect(try row.get("noarray") == true)
        #expect(try row.get("secret") == "hush")
        #expect(try row.get("dsn") == "host='n 1'")
    }

    @Test(arguments: [[], [""], ["NULL", "null", "a"], [#"q"u\o'te"#, "{,}", " ", "two words", "ö€🐘", "\u{301}x"]])
    func `carries arrays both ways`(values: [String]) async throws {
        let connection = try await TestServer.shared.value.connect()
        let row = try await connection.query("SELECT \(values)::text[] AS values, coalesce(array_length(\(values)::text[], 1), 0) AS count", deadline: soon).one()
        #expect(try row.get("values") == values)
        #expect(try row.get("count") == values.count)
    }

    @Test(arguments: ["plain", "Mixed Case", #"a"b"#, "semi;colon--", "it's", #"back\slash"#, "select", "öäü🐘", "x\"\u{301}; DROP TABLE y"])
    func `quotes names and literals so that the server reads them back`(name: String) async throws {
        let connection = try await TestServer.shared.value.connect()
        let row = try await connection.query("SELECT \(literal: name)::text AS \(identifier: name)", deadline: soon).one()
        #expect(row.columns.first?.unicodeScalars.elementsEqual(name.unicodeScalars) == true)
        #expect(try row.get(row.columns[0], as: String.self).unicodeScalars.elementsEqual(name.unicodeScalars))
    }

    @Test func `computes with LSNs as the server does`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let (early, late) = (LSN(position: 0x1_FFFF_FFF0), LSN(position: 0x2_0000_0010))
        let row = try await connection.query("SELECT (\(late)::pg_lsn - \(early)::pg_lsn)::int8 AS bytes, pg_current_wal_lsn() AS now", deadline: soon).one()
        #expect(try row.get("bytes") == late.bytes(since: early))
        #expect(try row.get("now", as: LSN.self) > .zero)
    }

    @Test func `without rows has its command tag, and an empty one nothing`() async throws {
        let connection = try await TestServer.shared.value.connect()
        try await connection.query("CREATE TEMPORARY TABLE t (i int)", deadline: soon)
        let inserted = try await connection.query("INSERT INTO t SELECT generate_series(1, 3)", deadline: soon)
        #expect(inserted.isEmpty)
        #expect(inserted.commandTag == "INSERT 0 3")
        #expect(try await connection.query("TABLE t ORDER BY i", deadline: soon).map { try $0.get("i", as: Int.self) } == [1, 2, 3])
        #expect(try await connection.query("", deadline: soon).isEmpty)
    }

    @Test func `that fails gives all the server says, and leaves the connection usable`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(
                """
                DO $$ BEGIN RAISE EXCEPTION 'no %', 'way' USING ERRCODE = 'PG007', DETAIL = 'a detail', HINT = 'a hint'; END $$
                """, deadline: soon)
        }
        guard case .server("n1", let answer) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(answer.severity == "ERROR")
        #expect(answer.code == "PG007")
        #expect(answer.message == "no way")
        #expect(answer.detail == "a detail")
        #expect(answer.hint == "a hint")
        #expect(answer.context?.contains("PL/pgSQL function inline_code_block line 1") == true)
        #expect(answer.statement.hasPrefix("DO $$ BEGIN"))
        #expect(
            error?.fact == """
                n1: ERROR: no way (SQLSTATE PG007)
                  DETAIL: a detail
                  CONTEXT: PL/pgSQL function inline_code_block line 1 at RAISE
                  STATEMENT: DO $$ BEGIN RAISE EXCEPTION 'no %', 'way' USING ERRCODE = 'PG007', DETAIL = 'a detail', HINT = 'a hint'; END $$
                """)
        #expect(error?.description == (error?.fact ?? "") + "\n  HINT: a hint")
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `that fails does not tell the secrets it carried`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("ALTER ROLE nobody_there PASSWORD \(literal: Secret("hush"))", deadline: soon)
        }
        #expect(error?.code == "42704")
        #expect(error?.description.hasSuffix("STATEMENT: ALTER ROLE nobody_there PASSWORD '‹redacted›'") == true)
    }

    @Test(
        arguments: [
            ("SELECT \("a\0b")::text", "n1: statement not sent: the value of $1 holds a NUL byte, which PostgreSQL's text types cannot"),
            ("SELECT \(literal: "a\0b")", "n1: statement not sent: a quoted name or literal holds a NUL byte, which PostgreSQL's text types cannot"),
            ("SELECT 1 AS \(identifier: "a\0b")", "n1: statement not sent: a quoted name or literal holds a NUL byte, which PostgreSQL's text types cannot"),
            ("SELECT 1 \0 AS x", "n1: statement not sent: the statement holds a NUL byte, which PostgreSQL's text types cannot"),
        ] as [(SQL, String)])
    func `with a NUL byte is not sent cut short`(sql: SQL, message: String) async throws {
        let connection = try await TestServer.shared.value.connect()
        let error = await #expect(throws: PostgresError.self) { try await connection.query(sql, deadline: soon) }
        #expect(error?.description == message)
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `cannot hold two statements, nor more parameters than the protocol`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let two = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1; SELECT 2", deadline: soon) }
        #expect(two?.code == "42601")
        let many = SQL.joined((0..<65_536).map { "\($0)" }, separator: ",")
        let error = await #expect(throws: PostgresError.self) { try await connection.query("SELECT \(many)", deadline: soon) }
        #expect(error?.description == "n1: statement not sent: number of parameters must be between 0 and 65535")
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `gets its own answer when twenty callers share the connection`() async throws {
        let connection = try await TestServer.shared.value.connect()
        try await withThrowingTaskGroup(of: (Int, Int).self) { group in
            for number in 0..<20 {
                group.addTask {
                    let rows = try await connection.query("SELECT \(number)::int AS number, pg_sleep(0.003)", deadline: soon)
                    return (number, try rows.one().get("number"))
                }
            }
            var answered = Set<Int>()
            for try await (asked, answer) in group {
                #expect(asked == answer)
                answered.insert(answer)
            }
            #expect(answered.count == 20)
        }
    }

    @Test func `that errs among others spoils none of them`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let results = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<20 {
                group.addTask {
                    do { return try await connection.query("SELECT 12 / \(number % 2)::int AS x", deadline: soon).one().get("x") == 12 } catch { return false }
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(results == 10)
    }

    @Test func `of COPY is refused, and closes the connection`() async throws {
        for copy in ["COPY pg_class TO STDOUT", "COPY pg_class FROM STDIN"] as [SQL] {
            let connection = try await TestServer.shared.value.connect()
            await #expect(throws: UnexpectedAnswer.self) { try await connection.query(copy, deadline: soon) }
            let later = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1", deadline: soon) }
            #expect(later?.description == "n1: connection to PostgreSQL lost: closed by pggraft, which does not speak COPY")
        }
    }

    @Test func `of bytes that are no UTF-8 is an error, and no silent replacement`() async throws {
        let server = try await TestServer.shared.value
        let administrator = try await server.connect()
        try await administrator.query("CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII'", deadline: soon)
        let connection = try await server.connect(server.onSocket.with("dbname", "ascii"))
        let error = await #expect(throws: PostgresError.self) { try await connection.query(#"SELECT E'\xE4' AS umlaut"#, deadline: soon) }
        #expect(error?.code == "22021")
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }
}

@Suite struct `A script` {
    @Test func `runs several statements and gives every answer`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let answers = try await connection.script(
            """
            CREATE TEMPORARY TABLE \(identifier: "My Table") (t text);
            INSERT INTO \(identifier: "My Table") VALUES (\(literal: "it's; fine"));
            TABLE \(identifier: "My Table");
            """, deadline: soon)
        #expect(answers.map(\.commandTag) == ["CREATE TABLE", "INSERT 0 1", "SELECT 1"])
        #expect(try answers.last?.one().get("t") == "it's; fine")
    }

    @Test func `that fails takes everything back`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.script("CREATE TABLE left_behind (); SELECT 1/0; SELECT 2", deadline: soon)
        }
        #expect(error?.code == "22012")
        #expect(try await connection.query("SELECT to_regclass('left_behind') IS NULL AS gone", deadline: soon).one().get("gone") == true)
    }

    @Test func `takes no parameters`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let error = await #expect(throws: PostgresError.self) { try await connection.script("SELECT \(1)", deadline: soon) }
        #expect(error?.description == "n1: statement not sent: a script takes no parameters: SELECT $1")
    }
}

@Suite struct `Notices` {
    @Test func `are kept until they are taken`() async throws {
        let connection = try await TestServer.shared.value.connect()
        _ = await connection.takeNotices()
        try await connection.query("DO $$ BEGIN RAISE NOTICE 'first'; RAISE WARNING 'second' USING HINT = 'a hint'; END $$", deadline: soon)
        let notices = await connection.takeNotices()
        #expect(notices.map(\.message) == ["first", "second"])
        #expect(notices.map(\.severity) == ["NOTICE", "WARNING"])
        #expect(notices.map(\.code) == ["00000", "01000"])
        #expect(notices.last?.hint == "a hint")
        #expect(await connection.takeNotices().isEmpty)
    }

    @Test func `never fill the memory`() async throws {
        let connection = try await TestServer.shared.value.connect()
        try await connection.query("DO $$ BEGIN FOR i IN 1..5000 LOOP RAISE NOTICE '%', i; END LOOP; END $$", deadline: soon)
        let notices = await connection.takeNotices()
        #expect(notices.count == 1000)
        #expect(notices.last?.message == "5000")
    }
}
