import EventLoop
import Foundation
import PostgresClient
import Report
import Testing

@Suite struct `Connecting` {
    @Test func `tells the server who is there, and learns who the server is`() async throws {
        let connection = try await TestServer.shared.value.connect()
        #expect(await connection.serverVersion >= ServerVersion(9, 1))
        #expect(await connection.isTLS == false)
        #expect(await connection.parameterStatus("server_encoding") == "UTF8")
        #expect(await connection.parameterStatus("no_such_thing") == nil)
        let row = try await connection.query(
            """
            SELECT pg_backend_pid() AS pid, current_setting('application_name') AS application, current_setting('client_encoding') AS encoding,
                   current_setting('standard_conforming_strings') AS strings, current_setting('server_version_num') AS version
            """, deadline: soon
        ).one()
        #expect(try row.get("pid") == Int(await connection.backendPID))
        #expect(try row.get("application") == "pggraft")
        #expect(try row.get("encoding") == "UTF8")
        #expect(try row.get("strings") == "on")
        #expect(try row.get("version") == (await connection.serverVersion).number)
    }

    @Test func `keeps what the connection string says, but for the encoding`() async throws {
        let server = try await TestServer.shared.value
        let connection = try await server.connect(
            server.onTCP("trusting")
                .with("application_name", "mine").with("client_encoding", "LATIN1").with("options", "-c standard_conforming_strings=off -c work_mem=65MB"))
        let row = try await connection.query(
            """
            SELECT current_setting('application_name') AS application, current_setting('client_encoding') AS encoding,
                   current_setting('standard_conforming_strings') AS strings, current_setting('work_mem') AS memory, 'a\\b' AS plain
            """, deadline: soon
        ).one()
        #expect(try row.get("application") == "mine")
        #expect(try row.get("encoding") == "UTF8")
        #expect(try row.get("strings") == "on")
        #expect(try row.get("memory") == "65MB")
        #expect(try row.get("plain") == #"a\b"#)
    }

