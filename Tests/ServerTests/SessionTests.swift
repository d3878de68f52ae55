import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import Scratch
import Testing

@testable import Server

@Suite("Sessions", .serialized) struct SessionTests {
    @Test(arguments: ScratchArea.versions)
    func `have the same settings whatever their role has, and no time limit of others`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let admin = try await pair.session()
        try await admin.run("CREATE ROLE settled LOGIN")
        for setting in ["search_path", "datestyle", "timezone", "statement_timeout", "synchronous_commit", "default_transaction_read_only"] {
            let value = ["search_path": "public", "datestyle": "German", "timezone": "Asia/Kathmandu", "statement_timeout": "1h"][setting] ?? "on"
            try await admin.run("ALTER ROLE settled SET \(identifier: setting) = \(literal: value)")
        }
        let client = try await pair.client(user: "settled")
        let asItIs = await ServerSession(asItIs: client)
        func value(_ name: String) async throws -> String { try await asItIs.run("SELECT current_setting(\(name)) AS value").one().get("value") }
        #expect(try await value("timezone") == "Asia/Kathmandu")
        #expect(await asItIs.isSuperuser == false)
        #expect(await admin.isSuperuser)

        let session = try await ServerSession.open(client, settings: [SessionSetting("work_mem", "7MB"), SessionSetting("spock.readonly", "off")], deadline: soon)
        #expect(session.features.version == pair.primary.version)
        for (name, expected) in [
            ("search_path", "pg_catalog"), ("datestyle", "ISO, YMD"), ("timezone", "UTC"), ("statement_timeout", "0"), ("synchronous_commit", "local"),
            ("default_transaction_read_only", "off"), ("intervalstyle", "postgres"), ("extra_float_digits", "3"), ("bytea_output", "hex"), ("work_mem", "7MB"),
        ] { #expect(try await value(name) == expected, "\(name)") }
        // Of those that not every version has, each that this one has.
        let known = try await admin.settings(SessionSetting.own.map(\.name), deadline: soon)
        for setting in SessionSetting.own where known[setting.name] != nil { #expect(try await value(setting.name) == setting.value, "\(setting.name)") }
        #expect(known.count >= 14)
        await client.close()
        await admin.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `are known by their name, ended by it, and by their process`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("named")
        let earlier = try await pair.session(database: "named", application: "graft run"), other = try await pair.session(database: "named", application: "shop")
        let session = try await pair.session(database: "named", application: "graft run"), elsewhere = try await pair.session(application: "graft run")
        try await session.terminateEarlierSessions(named: "graft run", deadline: soon)
        try await wait(for: "the earlier session to end", until: soon) {
            await earlier.isAlive(deadline: soon) ? .notYet("it answers") : .found(())
        }
        #expect(await other.isAlive(deadline: soon))
        #expect(await session.isAlive(deadline: soon))
        #expect(await elsewhere.isAlive(deadline: soon))

        let pid = await other.backendPID
        try await other.setApplicationName("pggraft run 1, pid 7", deadline: soon)
        #expect(try await session.applicationName(of: pid, deadline: soon) == "pggraft run 1, pid 7")
        #expect(try await session.terminate(pid, deadline: soon))
        try await wait(for: "the session to be gone", until: soon) {
            try await session.applicationName(of: pid, deadline: soon) == nil ? .found(()) : .notYet("it is there")
        }
        #expect(try await !session.terminate(pid, deadline: soon))
        for session in [session, elsewhere] { await session.connection.close() }
    }

    @Test(arguments: ScratchArea.versions)
    func `of clients are ended but for those of some roles`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let session = try await pair.session()
        try await session.run("CREATE ROLE guest LOGIN")
        let guest = try await pair.client(user: "guest"), host = try await pair.client()
        // Those of the other tests.
        try await session.terminateClients(except: ["postgres", "settled", "visitor", "copier"], deadline: soon)
        try await wait(for: "the guest to be gone", until: soon) { () -> Look<Void> in
            do {
                try await guest.query("SELECT 1", deadline: soon)
                return .notYet("it answers")
            } catch let error as PostgresError where error.isServerAway { return .found(()) }
        }
        try await host.query("SELECT 1", deadline: soon)
        await host.close()
        await session.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `hold an advisory lock that others see, in their database, until they end`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries), key = AdvisoryLockKey("pggraft app"), another = AdvisoryLockKey("pggraft crm")
        try await pair.database("locks")
        let first = try await pair.session(database: "locks", application: "pggraft run 1"), second = try await pair.session(database: "locks")
        let elsewhere = try await pair.session()
        #expect(try await second.holder(of: key, deadline: soon) == nil)
        #expect(try await first.tryAdvisoryLock(key, deadline: soon))
        #expect(try await !second.tryAdvisoryLock(key, deadline: soon))
        #expect(try await second.tryAdvisoryLock(another, deadline: soon))
        #expect(try await elsewhere.tryAdvisoryLock(key, deadline: soon))
        let holder = try #require(try await second.holder(of: key, deadline: soon))
        #expect(holder.pid == (await first.backendPID))
        #expect(holder.application == "pggraft run 1")
        #expect(holder.since.hasPrefix("20") && holder.since.hasSuffix("+00"), "\(holder.since)")
        #expect(try await first.holder(of: another, deadline: soon)?.pid == (await second.backendPID))
        await first.connection.close()
        try await wait(for: "the lock to be free", until: soon) {
            try await second.tryAdvisoryLock(key, deadline: soon) ? .found(()) : .notYet("somebody has it")
        }
        for session in [second, elsewhere] { await session.connection.close() }
    }

    @Test(arguments: ScratchArea.versions)
    func `work on a standby whose database asks for serializable transactions`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("strict")
        let primary = try await pair.session(database: "strict")
        for setting: SQL in ["default_transaction_isolation = serializable", "default_transaction_deferrable = on", "statement_timeout = 1", "search_path = nowhere"] {
            try await primary.run("ALTER DATABASE strict SET \(setting)")
        }
        let written = try await primary.insertLSN(deadline: soon), watcher = try await pair.standbySession()
        try await watcher.waitReplayed(to: written, of: "n1", deadline: soon)
        func connect(_ options: String?) async throws -> PostgresConnection {
            var conninfo = Conninfo(["host": "127.0.0.1", "port": "\(pair.standby.port)", "user": "postgres", "dbname": "strict", "sslmode": "disable"])
            conninfo["options"] = options
            return try await PostgresConnection.connect(to: conninfo, node: "n2", deadline: soon)
        }
        let plain = try await connect(nil)
        await #expect(throws: PostgresError.self) { try await ServerSession.open(plain, deadline: soon) }
        let bare = try await connect(SessionSetting.startupOptions)
        #expect(try await bare.query("SELECT pg_is_in_recovery() AS is_so, pg_sleep(0.05)", deadline: soon).one().get("is_so"))
        let session = try await ServerSession.open(bare, deadline: soon)
        #expect(try await session.run("SELECT current_setting('transaction_isolation') AS isolation").one().get("isolation") == "read committed")
        for connection in [plain, bare, primary.connection, watcher.connection] { await connection.close() }
    }

}
