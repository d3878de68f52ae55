import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Testing

@testable import Procedures
@testable import Spock

/// Whether the members may cease to read a node: decided by what was seen of it and of them.
@Suite("The removal of a node") struct RemoveSpockNodeTests {
    private static func leaving(_ consents: [Consent] = []) -> LeavingNode {
        let access = ClusterAccess(Roster([], database: "app", role: "admin"), Ways { _, name, _ in throw Problem("\(name) is not to be reached here") })
        return LeavingNode("n4", members: ["n1", "n2", "n3"], hasPlace: true, database: "app", consents: consents, access)
    }

    private static func subscription(of subscriber: NodeName, to provider: NodeName, slot: SlotName? = nil) -> Subscription {
        let name = "sub_\(provider)_\(subscriber)"
        return Subscription(
            id: 7, name: SubscriptionName(rawValue: name) ?? "sub", provider: provider, subscriber: subscriber, providerDSN: Conninfo([:]), isEnabled: true,
            slot: slot ?? SlotName(rawValue: "spk_app_\(name)") ?? "slot", settings: .init())
    }

    private static func state(_ node: NodeName, _ status: SubscriptionStatus, applied: String?) -> SpockNodeState {
        let reading = subscription(of: node, to: "n4"), known = (["n1", "n2", "n3", "n4"] as [NodeName]).map { SpockNode(id: 1, name: $0, dsn: nil) }
        return SpockNodeState(
            database: "app", extensionVersion: SpockVersion("5.0.11"), libraryVersion: SpockVersion("5.0.11"), isSuperuser: true, isInRecovery: false,
            local: SpockNode(id: 1, name: node, dsn: nil), nodes: known, subscriptions: [reading], statuses: [reading.name: status], replicationSets: [],
            refusedTables: [], settings: [:], readOnlyOverrides: [], exceptionCount: 0,
            origins: [ReplicationOrigin(localID: 1, name: reading.origin, remoteLSN: applied.flatMap { LSN($0) })], slots: [], preparedTransactions: [],
            extensionDependents: [], usage: .init(walSenders: 0, backgroundWorkers: 0), otherDatabases: [])
    }

    private static func look(
        _ state: LeavingNode.State, status: SubscriptionStatus = .down, applied: [String: String] = [:], own: [Subscription] = []
    ) -> LeavingNode.Look {
        let names: [NodeName] = ["n1", "n2", "n3"]
        let states = Dictionary(uniqueKeysWithValues: names.map { ($0.rawValue, Self.state($0, status, applied: applied[$0.rawValue] ?? "0/5000")) })
        return LeavingNode.Look(
            leaving: state, states: states,
            traces: states.mapValues { NodeTraces(of: "n4", in: $0, staying: [], read: [], expected: nil, origins: []) }, progress: [:], own: own, provided: [],
            staying: ["n1": ["spk_app_sub_n1_n2"]])
    }

    private static let silent = LeavingNode.State.silent(Problem("nothing listens"), answers: false)

    @Test func `the members that are behind are named with what they lack, and are a refusal until that is given up`() throws {
        let look = Self.look(Self.silent, applied: ["n2": "0/4F00", "n3": "0/0"]), gone = Self.leaving([.nodeIsGone])
        #expect(look.behind.map(\.member) == ["n2", "n3"] && look.behind.map(\.bytes) == [256, 0x5000])
        let problem = try #require(try gone.refusal(of: look, Memory()))
        #expect(problem.fact == "of what n4 wrote last, n2 lacks 256 B that another member has, n3 lacks 20 KB that another member has", "\(problem.fact)")
        #expect(try Self.leaving([.nodeIsGone, .giveUpWrites]).refusal(of: look, Memory()) == nil)
        #expect(try gone.refusal(of: Self.look(Self.silent), Memory()) == nil, "all are alike")
    }

    @Test func `a node that gives no answer is gone when the operator says so, and one that answers never is`() throws {
        let refused = try Self.leaving().refusal(of: Self.look(Self.silent), Memory())
        #expect(refused?.fact == "n4: no answer: nothing listens" && refused?.hint?.contains("--node-is-gone") == true)
        let answering = Self.look(.silent(Problem("no password"), answers: true))
        #expect(try Self.leaving([.nodeIsGone, .giveUpWrites]).refusal(of: answering, Memory())?.fact == "n4: it answers, and cannot be asked: no password")
    }

    @Test func `another server in its place is no reason to remove what is read`() throws {
        let everything = Self.leaving([.nodeIsGone, .giveUpWrites]), other = LeavingNode.State.stranger("database app is no Spock node")
        #expect(try everything.refusal(of: Self.look(other, status: .replicating), Memory())?.fact.hasSuffix("n1, n2 and n3 read n4 all the same") == true)
        #expect(try Self.leaving().refusal(of: Self.look(other), Memory())?.fact.hasSuffix("n1, n2 and n3 may not have all that was written there") == true)
        #expect(try everything.refusal(of: Self.look(other), Memory()) == nil)
    }

    @Test func `its own subscriptions are dropped only where their slots are its own`() {
        func contested(_ own: Subscription) -> String? { Self.leaving().contested(Self.look(Self.silent, own: [own]))?.fact }
        #expect(contested(Self.subscription(of: "n4", to: "n1")) == nil)
        #expect(contested(Self.subscription(of: "n4", to: "n1", slot: "spk_app_sub_n1_n2"))?.contains("which is that of a node that stays") == true)
        #expect(contested(Self.subscription(of: "n4", to: "x9")) == "n4 also reads x9, which is none of cluster.nodes")
    }

    @Test(arguments: [Consent.nodeIsGone, .giveUpWrites]) func `what is said for a removal is refused of everything else`(_ consent: Consent) throws {
        #expect(throws: Problem.self) { try Catalog.check([consent], AddSpockNode.name) }
        try Catalog.check([consent], RemoveSpockNode.name)
    }
}
