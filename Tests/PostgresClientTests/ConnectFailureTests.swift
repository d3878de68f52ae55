import Report
import Testing

@testable import PostgresClient

@Suite struct `A failed connection` {
    let wrongPassword = ConnectFailure(
        text: """
            connection to server at "n1" (127.0.0.1), port 40001 failed: FATAL:  28P01: password authentication failed for user "alice"
            LOCATION:  auth_failed, auth.c:335
            password retrieved from file "/root/.pgpass"

            """,
        host: "n1", port: "40001", database: "app", user: "alice", source: .file, passfile: "/root/.pgpass")

    @Test func `says what libpq says, without the server's source line, and keeps SQLSTATE`() {
        let error = wrongPassword.error(node: "n1")
        #expect(error.code == "28P01")
        #expect(
            error.description == """
                n1: cannot connect to PostgreSQL: connection to server at "n1" (127.0.0.1), port 40001 failed: FATAL: password authentication failed for user "alice"
                password retrieved from file "/root/.pgpass"
                  HINT: the password was read from /root/.pgpass: correct its line n1:40001:app:alice:PASSWORD
                """)
    }

    @Test(arguments: [
        (ConnectFailure.PasswordSource.connectionString, "the connection string's password was sent, and wins over /root/.pgpass; correct it, or remove it and "),
        (.environment, "PGPASSWORD was sent, and wins over /root/.pgpass; correct it, or remove it and "),
        (.service, "the service file's password was sent, and wins over /root/.pgpass; correct it, or remove it and "),
    ])
    func `names the source of a wrong password`(source: ConnectFailure.PasswordSource, hint: String) {
        var failure = wrongPassword
        failure.source = source
        #expect(
            failure.error(node: "n1").description.hasSuffix(
                "\n  HINT: \(hint)put the line n1:40001:app:alice:PASSWORD into /root/.pgpass (mode 0600)"))
    }

    @Test(arguments: [
        (ConnectFailure.Passfile.missing, "put the line n1:40001:app:alice:PASSWORD into /root/.pgpass (mode 0600); the file does not exist yet"),
        (.readable, "put the line n1:40001:app:alice:PASSWORD into /root/.pgpass (mode 0600); no line there is for this connection"),
        (.other(mode: 0o644), "/root/.pgpass is ignored because its mode is 0644: chmod 0600 it, and let it hold the line n1:40001:app:alice:PASSWORD"),
    ])
    func `without a password says where one belongs`(state: ConnectFailure.Passfile, hint: String) {
        var failure = wrongPassword
        failure.text = "connection to server at \"n1\" (127.0.0.1), port 40001 failed: fe_sendauth: no password supplied\n"
        (failure.source, failure.lacksPassword, failure.passfileState) = (nil, true, state)
        let error = failure.error(node: "n1")
        #expect(error.code == "28P01")
        #expect(error.description.hasSuffix("no password supplied\n  HINT: \(hint)"))
    }

    @Test func `escapes the fields of a password line`() {
        var failure = wrongPassword
        (failure.host, failure.database, failure.user) = ("::1", #"back\slash"#, "a:b")
        #expect(failure.passfileLine == #"\:\:1:40001:back\\slash:a\:b:PASSWORD"#)
    }

    @Test func `for want of a pg_hba line is no question of passwords`() {
        var failure = wrongPassword
        failure.text = """
            connection to server at "n1", port 40001 failed: FATAL:  28000: no pg_hba.conf entry for host "10.0.0.9", user "alice", database "app", no encryption
            LOCATION:  ClientAuthentication, auth.c:530
            """
        failure.source = nil
        let error = failure.error(node: "n1")
        #expect(error.code == "28000")
        #expect(error.description.hasSuffix("\n  HINT: allow database app, user alice and this machine's address in the server's pg_hba.conf, and reload it"))
    }

    @Test func `takes the code of the last attempt`() {
        var failure = wrongPassword
        failure.text = """
            connection to server at "n1", port 1 failed: Connection refused
            connection to server at "n2", port 1 failed: FATAL:  28000: no pg_hba.conf entry
            connection to server at "n3", port 1 failed: FATAL:  57P03: the database system is starting up
            """
        #expect(failure.code == "57P03")
        failure.text = "connection to server at \"n1\", port 1 failed: Connection refused"
        #expect(failure.code == nil)
        #expect(failure.error(node: "n1").hint == nil)
    }
}
