import Report
import Testing

@testable import PostgresClient

@Suite struct `A connection string` {
    @Test(arguments: [
        ("host=n1 port=5433", "host=n1 port=5433"),
        (" host = n1   dbname='my db' ", "dbname='my db' host=n1"),
        (#"password='it\'s \\ here' host=n1"#, #"password='it\'s \\ here' host=n1"#),
        ("postgresql://spock:p%40ss@n1:5433/app?sslmode=verify-full", "user=spock password=p@ss dbname=app host=n1 port=5433 sslmode=verify-full"),
        ("postgres://[::1]:5433,n2/", "host=::1,n2 port=5433,"),
        ("host=/var/run/postgresql", "host=/var/run/postgresql"), ("options=''", "options=''"), ("", ""),
    ])
    func `is taken apart and put together`(text: String, rendered: String) throws {
        let conninfo = try Conninfo(parsing: text)
        #expect(conninfo.connectionString == rendered)
        #expect(try Conninfo(parsing: conninfo.connectionString) == conninfo)
    }

    @Test(arguments: ["", " ", "plain", "two words", "it's", #"back\slash"#, "tab\t", "\u{A0}x", "ö€🐘", "'", #"\'"#, "a=b", "x'\u{301}y", "\\\u{301}"])
    func `holds any value through libpq's parser`(value: String) throws {
        let read = try Conninfo(parsing: Conninfo(["host": "n1", "password": value]).connectionString)
        #expect(read["password"]?.unicodeScalars.elementsEqual(value.unicodeScalars) == true)
        #expect(read["host"] == "n1")
    }

    @Test func `keeps the order it was made in, and one value for a keyword`() {
        var conninfo = Conninfo(["user": "a", "host": "n1", "user": "b"])
        conninfo["port"] = "1"
        conninfo["host"] = nil
        #expect(conninfo.connectionString == "user=b port=1")
    }

    @Test(arguments: [
        ("host=n1 dbname=a", "dbname=a host=n1", true), ("postgresql://n1/a", "host=n1 dbname=a", true),
        ("host=n1 port=5432", "host=n1", true), ("host=n1 hostaddr=''", "host=n1", true), ("host=n1 sslmode=prefer", "host=n1", true),
        ("host=n1", "host=n2", false), ("host=n1 port=5433", "host=n1", false), ("host=n1 password=a", "host=n1 password=b", false),
    ])
    func `equals what means the same`(left: String, right: String, equal: Bool) throws {
        let (left, right) = (try Conninfo(parsing: left), try Conninfo(parsing: right))
        #expect((left == right) == equal)
        if equal { #expect(left.hashValue == right.hashValue) }
    }

    @Test func `shows no password`() throws {
        let conninfo = Conninfo(["host": "n1", "password": "hush", "sslpassword": "hush", "passfile": "/root/.pgpass", "pasword": "x", "passwd": "hush"])
        #expect("\(conninfo)" == "host=n1 password=‹redacted› sslpassword=‹redacted› passfile=/root/.pgpass pasword=x passwd=‹redacted›")
        #expect(!String(reflecting: [conninfo]).contains("hush"))
        #expect(conninfo.password == Secret("hush"))
    }

    @Test func `leads through a forwarded port under the host's own name`() throws {
        let direct = try Conninfo(parsing: "host=/run/postgresql dbname=app sslmode=verify-full")
        let forwarded = direct.forwarded(host: "n1.example.org", address: "127.0.0.1", port: 40_001)
        #expect(forwarded == (try Conninfo(parsing: "host=n1.example.org hostaddr=127.0.0.1 port=40001 dbname=app sslmode=verify-full")))
    }

    @Test func `leads to a socket through a port, without TLS, and errors name the socket`() throws {
        let direct = try Conninfo(parsing: "user=postgres port=5432 dbname=app sslmode=prefer")
        let forwarded = direct.forwarded(socket: "/run/postgresql/.s.PGSQL.5432", address: "127.64.0.1", port: 40_001)
        #expect(
            forwarded
                == (try Conninfo(parsing: "user=postgres host=/run/postgresql hostaddr=127.64.0.1 port=40001 dbname=app sslmode=disable gssencmode=disable")))
        for text in ["connection to server at \"127.64.0.1\", port 40001 failed: x", "connection to server at \"/run/postgresql\" (127.64.0.1), port 40001 failed: x"] {
            #expect(forwarded.forwarding?.named(text) == "connection to server on socket \"/run/postgresql/.s.PGSQL.5432\" failed: x")
        }
    }

    @Test(arguments: [
        (
            "connection to server at \"10.0.0.1\" (127.102.89.164), port 6432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
            "connection to server at \"10.0.0.1\", port 5432 failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?"
        ),
        (
            "connection to server at \"10.0.0.1\" (127.102.89.164), port 6432 failed: a\nconnection to server at \"10.0.0.1\" (127.102.89.164), port 6432 failed: b",
            "connection to server at \"10.0.0.1\", port 5432 failed: a\nconnection to server at \"10.0.0.1\", port 5432 failed: b"
        ),
        ("connection to server at \"127.102.89.164\", port 6432 failed: a", "connection to server at \"10.0.0.1\", port 5432 failed: a"),
        ("connection to server at \"other\", port 6432 failed: a", "connection to server at \"other\", port 6432 failed: a"),
    ])
    func `through a forwarded port is called by its own address in an error`(text: String, shown: String) {
        #expect(Forwarding(host: "10.0.0.1", port: "5432", localAddress: "127.102.89.164", localPort: "6432").named(text) == shown)
    }

    @Test(arguments: [
        ("hots=n1", #"invalid connection option "hots""#), ("host", #"missing "=" after "host" in connection info string"#),
        ("host='n1", "unterminated quoted string in connection info string"),
        ("postgresql://n1/app?sslmod=require", #"invalid URI query parameter: "sslmod""#),
        ("host=n1\0", "a connection string cannot hold a NUL byte"),
    ])
    func `that libpq cannot read is an error in its words`(text: String, message: String) throws {
        let error = #expect(throws: ConninfoError.self) { try Conninfo(parsing: text) }
        #expect(error?.message == message)
        #expect(error?.description.contains("\n  HINT: ") == true)
    }

    @Test(arguments: [
        "password=my hush", #"password=x"hush"y "hush""#, "password=a hush=1", "host=n1 passwd=hush", "postgresql://u:hush@[n1/app",
        "postgresql://u:hush@n1/app?sslmod=hush", "postgresql://u:hush@n1:5432x/%zz", "postgresql://u:%zzhush@n1/",
        "postgresql://n1/app?password=a&hush", "password='hush", "password=x\"\u{301}hush hush",
    ])
    func `that libpq cannot read is not echoed where it may hold a password`(text: String) throws {
        let error = #expect(throws: ConninfoError.self) { try Conninfo(parsing: text) }
        #expect(error?.description.contains("hush") == false)
        #expect(error?.message.isEmpty == false)
    }

    @Test(arguments: [
        "host=n1 port=5432 user=repl", "  host = 'n 1'  passfile='/var/lib/it\\'s/.pgpass' ", "host=a\\ b user=x\\\\y", "application_name='' host=n1",
        "postgresql://repl@n1:5433/app", "",
    ])
    func `what a server holds is read as libpq reads it`(_ text: String) throws {
        let ours = try Conninfo(ofServer: text), libpq = try Conninfo(parsing: text)
        #expect(ours == libpq)
        #expect(try Conninfo(ofServer: ours.connectionString) == ours)
    }

    @Test func `what is a secret is left out, and not the names of files`() throws {
        let text = "host=n1 passfile=/home/it/.pgpass sslkey=/home/it/key sslcert=/home/it/crt"
        #expect(try Conninfo(ofServer: text + " password=x sslpassword=y oauth_client_secret=z").withoutSecrets.connectionString == text)
    }

    @Test func `options of a newer libpq than this one are kept`() throws {
        let conninfo = try Conninfo(ofServer: "user=repl host=n1 sslcertmode=allow require_auth=none load_balance_hosts=disable an_option_of_tomorrow='a b'")
        #expect(conninfo["an_option_of_tomorrow"] == "a b")
        #expect(conninfo.connectionString.hasSuffix("load_balance_hosts=disable an_option_of_tomorrow='a b'"))
    }

    @Test(arguments: ["host", "host=n1 'x", "host='n1", "=x"]) func `what is no connection string is refused`(_ text: String) {
        #expect(throws: ConninfoError.self) { try Conninfo(ofServer: text) }
    }
}
