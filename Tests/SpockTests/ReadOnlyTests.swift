import EventLoop
import PostgresClient
import Server
import Testing

@testable import Spock

/// What happens to clients, on a mesh of two nodes.
@Suite(.enabled(if: TestMesh.binaries != nil, "PGGRAFT_SPOCK_BINDIR names no PostgreSQL with Spock"), .serialized)
struct ReadOnlyTests {
    @Test func `a closed node refuses clients, waits for those inside, drains, and opens as it was`() async throws {
        let mesh = try await TestMesh(servers: 2)
        let sessions = try await mesh.sessions()
        let (n1, n2) = (sessions[0], sessions[1])
        try await mesh.join([0, 1], sessions, tables: ["CREATE TABLE public.t (id int PRIMARY KEY)"])
        for session in sessions { try await session.run("SELECT spock.repset_add_table('default', 'public.t')") }
        let version = try #require(try await n1.state(deadline: soon).version)
        let mode = ReadOnlyMode.closingClients(on: version)
        let before = try await n1.server.alteredSetting(ReadOnlyMode.setting, deadline: soon)
        #expect(before == AlteredSetting(inForce: "off", altered: nil))

        let polite = try await mesh.client(0), stubborn = try await mesh.client(0), reader = try await mesh.client(0)
        for (id, client) in [polite, stubborn].enumerated() {
            try await client.query("BEGIN", deadline: soon)
            try await client.query("INSERT INTO public.t VALUES (\(id))", deadline: soon)
        }
        try await reader.query("BEGIN", deadline: soon)
        try await reader.query("SELECT * FROM public.t", deadline: soon)

        let flip = try await n1.close(mode, version: version, deadline: soon)
        try await n1.close(mode, version: version, deadline: soon)
        #expect(try await n1.server.alteredSetting(ReadOnlyMode.setting, deadline: soon) == AlteredSetting(inForce: mode.rawValue, altered: mode.rawValue))
        let refused = await #expect(throws: PostgresError.self) { try await reader.query("INSERT INTO public.t VALUES (99)", deadline: soon) }
        #expect("\(try #require(refused))".contains("read-only"))

        // Two hold a transaction id; the reader, who may not write any more, is let alone.
        let open = try await n1.server.clientTransactions(begunBefore: flip, deadline: soon)
        #expect(Set(open.map(\.pid)) == [Int(await polite.backendPID), Int(await stubborn.backendPID)])
        #expect(open.allSatisfy { $0.hasTransactionID })
        await #expect(throws: DeadlineExceeded.self) {
            try await n1.server.endClientTransactions(begunBefore: flip, grace: .seconds(60), deadline: .after(.milliseconds(300)))
        }
        try await polite.query("COMMIT", deadline: soon)
        let stubbornPID = Int(await stubborn.backendPID)
        let ended = try await n1.server.endClientTransactions(begunBefore: flip, grace: .milliseconds(1), deadline: soon)
        #expect(ended.map(\.pid) == [stubbornPID])
        await #expect(throws: PostgresError.self) { try await stubborn.query("COMMIT", deadline: soon) }

        // The polite one's row arrives although both ends are closed.
        let before2 = try await n2.server.alteredSetting(ReadOnlyMode.setting, deadline: soon)
        try await n2.close(mode, version: version, deadline: soon)
        let subscription = try #require(try await n2.subscriptions(deadline: soon).first)
        _ = try await drain([Direction(provider: n1, subscriber: n2, origin: subscription.origin)], deadline: soon)
        #expect(try await n2.run("SELECT array_agg(id)::text[] AS ids FROM public.t").one().get("ids") == ["0"])

        try await n2.server.alterSystem(ReadOnlyMode.setting, to: before2.altered, expecting: before2.inForce, deadline: soon)
        try await n1.server.alterSystem(ReadOnlyMode.setting, to: before.altered, expecting: before.inForce, deadline: soon)
        try await n1.server.alterSystem(ReadOnlyMode.setting, to: before.altered, expecting: before.inForce, deadline: soon)
        #expect(try await n1.server.alteredSetting(ReadOnlyMode.setting, deadline: soon) == before)
        try await n1.run("INSERT INTO public.t VALUES (7)")
        for session in sessions { #expect(try await session.exceptionCount(deadline: soon) == 0) }
    }

    @Test func `prepared transactions and their owners are named, in waits and in findings`() async throws {
        let mesh = try await TestMesh(servers: 1)
        let n1 = try await mesh.session(0), client = try await mesh.client(0)
        try await mesh.join([0], [n1], tables: ["CREATE TABLE public.t (id int PRIMARY KEY)"])
        try await client.query("BEGIN", deadline: soon)
        try await client.query("INSERT INTO public.t VALUES (1)", deadline: soon)
        try await client.query("PREPARE TRANSACTION 'left behind'", deadline: soon)

        let version = try #require(try await n1.state(deadline: soon).version)
        let before = try await n1.server.alteredSetting(ReadOnlyMode.setting, deadline: soon)
        let flip = try await n1.close(.closingClients(on: version), version: version, deadline: soon)
        let late = await #expect(throws: DeadlineExceeded.self) {
            try await n1.server.endClientTransactions(begunBefore: flip, grace: .zero, deadline: .after(.milliseconds(200)))
        }
        #expect(late?.lastSeen?.contains("prepared 'left behind' (postgres, database app)") == true)
        try await n1.server.alterSystem(ReadOnlyMode.setting, to: before.altered, expecting: before.inForce, deadline: soon)
        #expect(MeshChecks.prepared(MeshView([try await n1.state(deadline: soon)])).count == 1)

        // A slot cannot be created beside it, says who is in the way, and is not left half made.
        let slot: SlotName = "spk_app_n1_sub_n1_n9"
        let failure = await #expect(throws: ServerError.self) {
            try await n1.createSlots([slot], watcher: try await mesh.session(0).server, deadline: .after(.seconds(2)))
        }
        guard case .slotCreationBlocked("n1", slot, let blockers, _) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        #expect(blockers.map(\.description).joined().contains("prepared transaction 'left behind'"))
        #expect(try await n1.server.slot(slot, deadline: soon) == nil)
        try await client.query("ROLLBACK PREPARED 'left behind'", deadline: soon)
        _ = try await n1.createSlots([slot], watcher: try await mesh.session(0).server, deadline: soon)
        #expect(try await n1.server.dropSlot(slot, deadline: soon))
        #expect(try await !n1.server.dropSlot(slot, deadline: soon))
    }
}
