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
}
