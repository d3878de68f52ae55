import Report
import Testing

@Suite struct `A text that people see` {
    @Test(arguments: [
        // Connection strings, in a file's quotes too.
        ("+primary_conninfo = 'host=n1 password=s3cret user=repl'", "+primary_conninfo = 'host=n1 password=‹redacted› user=repl'"),
        ("primary_conninfo = 'password = s3cret'", "primary_conninfo = 'password = ‹redacted›'"),
        ("primary_conninfo = 'PASSWORD=s3cret'", "primary_conninfo = 'PASSWORD=‹redacted›'"),
        ("primary_conninfo = 'password=''s3 cret'' user=x'", "primary_conninfo = 'password=‹redacted›"),
        ("primary_conninfo = 'password=s3''cret user=x'", "primary_conninfo = 'password=‹redacted›"),
        ("conn = 'host=n1 sslpassword=x passfile=/p'", "conn = 'host=n1 sslpassword=‹redacted› passfile=/p'"),
        ("host=n1 password=s3\\ cret user=x", "host=n1 password=‹redacted›"),
        ("host=db3 password = 'hunter2'", "host=db3 password = ‹redacted›"),
        ("password=", "password=‹redacted›"),
        // URIs, whatever the password holds.
        ("postgresql://admin:hunter2@db3/shop", "postgresql://admin:‹redacted›@db3/shop"),
        ("url: 'x://a@b:hunter2@c' and more", "url: 'x://a@b:‹redacted›@c' and more"),
        ("postgresql://a:it's/hunter2@c", "postgresql://a:‹redacted›@c"),
        ("postgresql://db3/shop?password=hunter2", "postgresql://db3/shop?password=‹redacted›"),
        // Lines of pg_hba.conf.
        (" host all all all ldap ldapserver=x ldapbindpasswd=s3cret ldapport=1", " host all all all ldap ldapserver=x ldapbindpasswd=‹redacted› ldapport=1"),
        ("host all all all radius radiussecrets=\"a,b\"", "host all all all radius radiussecrets=‹redacted›"),
        // Command lines.
        ("archive_command = 'AWS_SECRET_ACCESS_KEY=s3cret wal-push %p'", "archive_command = 'AWS_SECRET_ACCESS_KEY=‹redacted› wal-push %p'"),
        ("archive_command = 'push --token=s3cret %p'", "archive_command = 'push --token=‹redacted› %p'"),
        ("PGPASSWORD=s3cret psql -c 'SELECT 1'", "PGPASSWORD=‹redacted› psql -c 'SELECT 1'"),
        ("PGPASSWORD=s3'c ret' psql", "PGPASSWORD=‹redacted›"),
        ("repo1-s3-key=AKIA repo1-s3-key-secret=x repo1-cipher-pass=y", "repo1-s3-key=‹redacted› repo1-s3-key-secret=‹redacted› repo1-cipher-pass=‹redacted›"),
        // SQL.
        ("CREATE ROLE x PASSWORD 'y' VALID UNTIL 'infinity'", "CREATE ROLE x PASSWORD '‹redacted›' VALID UNTIL 'infinity'"),
        ("alter role x encrypted password 'it''s y' superuser", "alter role x encrypted password '‹redacted›' superuser"),
        ("ALTER ROLE x PASSWORD E'y\\' z'", "ALTER ROLE x PASSWORD ‹redacted›"),
        ("ALTER ROLE x PASSWORD $a$y z$a$", "ALTER ROLE x PASSWORD ‹redacted›"),
        ("psql -c 'ALTER ROLE x PASSWORD '\\''y z'\\'", "psql -c 'ALTER ROLE x PASSWORD ‹redacted›"),
        ("SELECT f(password => 'y')", "SELECT f(password => ‹redacted›"),
        // YAML and JSON: in doubt, the rest of the line.
        ("password: hunter2 and more", "password: ‹redacted›"),
        ("\"Password\" : hunter2", "\"Password\" : ‹redacted›"),
        ("client-secret: hunter2", "client-secret: ‹redacted›"),
        ("x: {a: 1, password: hunter2}", "x: {a: 1, password: ‹redacted›"),
        ("address: \"host=db1 password=hunter2 3\"", "address: \"host=db1 password=‹redacted›"),
        (#"{"user": "x", "secret_key": "y"}"#, #"{"user": "x", "secret_key": ‹redacted›"#),
    ])
    func `is without the secrets in it`(text: String, shown: String) {
        #expect(Redaction.redacted(text) == shown)
        #expect(Redaction.redacted(shown) == shown)
    }

    @Test(arguments: [
        "connection to server at \"n1\", port 5432 failed: fe_sendauth: no password supplied",
        "FATAL:  28P01: password authentication failed for user \"alice\"",
        "password retrieved from file \"/root/.pgpass\"",
        "password_encryption = scram-sha-256",
        "FATAL:  password authentication failed for user \"alice\"",
        "HINT: put the line n1:5432:app:alice:PASSWORD into ~/.pgpass (mode 0600)",
        "the password that stands in ~postgres/.pgpass",
        "pg_hba.conf: METHOD password is not encrypted",
        "primary_conninfo = 'user=replicator passfile=/var/lib/postgresql/.pgpass'",
        "host=n1 passfile=/etc/pgpass sslkey=/etc/key",
        "postgresql://admin@db:5432/app",
        "ALTER ROLE x PASSWORD NULL",
        "ALTER ROLE x PASSWORD $1",
        "SELECT passwd::text FROM pg_shadow",
        "duplicate key: \"n1\" exists",
        "-port = 5432",
        "",
        "a\n\nb\n",
    ])
    func `is whole where there is none`(text: String) { #expect(Redaction.redacted(text) == text) }

    @Test(arguments: [
        // As Spock 5.0.11 answers: libpq's " supplied" and its line feed, the server's " authentication failed for user …".
        (
            "connection to server at \"n1\", port 5432 failed: fe_sendauth: no passwordXXXXXXXXXX",
            "connection to server at \"n1\", port 5432 failed: fe_sendauth: no password supplied"
        ),
        ("failed: FATAL:  passwordXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX", "failed: FATAL:  password authentication failed"),
        ("syntax error in PASSWORDXXXXXXXX", "syntax error in PASSWORD … (Spock hides the rest)"),
        ("fe_sendauth: no password supplied", "fe_sendauth: no password supplied"),
        ("the table passwordXXXX is not there", "the table passwordXXXX is not there"),
        ("", ""),
    ])
    func `has the words back that Spock takes for a password`(text: String, shown: String) { #expect(Redaction.unmasked(text) == shown) }

    @Test func `is looked at line by line`() {
        #expect(Redaction.redacted("password: a\nport: 1\n\ntoken=b c\n") == "password: ‹redacted›\nport: 1\n\ntoken=‹redacted› c\n")
    }

    @Test(arguments: [
        ("PGPASSWORD=s3 cret", "PGPASSWORD=‹redacted›"), ("--repo1-cipher-pass=a b", "--repo1-cipher-pass=‹redacted›"), ("-D/data", "-D/data"),
        ("host=n1 password=a user=b", "host=n1 password=‹redacted› user=b"), ("exec env PGPASSWORD=a psql", "exec env PGPASSWORD=‹redacted› psql"),
    ])
    func `is a word of a command line as a whole`(word: String, shown: String) { #expect(Redaction.redactedWord(word) == shown) }

    @Test(arguments: ["password", "PGPASSWORD", "oauth_client_secret", "scram_client_key", "repo2-s3-token", "sslpassword", "password2"])
    func `does not show the value of`(name: String) { #expect(Redaction.isSecret(name)) }

    @Test(arguments: ["passfile", "sslkey", "password_encryption", "user", "port", ""])
    func `shows the value of`(name: String) { #expect(!Redaction.isSecret(name)) }
}
