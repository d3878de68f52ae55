import PostgresClient
import Server
import Testing

@testable import Spock

@Suite("What new subscriptions are modelled on") struct SubscriptionModelsTests {
    static func subscription(_ provider: NodeName, _ subscriber: NodeName, _ sets: [ReplicationSetName], delay: Duration = .zero) -> Subscription {
        Subscription(
            id: 1, name: SubscriptionName(stringLiteral: "sub_\(provider)_\(subscriber)"), provider: provider, subscriber: subscriber, providerDSN: Conninfo(),
            isEnabled: true, slot: SlotName(stringLiteral: "spk_\(provider)_\(subscriber)"), settings: .init(replicationSets: sets, applyDelay: delay))
    }

    @Test func `each is like that of its pair, and between the source and the new one what all have`() throws {
        let subscriptions = [
            Self.subscription("n1", "n2", ["default", "regional"]), Self.subscription("n1", "n3", ["regional", "default"]),
            Self.subscription("n2", "n1", ["default"]), Self.subscription("n3", "n1", ["default"]),
            Self.subscription("n2", "n3", ["x"]), Self.subscription("n3", "n2", ["y"]),
        ]
        let models = try SubscriptionModels(of: subscriptions, source: "n1", peers: ["n2", "n3"])
        #expect(models.inward.mapValues(\.replicationSets) == ["n1": ["default", "regional"], "n2": ["default"], "n3": ["default"]])
        #expect(models.outward.mapValues(\.replicationSets) == ["n1": ["default"], "n2": ["default", "regional"], "n3": ["regional", "default"]])
        #expect(throws: NoSubscriptionModel.missing(provider: "n3", subscriber: "n1")) {
            try SubscriptionModels(of: subscriptions.filter { $0.name != "sub_n3_n1" }, source: "n1", peers: ["n2", "n3"])
        }
        let other = subscriptions.filter { $0.name != "sub_n3_n1" } + [Self.subscription("n3", "n1", ["default"], delay: .seconds(3))]
        #expect(throws: NoSubscriptionModel.differ("n1", "sub_n2_n1", "sub_n3_n1", ["apply delay 0 ms and 3 s"])) {
            try SubscriptionModels(of: other, source: "n1", peers: ["n2", "n3"])
        }
    }

    @Test func `the canary is in a set that each reader names, the usual one where it can be`() {
        let sets = [
            ReplicationSet(name: "default"), ReplicationSet(name: "ddl_sql"), ReplicationSet(name: "gone", actions: .init(insert: false)), ReplicationSet(name: "regional"),
        ]
        func canary(_ readers: [[ReplicationSetName]]) -> CanarySets {
            CanarySets(for: zip(["n2", "n3", "n4"] as [NodeName], readers).map { Self.subscription("n1", $0, $1) }, of: sets)
        }
        #expect(canary([["ddl_sql", "regional", "default"], ["default"]]).sets == ["default"])
        #expect(canary([["regional"], ["default"], ["ddl_sql", "regional"]]).sets == ["regional", "default"])
        let some = canary([["default"], ["ddl_sql", "gone", "of others"]])
        #expect(some.sets == ["default"])
        #expect(some.deaf == ["n3"])
    }
}
