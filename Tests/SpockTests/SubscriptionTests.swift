import EventLoop
import PostgresClient
import Server
import Testing

@testable import Spock

/// What becomes of subscriptions that cannot be made as they should.
@Suite(.enabled(if: TestMesh.binaries != nil, "PGGRAFT_SPOCK_BINDIR names no PostgreSQL with Spock"), .serialized)
struct SubscriptionTests {
    @Test func `one that cannot be made takes all of its transaction with it`() async throws {
        let mesh = try await TestMesh(servers: 2)
        let sessions = try await mesh.sessions()
        let (n1, n2) = (sessions[0], sessions[1])
        for (index, session) in sessions.enumerated() { try await session.createNode(TestMesh.name(index), dsn: mesh.dsn(index), deadline: soon) }
        let slot = try await n2.generateSlotName(database: "app", provider: "n1", subscription: "sub_n1_n2", deadline: soon)
        let lsn = try #require(try await n1.createSlots([slot], watcher: try await mesh.session(0).server, deadline: soon)[slot])
        let good = NewSubscription(name: "sub_n1_n2", providerDSN: mesh.dsn(0), settings: .init(), slot: slot, resumeLSN: lsn)

        var nowhere = good
        nowhere.name = "sub_n3_n2"
        nowhere.providerDSN["port"] = "1"
        await #expect(throws: PostgresError.self) { try await n2.createSubscriptions([good, nowhere], deadline: soon) }
        #expect(try await n2.subscriptions(deadline: soon).isEmpty)

        var misnamed = good
        misnamed.slot = "spk_another"
        let error = await #expect(throws: SpockError.self) { try await n2.createSubscriptions([misnamed], deadline: soon) }
        guard case .slotNameDiffers("n2", "sub_n1_n2", slot, "spk_another") = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try await n2.subscriptions(deadline: soon).isEmpty)
        #expect(try await n2.server.origins(deadline: soon).allSatisfy { $0.name == nil })

        var settings = Subscription.Settings(replicationSets: ["default"], forwardOrigins: ["all"], applyDelay: .milliseconds(1500))
        if try await n1.isRealSpock() { settings.skipSchema = ["audit"] }
        var asked = good
        asked.settings = settings
        try await n2.createSubscriptions([asked], deadline: soon)
        try await n2.waitReplicating(["sub_n1_n2"])
        let made = try #require(try await n2.subscriptions(deadline: soon).first)
        #expect(made.settings == settings)
        #expect(made.provider == "n1" && made.subscriber == "n2" && made.slot == slot && made.providerDSN == mesh.dsn(0))
        try await wait(for: "the slot to be read", until: soon) {
            try await n1.server.slot(slot, deadline: soon)?.isActive == true ? .found(()) : .notYet("nobody reads it")
        }

        // The slot is held by a reader, and gone with the subscription.
        let busy = await #expect(throws: DeadlineExceeded.self) { try await n1.server.dropSlot(slot, deadline: .after(.milliseconds(200))) }
        #expect(busy?.lastSeen?.hasSuffix("reads it") == true)
        try await n2.dropSubscription("sub_n1_n2", deadline: soon)
        try await n2.dropSubscription("sub_n1_n2", deadline: soon)
        #expect(try await n1.server.slot(slot, deadline: soon) == nil)
    }

    @Test func `a direction that does not drain says how far behind it is`() async throws {
        let mesh = try await TestMesh(servers: 2)
        let sessions = try await mesh.sessions()
        try await mesh.join([0, 1], sessions)
        let origin = try #require(try await sessions[1].subscriptions(deadline: soon).first).origin
        _ = try await drain([Direction(provider: sessions[0], subscriber: sessions[1], origin: origin)], deadline: soon)
        let far = LSN(position: try await sessions[0].server.insertLSN(deadline: soon).position + 1_000_000_000)
        let error = await #expect(throws: DeadlineExceeded.self) {
            try await sessions[1].server.waitApplied(origin, to: far, of: "n1", deadline: .after(.milliseconds(200)))
        }
        #expect(error?.waitedFor == "n2 to apply n1 up to \(far)")
        #expect(error?.lastSeen?.hasPrefix("applied up to ") == true)
        let none = await #expect(throws: DeadlineExceeded.self) {
            try await sessions[1].server.waitApplied("no_such_origin", to: far, of: "n1", deadline: .after(.milliseconds(50)))
        }
        #expect(none?.lastSeen == "origin no_such_origin on n2 has applied nothing")
    }
}
