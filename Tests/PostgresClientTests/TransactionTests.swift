import EventLoop
import PostgresClient
import Report
import Testing

@Suite struct `A transaction` {
    /// A connection, and a table of its own that other sessions see.
    private func table(_ name: String) async throws -> (connection: PostgresConnection, other: PostgresConnection) {
        let server = try await TestServer.shared.value
        let (connection, other) = (try await server.connect(), try await server.connect())
        try await connection.script("DROP TABLE IF EXISTS \(identifier: name); CREATE TABLE \(identifier: name) (i int UNIQUE DEFERRABLE INITIALLY DEFERRED)", deadline: soon)
        return (connection, other)
    }

    private func count(_ name: String, _ connection: PostgresConnection) async throws -> Int {
        try await connection.query("SELECT count(*) AS count FROM \(identifier: name)", deadline: soon).one().get("count")
    }

    private struct Refusal: Error, Equatable {}

    @Test func `commits what its body did, and gives what it gave`() async throws {
        let (connection, other) = try await table("committed")
        let seen = try await connection.transaction(deadline: soon) { transaction in
            try await transaction.query("INSERT INTO committed VALUES (\(1))")
            #expect(try await count("committed", other) == 0)
            return try await transaction.query("SELECT i FROM committed").one().get("i", as: Int.self)
        }
        #expect(seen == 1)
        #expect(try await count("committed", other) == 1)
    }

    @Test func `begins as it is told`() async throws {
        let (connection, _) = try await table("begun")
        let level = try await connection.transaction("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", deadline: soon) {
            try await $0.query("SHOW transaction_isolation").one().get("transaction_isolation", as: String.self)
        }
        #expect(level == "serializable")
    }

