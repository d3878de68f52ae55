import EventLoop
import Foundation
import PostgresClient
import Report
import Testing

/// Statements that do not come to their own end: deadlines, cancellation, dead and frozen servers.
@Suite struct `A statement` {
    private func waitUntilRunning(_ pid: Int32, _ observer: PostgresConnection) async throws {
        try await wait(for: "backend \(pid) to sleep", until: soon) {
            let rows = try await observer.query("SELECT wait_event FROM pg_stat_activity WHERE pid = \(Int(pid))", deadline: soon)
            return try rows.one().optional("wait_event", as: String.self) == "PgSleep" ? .found(()) : .notYet("not yet")
        }
    }

    private func isRunning(_ pid: Int32, _ observer: PostgresConnection) async throws -> Bool {
        try await observer.query("SELECT count(*) AS n FROM pg_stat_activity WHERE pid = \(Int(pid)) AND state = 'active'", deadline: soon).one().get("n") == 1
    }

    @Test func `is cancelled on the server at its deadline`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let started = ContinuousClock.now
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await connection.query("SELECT pg_sleep(\(120))", deadline: .after(.seconds(3)))
        }
        #expect(error?.description == "gave up after 3 s waiting for n1 to answer: SELECT pg_sleep($1) (last seen: cancelled)")
        #expect(ContinuousClock.now - started < .seconds(60))
        #expect(try await !isRunning(connection.backendPID, observer))
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `is cancelled on the server with its task`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let task = Task { try await connection.query("SELECT pg_sleep(120)", deadline: .after(.seconds(100))) }
        try await waitUntilRunning(connection.backendPID, observer)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await !isRunning(connection.backendPID, observer))
        #expect(try await connection.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `whose deadline has passed, or whose task is cancelled, is not sent`() async throws {
        let connection = try await TestServer.shared.value.connect()
        try await connection.query("CREATE TEMPORARY TABLE unsent (i int)", deadline: soon)
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await connection.query("INSERT INTO unsent VALUES (1)", deadline: .after(.zero))
        }
        #expect(error?.lastSeen == "not sent: no time was left")
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await connection.query("INSERT INTO unsent VALUES (1)", deadline: soon)
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await connection.query("TABLE unsent", deadline: soon).isEmpty)
    }

    @Test func `that waits for its turn stops waiting at its deadline, and with its task`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let long = Task { try await connection.query("SELECT pg_sleep(120)", deadline: .after(.seconds(100))) }
        try await waitUntilRunning(connection.backendPID, observer)
        let error = await #expect(throws: DeadlineExceeded.self) { try await connection.query("SELECT 1", deadline: .after(.milliseconds(50))) }
        #expect(error?.description == "gave up after 50 ms waiting for its turn on the connection to n1: SELECT 1 (last seen: another statement was running)")
        let queued = Task { try await connection.query("SELECT 2", deadline: soon) }
        queued.cancel()
        await #expect(throws: CancellationError.self) { try await queued.value }
        #expect(try await isRunning(connection.backendPID, observer))
        long.cancel()
        await #expect(throws: CancellationError.self) { try await long.value }
        #expect(try await connection.query("SELECT 3 AS three", deadline: soon).one().get("three") == 3)
    }

    @Test func `cancelled again and again never hits the next one`() async throws {
        let connection = try await TestServer.shared.value.connect()
        for round in 0..<50 {
            do {
                try await connection.query("SELECT pg_sleep(\("0.00\(round % 10)"))", deadline: .after(.milliseconds(5)))
            } catch is DeadlineExceeded {}
            #expect(try await connection.query("SELECT \(round)::int AS round", deadline: soon).one().get("round") == round)
        }
    }

    @Test func `on a frozen backend ends at its deadline, and closes the connection`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let pid = await connection.backendPID
        kill(pid, SIGSTOP)
        defer { kill(pid, SIGCONT) }
        let error = await #expect(throws: DeadlineExceeded.self) { try await connection.query("SELECT 1", deadline: .after(.seconds(3))) }
        #expect(error?.lastSeen == "the server did not act on a cancel request within 5 s; the connection is closed, the statement may still be running")
        let later = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1", deadline: soon) }
        #expect(later?.description == "n1: connection to PostgreSQL lost: closed by pggraft, because the server did not act on a cancel request within 5 s")
        #expect(try await observer.query("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `on a frozen server ends at its deadline, though the cancel request blocks`() async throws {
        let server = try await TestServer()
        let connection = try await server.connect()
        let pids = [try server.postmaster, await connection.backendPID]
        for pid in pids { kill(pid, SIGSTOP) }
        defer { for pid in pids { kill(pid, SIGCONT) } }
        let error = await #expect(throws: DeadlineExceeded.self) { try await connection.query("SELECT 1", deadline: .after(.seconds(3))) }
        #expect(error?.lastSeen == "the server took no cancel request; the connection is closed, the statement may still be running")
        await #expect(throws: DeadlineExceeded.self) { try await server.connect(deadline: .after(.seconds(3))) }
    }

    @Test func `whose backend is terminated fails with a lost connection, and every later one too`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let task = Task { try await connection.query("SELECT pg_sleep(120)", deadline: .after(.seconds(100))) }
        try await waitUntilRunning(connection.backendPID, observer)
        // The second asks the connection before what follows does.
        let queued = Task.immediate { try await connection.query("SELECT 1", deadline: .after(.seconds(100))) }
        try await observer.query("SELECT pg_terminate_backend(\(Int(connection.backendPID)))", deadline: soon)
        for task in [task, queued] {
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == "57P01")
            #expect(error?.description == "n1: connection to PostgreSQL lost: FATAL: terminating connection due to administrator command")
        }
        let later = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1", deadline: soon) }
        #expect(later?.code == "57P01")
        // What was known about the server stays known.
        #expect(await connection.serverVersion >= ServerVersion(9))
    }

    @Test func `whose backend is killed fails with a lost connection`() async throws {
        let server = try await TestServer()
        let (connection, observer) = (try await server.connect(server.onTCP("trusting")), try await server.connect())
        let task = Task { try await connection.query("SELECT pg_sleep(120)", deadline: .after(.seconds(100))) }
        try await waitUntilRunning(connection.backendPID, observer)
        kill(await connection.backendPID, SIGKILL)
        let error = await #expect(throws: PostgresError.self) { try await task.value }
        guard case .connectionLost("n1", let message, nil) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(message.contains("server closed the connection unexpectedly"))
    }

    @Test func `on a server that stops fails with a lost connection, and nobody can connect`() async throws {
        let server = try await TestServer()
        let (running, idle) = (try await server.connect(server.onTCP("trusting")), try await server.connect())
        let task = Task { try await running.query("SELECT pg_sleep(120)", deadline: .after(.seconds(100))) }
        try await waitUntilRunning(running.backendPID, idle)
        kill(try server.postmaster, SIGQUIT)
        for statement in [{ try await task.value }, { try await idle.query("SELECT 1", deadline: soon) }] {
            let error = await #expect(throws: PostgresError.self) { try await statement() }
            guard case .connectionLost = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        try await wait(for: "the server to be gone", until: soon) {
            FileManager.default.fileExists(atPath: server.directory + "/data/postmaster.pid") ? .notYet("") : .found(())
        }
        let error = await #expect(throws: PostgresError.self) { try await server.connect(server.onTCP("trusting")) }
        #expect(error?.description.contains("Connection refused") == true)
        #expect(error?.code == nil)
    }

    @Test func `under way when the connection is closed fails at once`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let task = Task { try await connection.query("SELECT pg_sleep(120)", deadline: .after(.seconds(100))) }
        try await waitUntilRunning(connection.backendPID, observer)
        await connection.close()
        let error = await #expect(throws: PostgresError.self) { try await task.value }
        #expect(error?.description == "n1: connection to PostgreSQL lost: closed by pggraft")
        await connection.close()
        #expect(await connection.takeNotices().isEmpty)
        #expect(await connection.parameterStatus("server_version") == nil)
    }

    @Test func `too large for the socket's buffer can be stopped while it is sent`() async throws {
        let server = try await TestServer.shared.value
        let connection = try await server.connect()
        let pid = await connection.backendPID
        kill(pid, SIGSTOP)
        let large = String(repeating: "x", count: 64 << 20)
        let task = Task { try await connection.query("SELECT \(large)::text", deadline: .after(.seconds(3))) }
        let error = await #expect(throws: DeadlineExceeded.self) { try await task.value }
        #expect(error?.lastSeen?.contains("the connection is closed") == true)
        kill(pid, SIGCONT)
    }
}
