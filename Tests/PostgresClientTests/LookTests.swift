import EventLoop
import Foundation
import PostgresClient
import Testing

/// Statements that travel together.
@Suite struct `Looks` {
    @Test func `of many tasks are sent without waiting for each other's answers`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let pid = await connection.backendPID
        kill(pid, SIGSTOP)
        let tasks = (0..<50).map { number in Task { try await connection.look("SELECT \(number)::int AS number", deadline: soon).one().get("number", as: Int.self) } }
        // The backend is frozen: none of them has an answer, and each is on its way all the same.
        try await wait(for: "all to be sent", until: soon) { await connection.sentLooks == 50 ? .found(()) : .notYet("\(await connection.sentLooks)") }
        kill(pid, SIGCONT)
        for (number, task) in tasks.enumerated() { #expect(try await task.value == number) }
        #expect(try await observer.look("SELECT 1 AS one", deadline: soon).one().get("one") == 1)
    }

    @Test func `fail each by itself, and statements go on between them`() async throws {
        let connection = try await TestServer.shared.value.connect()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<100 {
                group.addTask {
                    switch number % 4 {
                    case 0:
                        let error = await #expect(throws: PostgresError.self) { try await connection.look("SELECT 1 / (\(number)::int - \(number)::int)", deadline: soon) }
                        #expect(error?.code == "22012")
                    case 1: #expect(try await connection.query("SELECT \(number)::int AS n", deadline: soon).one().get("n") == number)
                    case 2:
                        let answers = try await connection.script("SELECT 1; SELECT \(literal: "\(number)")::int AS n", deadline: soon)
                        #expect(try answers[1].one().get("n") == number)
                    default: #expect(try await connection.look("SELECT \(number)::int AS n", deadline: soon).one().get("n") == number)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test func `of which one is given up leave the others their answers`() async throws {
        let server = try await TestServer.shared.value
        let (connection, holder) = (try await server.connect(), try await server.connect())
        func areSent(_ count: Int) async throws {
            try await wait(for: "\(count) to be sent", until: soon) { await connection.sentLooks == count ? .found(()) : .notYet("\(await connection.sentLooks)") }
        }
        // Never a look in earnest: it is given up behind another one, which does not end before that, in front of others, and is cancelled for their sake.
        try await holder.query("SELECT pg_advisory_lock(4711)", deadline: soon)
        let first = Task { try await connection.look("SELECT 1 AS n FROM (SELECT pg_advisory_xact_lock_shared(4711)) AS held", deadline: soon).one().get("n", as: Int.self) }
        try await areSent(1)
        let slow = Task { try await connection.look("SELECT pg_sleep(100)", deadline: .after(.seconds(3))) }
        try await areSent(2)
        let others = (0..<10).map { number in Task { try await connection.look("SELECT \(number)::int AS n", deadline: soon).one().get("n", as: Int.self) } }
        let given = Task { try await connection.look("SELECT 7", deadline: soon) }
        given.cancel()
        await #expect(throws: CancellationError.self) { try await given.value }
        await #expect(throws: DeadlineExceeded.self) { try await slow.value }
        try await holder.query("SELECT pg_advisory_unlock(4711)", deadline: soon)
        #expect(try await first.value == 1)
        for (number, task) in others.enumerated() { #expect(try await task.value == number) }
        #expect(try await connection.query("SELECT 3 AS three", deadline: soon).one().get("three") == 3)
    }

    @Test func `wait behind a transaction, and end with their connection`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let number = try await connection.transaction(deadline: soon) { transaction in
            let look = Task { try await connection.look("SELECT txid_current_if_assigned() IS NULL AS outside", deadline: soon).one().get("outside", as: Bool.self) }
            let answers = try await transaction.query(together: ["SELECT txid_current() AS id", "SELECT \("x") AS x", "SELECT txid_current() AS id"])
            #expect(try answers[0].one().get("id", as: Int.self) == answers[2].one().get("id", as: Int.self))
            return look
        }
        #expect(try await number.value)
        let pid = await connection.backendPID
        let tasks = (0..<5).map { _ in Task { try await connection.look("SELECT pg_sleep(20)", deadline: soon) } }
        try await wait(for: "all to be sent", until: soon) { await connection.sentLooks == 5 ? .found(()) : .notYet("") }
        try await observer.query("SELECT pg_terminate_backend(\(Int(pid)))", deadline: soon)
        for task in tasks {
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == "57P01")
        }
    }

    @Test func `sent together are answered in their order, each a transaction of its own`() async throws {
        let connection = try await TestServer.shared.value.connect()
        try await connection.query("CREATE TEMPORARY TABLE together (i int PRIMARY KEY)", deadline: soon)
        let answers = try await connection.query(together: (0..<3000).map { "INSERT INTO together VALUES (\($0)::int) RETURNING i" }, deadline: soon)
        #expect(try answers.map { try $0.one().get("i", as: Int.self) } == Array(0..<3000))
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(together: ["INSERT INTO together VALUES (5000)", "INSERT INTO together VALUES (1)", "INSERT INTO together VALUES (5001)"], deadline: soon)
        }
        #expect(error?.code == "23505")
        #expect(try await connection.look("SELECT count(*) AS n FROM together WHERE i >= 5000", deadline: soon).one().get("n") == 2)
        let rolledBack = await #expect(throws: PostgresError.self) {
            try await connection.transaction(deadline: soon) { try await $0.query(together: ["INSERT INTO together VALUES (6000)", "INSERT INTO together VALUES (1)"]) }
        }
        #expect(rolledBack?.code == "23505")
        #expect(try await connection.look("SELECT count(*) AS n FROM together WHERE i = 6000", deadline: soon).one().get("n") == 0)
        // Large texts both ways, more than a socket holds.
        let text = String(repeating: "x", count: 2_000_000)
        let large = try await connection.query(together: (0..<8).map { _ in "SELECT \(text)::text AS text" }, deadline: soon)
        #expect(try large.allSatisfy { try $0.one().get("text", as: String.self).count == text.count })
    }

    @Test func `sent together and given up are cancelled`() async throws {
        let server = try await TestServer.shared.value
        let (connection, observer) = (try await server.connect(), try await server.connect())
        let pid = await connection.backendPID
        await #expect(throws: DeadlineExceeded.self) {
            try await connection.query(together: ["SELECT pg_sleep(100)", "SELECT 1"], deadline: .after(.milliseconds(300)))
        }
        try await wait(for: "the backend to end", until: soon) {
            try await observer.look("SELECT count(*) AS n FROM pg_stat_activity WHERE pid = \(Int(pid)) AND state = 'active'", deadline: soon).one().get("n", as: Int.self) == 0
                ? .found(()) : .notYet("it runs")
        }
    }
}