    @Test func `notices a dead server by keepalives`() async throws {
        let server = try await TestServer.shared.value
        let connection = try await server.connect(server.onTCP("trusting"))
        let port = try await connection.query("SELECT inet_client_port() AS port", deadline: soon).one().get("port", as: Int.self)
        let process = Process(), output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", "ss -tno state established \"sport = :$1\"", "sh", "\(port)"]
        process.standardOutput = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(text.contains("timer:(keepalive,"))
    }

    @Test func `takes the password from the connection string`() async throws {
        let server = try await TestServer.shared.value
        let connection = try await server.connect(server.onTCP("alice").with("password", TestServer.alicesPassword))
        #expect(try await connection.query("SELECT current_user AS me", deadline: soon).one().get("me") == "alice")
    }

    /// Writes a password file of `mode`, gone after `body`.
    private func withPassfile<Value>(_ line: String, mode: Int = 0o600, _ body: (String) async throws -> Value) async throws -> Value {
        let path = "/tmp/pggraft-pgpass-\(UUID().uuidString)"
        defer { do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) } }
        #expect(FileManager.default.createFile(atPath: path, contents: Data((line + "\n").utf8), attributes: [.posixPermissions: mode]))
        return try await body(path)
    }

    @Test func `takes the password from a password file, under the host's name through a forwarded port`() async throws {
        let server = try await TestServer.shared.value
        try await withPassfile("n1.example.org:\(server.port):postgres:alice:\(TestServer.alicesPasswordField)") { path in
            let dsn = server.onTCP("alice").with("passfile", path).forwarded(host: "n1.example.org", address: "127.0.0.1", port: server.port)
            let connection = try await server.connect(dsn)
            #expect(try await connection.query("SELECT current_user AS me", deadline: soon).one().get("me") == "alice")
        }
    }

    @Test func `through a forwarded port names the server, and not this end of the way`() async throws {
        let server = try await TestServer.shared.value
        let dsn = server.onTCP("alice").with("password", "another").with("port", "5999")
            .forwarded(host: "n1.example.org", address: "127.0.0.1", port: server.port)
        let error = await #expect(throws: PostgresError.self) { try await server.connect(dsn) }
        #expect(
            error?.fact.hasPrefix(
                "n1: cannot connect to PostgreSQL: connection to server at \"n1.example.org\", port 5999 failed: FATAL: password authentication failed for user \"alice\"") == true,
            "\(error?.fact ?? "")")
        let nobody = dsn.forwarded(host: "n1.example.org", address: "127.0.0.1", port: 1)
        let refused = await #expect(throws: PostgresError.self) { try await server.connect(nobody) }
        #expect(refused?.fact.contains("\"n1.example.org\", port \(server.port) failed: Connection refused") == true, "\(refused?.fact ?? "")")
        #expect(refused?.fact.contains("127.0.0.1") == false)
    }

    @Test func `without a password says which line is missing`() async throws {
        let server = try await TestServer.shared.value
        let path = "/nonexistent/.pgpass"
        let error = await #expect(throws: PostgresError.self) { try await server.connect(server.onTCP("alice").with("passfile", path)) }
        #expect(error?.code == "28P01")
        #expect(
            error?.description == """
                n1: cannot connect to PostgreSQL: connection to server at "127.0.0.1", port \(server.port) failed: fe_sendauth: no password supplied
                  HINT: put the line 127.0.0.1:\(server.port):postgres:alice:PASSWORD into /nonexistent/.pgpass (mode 0600); the file does not exist yet
                """)
    }

    @Test func `with a password file that others can read says so`() async throws {
        let server = try await TestServer.shared.value
        try await withPassfile("*:*:*:*:\(TestServer.alicesPasswordField)", mode: 0o644) { path in
            let error = await #expect(throws: PostgresError.self) { try await server.connect(server.onTCP("alice").with("passfile", path)) }
            #expect(error?.description.contains("HINT: \(path) is ignored because its mode is 0644: chmod 0600 it") == true)
        }
    }

    @Test func `with a wrong password says where it came from, and not what it was`() async throws {
        let server = try await TestServer.shared.value
        let given = await #expect(throws: PostgresError.self) { try await server.connect(server.onTCP("alice").with("password", "hush")) }
        #expect(given?.code == "28P01")
        #expect(given?.description.contains("\n  HINT: the connection string's password was sent") == true)
        #expect(given?.description.contains("hush") == false)
        try await withPassfile("*:*:*:*:hush") { path in
            let error = await #expect(throws: PostgresError.self) { try await server.connect(server.onTCP("alice").with("passfile", path)) }
            #expect(error?.code == "28P01")
            #expect(error?.description.hasSuffix("HINT: the password was read from \(path): correct its line 127.0.0.1:\(server.port):postgres:alice:PASSWORD") == true)
            #expect(error?.description.contains("hush") == false)
        }
    }

    @Test func `that pg_hba rejects speaks of pg_hba`() async throws {
        let server = try await TestServer.shared.value
        let error = await #expect(throws: PostgresError.self) { try await server.connect(server.onTCP("nobody")) }
        #expect(error?.code == "28000")
        #expect(error?.description.hasSuffix("HINT: allow database postgres, user nobody and this machine's address in the server's pg_hba.conf, and reload it") == true)
    }

    @Test func `to a database that is not there has its SQLSTATE`() async throws {
        let server = try await TestServer.shared.value
        let error = await #expect(throws: PostgresError.self) { try await server.connect(server.onSocket.with("dbname", "nowhere")) }
        #expect(error?.code == "3D000")
        #expect(error?.description.contains("FATAL: database \"nowhere\" does not exist") == true)
        #expect(error?.description.contains("LOCATION") == false)
    }

    @Test func `encrypts where it is asked to, and checks the host's name through a forwarded port`() async throws {
        let server = try await TestServer.shared.value
        let dsn = server.onTCP("encrypted").with("sslmode", "verify-full").with("sslrootcert", server.directory + "/server.crt")
        let connection = try await server.connect(dsn.forwarded(host: "server.test", address: "127.0.0.1", port: server.port))
        #expect(await connection.isTLS)
        let large = String(repeating: "0123456789abcdef", count: 1 << 18)
        #expect(try await connection.query("SELECT \(large)::text AS large", deadline: soon).one().get("large") == large)

        let other = await #expect(throws: PostgresError.self) {
            try await server.connect(dsn.forwarded(host: "other.test", address: "127.0.0.1", port: server.port))
        }
        #expect(other?.description.contains(#"server certificate for "server.test" does not match host name "other.test""#) == true)
        let plain = await #expect(throws: PostgresError.self) { try await server.connect(dsn.with("sslmode", "disable")) }
        #expect(plain?.code == "28000")
    }

    // libpq takes at most what fits its buffer of a record; the rest waits where no socket tells of it. Seen to hang with
    // libpq 16.0 where the client reads once; newer ones read on by themselves.
    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3"), "the TLS front is a Python script"))
    func `reads TLS records larger than libpq's buffer`() async throws {
        let server = try await TestServer.shared.value
        let front = Process(), (input, output) = (Pipe(), Pipe())
        front.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        let script = try #require(Bundle.module.path(forResource: "tls-records", ofType: "py"))
        front.arguments = [script, server.directory + "/server.crt", server.directory + "/data/server.key", "\(server.port)"]
        (front.standardInput, front.standardOutput) = (input, output)
        try front.run()
        defer { front.terminate() }
        let port = trimmedPort(output.fileHandleForReading.availableData)
        let connection = try await server.connect(server.onTCP("trusting").with("port", port).with("sslmode", "require"))
        #expect(await connection.isTLS)
        for size in stride(from: 6_400, through: 6_540, by: 20) {
            // Two records: the first ends within a row, so that the second, with the end of the answer, does not fit.
            let rows = try await connection.query("SELECT repeat('x', \(size)::int) AS text FROM generate_series(1, 5)", deadline: .after(.seconds(20)))
            #expect(try rows.map { try $0.get("text", as: String.self).utf8.count } == Array(repeating: size, count: 5))
        }
    }

    private func trimmedPort(_ data: Data) -> String { String(decoding: data, as: UTF8.self).filter(\.isNumber) }

    @Test func `is cancelled over TLS as well`() async throws {
        let server = try await TestServer.shared.value
        let connection = try await server.connect(server.onTCP("encrypted").with("sslmode", "require"))
        let error = await #expect(throws: DeadlineExceeded.self) { try await connection.query("SELECT pg_sleep(120)", deadline: .after(.seconds(3))) }
        #expect(error?.lastSeen == "cancelled")
    }

    @Test func `goes on to the next host when one refuses`() async throws {
        let server = try await TestServer.shared.value
        let free = try LoopbackListener()
        free.close()
        let connection = try await server.connect(server.onTCP("trusting").with("host", "127.0.0.1,127.0.0.1").with("port", "\(free.port),\(server.port)"))
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `to a port where nobody listens is refused`() async throws {
        let free = try LoopbackListener()
        free.close()
        let error = await #expect(throws: PostgresError.self) {
            try await PostgresConnection.connect(to: Conninfo(["host": "127.0.0.1", "port": "\(free.port)"]), node: "n9", deadline: soon)
        }
        #expect(error?.description.hasPrefix("n9: cannot connect to PostgreSQL: connection to server at \"127.0.0.1\", port \(free.port) failed: Connection refused") == true)
    }

    @Test func `to a server that says nothing ends at the deadline`() async throws {
        let silent = try LoopbackListener()
        defer { silent.close() }
        let dsn = Conninfo(["host": "127.0.0.1", "port": "\(silent.port)", "password": "hush"])
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await PostgresConnection.connect(to: dsn, node: "n1", deadline: .after(.seconds(5)))
        }
        #expect(error?.description == "gave up after 5 s waiting for n1 to accept a connection (host=127.0.0.1 port=\(silent.port)) (last seen: negotiating TLS)")
    }

    @Test func `to one host after the other tells of those that failed`() async throws {
        let (silent, free) = (try LoopbackListener(), try LoopbackListener())
        free.close()
        defer { silent.close() }
        let dsn = Conninfo(["host": "127.0.0.1,127.0.0.1", "port": "\(free.port),\(silent.port)", "sslmode": "disable"])
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await PostgresConnection.connect(to: dsn, node: "n1", deadline: .after(.seconds(5)))
        }
        #expect(
            error?.lastSeen?.hasPrefix(
                "connected, the server says nothing; before: connection to server at \"127.0.0.1\", port \(free.port) failed: Connection refused") == true)
    }

    @Test func `ends with its task`() async throws {
        let silent = try LoopbackListener()
        defer { silent.close() }
        let dsn = Conninfo(["host": "127.0.0.1", "port": "\(silent.port)"])
        let task = Task { try await PostgresConnection.connect(to: dsn, node: "n1", deadline: .after(.seconds(100))) }
        var peer = accept(silent.descriptor, nil, nil)
        #expect(peer >= 0)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        // The socket is closed with the attempt: what it had sent ends.
        var byte: UInt8 = 0
        while recv(peer, &byte, 1, 0) > 0 {}
        peer = close(peer)
        #expect(peer == 0)
    }

    @Test(arguments: [
        (Conninfo(["host": "127.0.0.1", "sslmode": "nonsense"]), #"invalid sslmode value: "nonsense""#),
        (Conninfo(["host": "127.0.0.1", "hots": "x"]), #"invalid connection option "hots""#),
        (Conninfo(["host": "127.0.0.1\0", "user": "x"]), "the value of host holds a NUL byte"),
    ])
    func `with options that make no sense says so`(dsn: Conninfo, message: String) async throws {
        let error = await #expect(throws: PostgresError.self) { try await PostgresConnection.connect(to: dsn, node: "n1", deadline: soon) }
        #expect(error?.description == "n1: cannot connect to PostgreSQL: \(message)")
    }

    @Test func `fifty times at once works, and leaves no socket behind`() async throws {
        let server = try await TestServer.shared.value
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<50 {
                group.addTask {
                    let connection = try await server.connect(server.onTCP("trusting").with("application_name", "fifty"))
                    return try await connection.query("SELECT \(number)::int AS n", deadline: soon).one().get("n")
                }
            }
            let sum = try await group.reduce(0, +)
            #expect(sum == 49 * 50 / 2)
        }
        let observer = try await server.connect()
        try await wait(for: "fifty connections to end", until: soon) {
            let left: Int = try await observer.query("SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'fifty'", deadline: soon).one().get("n")
            return left == 0 ? .found(()) : .notYet("\(left) left")
        }
    }
}
