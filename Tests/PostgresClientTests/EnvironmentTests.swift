import EventLoop
import Foundation
import PostgresClient
import Report
import Testing

/// Each case runs in a process of its own: an environment belongs to a whole process.
@Suite struct `The environment` {
    struct Leak: Codable, Sendable, CustomTestStringConvertible {
        var variable: String
        var value: String
        /// The connection string, which leaves open what the variable would say.
        var dsn = "host=127.0.0.1 port=PORT user=trusting dbname=postgres"
        var query = "SELECT 1"
        var expected = "1"
        /// A part of the error, where connecting must fail.
        var failure: String?
        var testDescription: String { "\(variable)=\(value)" }
    }

    static let leaks = [
        Leak(variable: "PGHOST", value: "192.0.2.1", dsn: "port=1", failure: ".s.PGSQL.1\" failed"),
        Leak(variable: "PGHOSTADDR", value: "192.0.2.1"),
        Leak(variable: "PGPORT", value: "1", dsn: "host=/nonexistent", failure: "/nonexistent/.s.PGSQL.5432"),
        Leak(variable: "PGDATABASE", value: "postgres", dsn: "host=127.0.0.1 port=PORT user=trusting", query: "SELECT current_database()", expected: "trusting"),
        Leak(variable: "PGUSER", value: "trusting", dsn: "host=127.0.0.1 port=PORT dbname=postgres", failure: "user \"\(NSUserName())\""),
        Leak(variable: "PGOPTIONS", value: "-c work_mem=65MB", query: "SHOW work_mem", expected: "4MB"),
        Leak(variable: "PGAPPNAME", value: "leaked", query: "SHOW application_name", expected: "pggraft"),
        Leak(variable: "PGTZ", value: "Asia/Tokyo", query: "SHOW timezone", expected: "UTC"),
        Leak(variable: "PGDATESTYLE", value: "SQL, DMY", query: "SHOW datestyle", expected: "ISO, MDY"),
        Leak(variable: "PGGEQO", value: "off", query: "SHOW geqo", expected: "on"),
        Leak(variable: "PGCLIENTENCODING", value: "LATIN1", query: "SHOW client_encoding", expected: "UTF8"),
        Leak(variable: "PGSSLMODE", value: "verify-full"),
        Leak(variable: "PGSSLROOTCERT", value: "/nonexistent", dsn: "host=127.0.0.1 port=PORT user=trusting dbname=postgres sslmode=verify-ca", failure: ".postgresql/root.crt"),
        Leak(variable: "PGSSLMAXPROTOCOLVERSION", value: "TLSv1.1"),
        Leak(variable: "PGCHANNELBINDING", value: "require"),
        Leak(variable: "PGGSSENCMODE", value: "require"),
        Leak(variable: "PGREQUIREPEER", value: "nobody", dsn: "host=DIRECTORY port=PORT user=trusting dbname=postgres"),
        Leak(variable: "PGTARGETSESSIONATTRS", value: "standby"),
        Leak(variable: "PGSERVICE", value: "nowhere"),
        // What names a password, or where it is, counts.
        Leak(variable: "PGPASSWORD", value: TestServer.alicesPassword, dsn: "host=127.0.0.1 port=PORT user=alice dbname=postgres passfile=/nonexistent"),
        Leak(variable: "PGPASSWORD", value: "hush", dsn: "host=127.0.0.1 port=PORT user=alice dbname=postgres passfile=/nonexistent", failure: "HINT: PGPASSWORD was sent"),
        Leak(variable: "PGPASSFILE", value: "DIRECTORY/pgpass", dsn: "host=127.0.0.1 port=PORT user=alice dbname=postgres"),
        Leak(variable: "PGSERVICEFILE", value: "DIRECTORY/services", dsn: "service=grafted", query: "SELECT current_user", expected: "alice"),
        Leak(
            variable: "PGSERVICEFILE", value: "DIRECTORY/services", dsn: "host=DIRECTORY port=PORT user=trusting dbname=postgres", query: "SELECT current_user",
            expected: "trusting"),
    ]

    @Test(arguments: leaks) func `says where passwords are, and nothing else`(leak: Leak) async throws {
        let server = try await TestServer.shared.value
        func filled(_ text: String) -> String {
            text.replacing("PORT", with: "\(server.port)").replacing("DIRECTORY", with: server.directory)
        }
        let filledLeak = Leak(variable: leak.variable, value: filled(leak.value), dsn: filled(leak.dsn), query: leak.query, expected: leak.expected, failure: leak.failure)
        await #expect(processExitsWith: .success) { [leak = filledLeak as Leak] in
            setenv(leak.variable, leak.value, 1)
            do {
                let connection = try await PostgresConnection.connect(to: Conninfo(parsing: leak.dsn), node: "n1", deadline: .after(.seconds(60)))
                let row = try await connection.script(SQL(stringLiteral: leak.query), deadline: .after(.seconds(60)))[0].one()
                #expect(try row.get(row.columns[0]) == leak.expected)
                #expect(leak.failure == nil)
            } catch let error as PostgresError {
                #expect(error.description.contains(leak.failure ?? "no failure at all"), "\(error)")
            }
        }
    }

    @Test func `keeps what is not libpq's`() async {
        await #expect(processExitsWith: .success) {
            for name in ["PGGRAFT_BINDIR", "PGDATA", "PGBACKREST_STANZA", "PGPASSWORD", "PGHOST"] { setenv(name, "x", 1) }
            LibpqEnvironment.clear()
            #expect(getenv("PGGRAFT_BINDIR") != nil)
            #expect(getenv("PGDATA") != nil)
            #expect(getenv("PGBACKREST_STANZA") != nil)
            #expect(getenv("PGPASSWORD") != nil)
            #expect(getenv("PGHOST") == nil)
        }
    }
}