    @Test func `that throws is rolled back, and throws the same`() async throws {
        let (connection, other) = try await table("thrown")
        await #expect(throws: Refusal()) {
            try await connection.transaction(deadline: soon) { transaction in
                try await transaction.query("INSERT INTO thrown VALUES (1)")
                throw Refusal()
            }
        }
        #expect(try await count("thrown", other) == 0)
        #expect(try await count("thrown", connection) == 0)
    }

    @Test func `whose body ignores a server's error fails with that error`() async throws {
        let (connection, other) = try await table("ignored")
        let error = await #expect(throws: PostgresError.self) {
            try await connection.transaction(deadline: soon) { transaction in
                try await transaction.query("INSERT INTO ignored VALUES (1)")
                do { try await transaction.query("SELECT 1/0") } catch {}
                do { try await transaction.query("SELECT 2") } catch {}
            }
        }
        #expect(error?.code == "22012")
        #expect(try await count("ignored", other) == 0)
        #expect(try await count("ignored", connection) == 0)
    }

    @Test func `that fails at COMMIT leaves a usable connection`() async throws {
        let (connection, _) = try await table("deferred")
        let error = await #expect(throws: PostgresError.self) {
            try await connection.transaction(deadline: soon) { try await $0.query("INSERT INTO deferred VALUES (1), (1)") }
        }
        #expect(error?.code == "23505")
        #expect(try await count("deferred", connection) == 0)
    }

    @Test func `that cannot begin runs nothing`() async throws {
        let (connection, _) = try await table("unbegun")
        let error = await #expect(throws: PostgresError.self) {
            try await connection.transaction("BEGIN ISOLATION LEVEL NONSENSE", deadline: soon) {
                try await $0.query("INSERT INTO unbegun VALUES (1)")
                Issue.record("the body went on")
            }
        }
        #expect(error?.code == "42601")
        let together = await #expect(throws: PostgresError.self) {
            try await connection.transaction("BEGIN ISOLATION LEVEL NONSENSE", deadline: soon) {
                try await $0.query(together: ["INSERT INTO unbegun VALUES (1)", "INSERT INTO unbegun VALUES (2)"])
            }
        }
        #expect(together?.code == "42601")
        #expect(try await count("unbegun", connection) == 0)
    }

    @Test func `that does nothing sends nothing`() async throws {
        let (connection, _) = try await table("idle")
        try await connection.transaction("BEGIN ISOLATION LEVEL NONSENSE", deadline: soon) { _ in }
        #expect(try await count("idle", connection) == 0)
    }

    @Test func `of which the first of several statements fails is rolled back as a whole`() async throws {
        let (connection, _) = try await table("several")
        let error = await #expect(throws: PostgresError.self) {
            try await connection.transaction(deadline: soon) {
                try await $0.query(together: ["INSERT INTO several VALUES (1)", "SELECT 1 / 0", "INSERT INTO several VALUES (2)"])
            }
        }
        #expect(error?.code == "22012")
        #expect(try await count("several", connection) == 0)
        let answers = try await connection.transaction(deadline: soon) { try await $0.query(together: ["SELECT 1 AS n", "SELECT 2 AS n"]) }
        #expect(try answers.map { try $0.one().get("n", as: Int.self) } == [1, 2])
    }

    @Test func `keeps other callers out until it is over`() async throws {
        let (connection, other) = try await table("alone")
        let outsider = try await connection.transaction(deadline: soon) { transaction in
            let outsider = Task { try await count("alone", connection) }
            for number in 1...5 { try await transaction.query("INSERT INTO alone VALUES (\(number))") }
            let tooEarly = await #expect(throws: DeadlineExceeded.self) {
                try await connection.query("SELECT 'outside'", deadline: .after(.milliseconds(50)))
            }
            #expect(tooEarly?.description == "gave up after 50 ms waiting for its turn on the connection to n1: SELECT 'outside' (last seen: a transaction had the connection)")
            #expect(try await count("alone", other) == 0)
            return outsider
        }
        #expect(try await outsider.value == 5)
    }

    @Test func `takes its own statements one after the other`() async throws {
        let (connection, _) = try await table("ordered")
        try await connection.transaction(deadline: soon) { transaction in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 { group.addTask { try await transaction.query("INSERT INTO ordered VALUES (\(number))") } }
                try await group.waitForAll()
            }
        }
        #expect(try await count("ordered", connection) == 20)
    }

    @Test func `cannot be used when it is over`() async throws {
        let (connection, _) = try await table("over")
        let leaked = try await connection.transaction(deadline: soon) { $0 }
        let error = await #expect(throws: PostgresError.self) { try await leaked.query("SELECT 1", deadline: soon) }
        #expect(error?.description == "n1: statement not sent: its transaction is over: SELECT 1")
    }

    @Test func `of a cancelled task is rolled back`() async throws {
        let (connection, other) = try await table("cancelled")
        let task = Task {
            try await connection.transaction(deadline: soon) { transaction in
                try await transaction.query("INSERT INTO cancelled VALUES (1)")
                withUnsafeCurrentTask { $0?.cancel() }
            }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try await count("cancelled", other) == 0)
        #expect(try await count("cancelled", connection) == 0)
    }

    @Test func `at its deadline is rolled back`() async throws {
        let (connection, other) = try await table("late")
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await connection.transaction(deadline: soon) { transaction in
                try await transaction.query("INSERT INTO late VALUES (1)")
                try await transaction.query("SELECT pg_sleep(120)", deadline: .after(.seconds(3)))
            }
        }
        #expect(error?.description == "gave up after 3 s waiting for n1 to answer: SELECT pg_sleep(120) (last seen: cancelled)")
        #expect(try await count("late", other) == 0)
        #expect(try await count("late", connection) == 0)
    }

    @Test func `on a connection that dies throws the first error`() async throws {
        let (connection, other) = try await table("died")
        let pid = await connection.backendPID
        let error = await #expect(throws: PostgresError.self) {
            try await connection.transaction(deadline: soon) { transaction in
                try await transaction.query("INSERT INTO died VALUES (1)")
                try await other.query("SELECT pg_terminate_backend(\(Int(pid)), 60000)", deadline: soon)
                try await transaction.query("SELECT 1")
            }
        }
        guard case .connectionLost("n1", let message, "57P01") = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(message == "FATAL: terminating connection due to administrator command")
        #expect(try await count("died", other) == 0)
    }
}
