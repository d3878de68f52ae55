import Testing

@testable import PostgresClient

@Suite struct `A server's error` {
    @Test func `shows words that Spock hides, and not the password that it quotes`() {
        let error = PostgresError.server(
            node: "n2",
            PostgresError.ServerError(
                severity: "ERROR", code: "08001",
                message:
                    "could not connect to the postgresql server: connection to server at \"n4\", port 5432 failed: FATAL:  passwordXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
                detail: "dsn was:  host=n4 dbname=app user=u password=hunter2 connect_timeout=3", statement: "SELECT spock.sub_create($1, $2)"))
        #expect(
            error.fact == """
                n2: ERROR: could not connect to the postgresql server: connection to server at "n4", port 5432 failed: FATAL:  password authentication failed (SQLSTATE 08001)
                  DETAIL: dsn was:  host=n4 dbname=app user=u password=‹redacted› connect_timeout=3
                  STATEMENT: SELECT spock.sub_create($1, $2)
                """)
    }

    private static func server(_ code: String, _ message: String) -> PostgresError {
        .server(node: "n4", PostgresError.ServerError(severity: "ERROR", code: code, message: message))
    }

    @Test(arguments: [
        (PostgresError.connectionLost(node: "n3", message: "server closed the connection unexpectedly"), true),
        (.cannotConnect(node: "n3", message: "FATAL:  the database system is in recovery mode", code: "57P03"), true),
        (server("08006", "could not connect to the postgresql server: connection to server at \"n3\" failed: FATAL:  the database system is not yet accepting connections"), true),
        (server("XX000", "could not fetch remote node info: server closed the connection unexpectedly"), true),
        (.cannotConnect(node: "n3", message: "nothing listens on port 5432"), false), (server("42P01", "relation \"spock.node\" does not exist"), false),
    ]) func `says whether a server may be back in a moment, its own or one that it connects to`(_ error: PostgresError, _ isAway: Bool) {
        #expect(error.saysOfServerAway == isAway)
    }
}
