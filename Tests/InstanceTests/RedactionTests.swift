import RemoteHost
import Testing

@testable import Instance

@Suite("What people see of an edit") struct RedactionTests {
    @Test(
        "passwords are taken out",
        arguments: [
            ("+primary_conninfo = 'host=n1 password=s3cret user=repl'", "+primary_conninfo = 'host=n1 password=‹redacted› user=repl'"),
            ("primary_conninfo = 'password = s3cret'", "primary_conninfo = 'password = ‹redacted›'"),
            ("primary_conninfo = 'PASSWORD=s3cret'", "primary_conninfo = 'PASSWORD=‹redacted›'"),
            ("primary_conninfo = 'password=''s3 cret'' user=x'", "primary_conninfo = 'password=‹redacted›"),
            (" host all all all ldap ldapserver=x ldapbindpasswd=s3cret ldapport=1", " host all all all ldap ldapserver=x ldapbindpasswd=‹redacted› ldapport=1"),
            ("host all all all radius radiussecrets=\"a,b\"", "host all all all radius radiussecrets=‹redacted›"),
            ("conn = 'host=n1 sslpassword=x passfile=/p'", "conn = 'host=n1 sslpassword=‹redacted› passfile=/p'"),
            ("password_encryption = scram-sha-256", "password_encryption = scram-sha-256"),
            ("-port = 5432", "-port = 5432"),
            ("password=", "password=‹redacted›"),
            ("archive_command = 'AWS_SECRET_ACCESS_KEY=s3cret wal-push %p'", "archive_command = 'AWS_SECRET_ACCESS_KEY=‹redacted› wal-push %p'"),
            ("archive_command = 'push --token=s3cret %p'", "archive_command = 'push --token=‹redacted› %p'"),
        ])
    func redact(line: String, expected: String) {
        #expect(Redaction.redacted(line) == expected)
    }

    @Test("in the diff of an edit too")
    func diff() throws {
        let edit = ConfigurationEdit(
            path: try #require(HostPath("/pg/postgresql.auto.conf")), before: Array("a = 1\nprimary_conninfo = 'password=old'\n".utf8),
            after: Array("a = 2\nprimary_conninfo = 'password=new'\n".utf8))
        #expect(
            edit.diff == """
                --- /pg/postgresql.auto.conf
                +++ /pg/postgresql.auto.conf
                @@ -1,2 +1,2 @@
                -a = 1
                -primary_conninfo = 'password=‹redacted›'
                +a = 2
                +primary_conninfo = 'password=‹redacted›'

                """)
        #expect("\(edit)" == edit.diff)
    }
}
