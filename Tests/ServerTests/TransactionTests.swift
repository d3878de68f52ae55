import EventLoop
import PostgresClient
import Scratch
import Testing

@testable import Server

@Suite("Transactions of clients", .serialized) struct TransactionTests {
    @Test(arguments: ScratchArea.versions)
    func `are waited for while they can still write, and ended after a grace`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("shop")
        let session = try await pair.session(database: "shop")
        try await session.run("CREATE TABLE public.t (id int)")
        let polite = try await pair.client(database: "shop"), stubborn = try await pair.client(database: "shop"), reader = try await pair.client(database: "shop")
        let own = try await pair.client(database: "shop", application: "pggraft"), spared = try await pair.client(database: "shop")
        let elsewhere = try await pair.client()
        for client in [polite, stubborn, own, spared, elsewhere] {
            try await client.query("BEGIN", deadline: soon)
            try await client.query("SELECT txid_current()", deadline: soon)
        }
        try await reader.query("BEGIN", deadline: soon)
        try await reader.query("SELECT * FROM public.t", deadline: soon)
        let moment = try await session.now(), sparing = [Int(await spared.backendPID)]

        let open = try await session.clientTransactions(begunBefore: moment, sparing: sparing, deadline: soon)
        #expect(Set(open.map(\.pid)) == [Int(await polite.backendPID), Int(await stubborn.backendPID), Int(await own.backendPID)])
        #expect(open.allSatisfy { $0.hasTransactionID && $0.state == "idle in transaction" && $0.client == "127.0.0.1" && $0.role == "postgres" })
        let late = await #expect(throws: DeadlineExceeded.self) {
            try await session.endClientTransactions(begunBefore: moment, grace: .seconds(60), sparing: sparing, deadline: .after(.milliseconds(200)))
        }
        #expect(late?.waitedFor == "client transactions on n1 to end")
        #expect(late?.lastSeen?.contains("pid \(await polite.backendPID) (postgres, shop, 127.0.0.1, idle in transaction, has written) since ") == true, "\(late?.lastSeen ?? "")")

        try await polite.query("COMMIT", deadline: soon)
        // Ours is waited for, and never ended.
        let ours = await #expect(throws: DeadlineExceeded.self) {
            try await session.endClientTransactions(begunBefore: moment, grace: .zero, sparing: sparing, deadline: .after(.milliseconds(500)))
        }
        #expect(ours?.lastSeen?.contains("pid \(await own.backendPID) (postgres, pggraft, ") == true, "\(ours?.lastSeen ?? "")")
        await #expect(throws: PostgresError.self) { try await stubborn.query("COMMIT", deadline: soon) }
        try await own.query("COMMIT", deadline: soon)
        #expect(try await session.endClientTransactions(begunBefore: moment, grace: .zero, sparing: sparing, deadline: soon).isEmpty)
        for client in [spared, elsewhere, reader] { try await client.query("COMMIT", deadline: soon) }
        for client in [polite, own, spared, elsewhere, reader] { await client.close() }
        await session.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `count from the statement that was running, also where sessions do not say what they do`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("running")
        let session = try await pair.session(database: "running")
        try await session.run("ALTER DATABASE running SET track_activities = off")
        let lock = AdvisoryLockKey("running")
        #expect(try await session.tryAdvisoryLock(lock, deadline: soon))
        let idle = try await pair.client(database: "running"), running = try await pair.client(database: "running")
        let began = Task { try await running.query("SELECT pg_advisory_lock_shared(\(lock.number))", deadline: soon) }
        let pid = Int(await running.backendPID)
        try await wait(for: "the statement to run", until: soon) {
            let moment = ServerMoment(microseconds: try await session.now().microseconds + 1_000_000)
            let open = try await session.clientTransactions(begunBefore: moment, deadline: soon)
            return open.map(\.pid) == [pid] && open.first?.state == "disabled" ? .found(()) : .notYet("\(open)")
        }
        let ended = try await session.endClientTransactions(begunBefore: try await session.now(), grace: .zero, deadline: soon)
        #expect(ended.map(\.pid) == [pid] && ended.first?.hasTransactionID == false)
        await #expect(throws: PostgresError.self) { try await began.value }
        try await idle.query("SELECT 1", deadline: soon)
        await idle.close()
        await session.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `that are prepared are waited for in their own database`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("prepared")
        let session = try await pair.session(database: "prepared"), elsewhere = try await pair.session()
        try await session.run("BEGIN")
        try await session.run("CREATE TABLE public.t (id int)")
        try await session.run("PREPARE TRANSACTION 'in doubt'")
        let moment = try await session.now()
        let late = await #expect(throws: DeadlineExceeded.self) {
            try await session.endClientTransactions(begunBefore: moment, grace: .zero, deadline: .after(.milliseconds(100)))
        }
        #expect(late?.lastSeen?.hasPrefix("prepared 'in doubt' (postgres, database prepared) since ") == true, "\(late?.lastSeen ?? "")")
        let all = try await elsewhere.preparedTransactions(deadline: soon)
        #expect(all.contains { $0.identifier == "in doubt" && $0.owner == "postgres" && $0.database == "prepared" })
        try await session.run("ROLLBACK PREPARED 'in doubt'")
        #expect(try await session.endClientTransactions(begunBefore: moment, grace: .zero, deadline: soon).isEmpty)
        for session in [session, elsewhere] { await session.connection.close() }
    }
}
