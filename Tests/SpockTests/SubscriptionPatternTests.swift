import PostgresClient
import Server
import Testing

@testable import Spock

@Suite struct SubscriptionPatternTests {
    static func subscription(_ name: SubscriptionName, _ provider: NodeName, _ subscriber: NodeName) -> Subscription {
        Subscription(id: 1, name: name, provider: provider, subscriber: subscriber, providerDSN: Conninfo(), isEnabled: true, slot: "s", settings: .init())
    }

    @Test(
        arguments: [
            ([("sub_n1_n2", "n1", "n2"), ("sub_n2_n1", "n2", "n1")], "sub_{provider}_{subscriber}", "sub_n1_n4"),
            ([("sub_n1n2", "n1", "n2"), ("sub_n2n1", "n2", "n1")], "sub_{provider}{subscriber}", "sub_n1n4"),
            ([("n2_from_n1", "n1", "n2")], "{subscriber}_from_{provider}", "n4_from_n1"),
            // Only one reading of the first name fits the others.
            ([("a_aa", "a", "aa"), ("b_aa", "b", "aa")], "{provider}_{subscriber}", "n1_n4"),
            ([("sub_node_1_node_2", "Node-1", "Node-2")], "sub_{provider}_{subscriber}", "sub_n1_n4"),
        ] as [([(SubscriptionName, NodeName, NodeName)], String, SubscriptionName)])
    func `the pattern is read from the names`(names: [(SubscriptionName, NodeName, NodeName)], pattern: String, next: SubscriptionName) throws {
        let found = try #require(SubscriptionPattern(of: names.map(SubscriptionPatternTests.subscription)))
        #expect(found.description == pattern)
        #expect(found.name(provider: "n1", subscriber: "n4") == next)
    }

    @Test func `names without a pattern have none`() {
        #expect(SubscriptionPattern(of: []) == nil)
        #expect(SubscriptionPattern(of: [SubscriptionPatternTests.subscription("berlin", "n1", "n2")]) == nil)
        #expect(
            SubscriptionPattern(of: [
                SubscriptionPatternTests.subscription("sub_n1_n2", "n1", "n2"), SubscriptionPatternTests.subscription("sub_n1_n2_old", "n2", "n1"),
            ]) == nil)
    }

    @Test func `a name that would be too long is none`() {
        let long = NodeName(stringLiteral: String(repeating: "n", count: 60))
        #expect(SubscriptionPattern.usual.name(provider: long, subscriber: "n4") == nil)
    }

    @Test(arguments: [
        ("n4", "pggraft_copy_n4"), ("eu-west-4", "pggraft_copy_eu_west_4"), ("München 1", "pggraft_copy_m_nchen_1"),
        (String(repeating: "N", count: 63), "pggraft_copy_" + String(repeating: "n", count: 50)),
    ])
    func `a subscription of one node's own has a name that Spock takes`(node: String, name: String) throws {
        #expect(SubscriptionName("pggraft_copy_", of: try #require(NodeName(rawValue: node)))?.rawValue == name)
    }
}
