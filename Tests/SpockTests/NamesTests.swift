import Server
import Testing

@testable import Spock

@Suite struct NamesTests {
    @Test(arguments: [
        ("sub_n1_n2", true), ("a", true), (String(repeating: "x", count: 63), true), (String(repeating: "x", count: 64), false),
        ("", false), ("Sub", false), ("sub-1", false), ("süb", false), ("sub n1", false),
    ])
    func `a subscription is called as a slot may be called`(text: String, accepted: Bool) {
        #expect((SubscriptionName(rawValue: text) != nil) == accepted)
        #expect((SlotName(rawValue: text) != nil) == accepted)
    }

    @Test(arguments: [("n1", true), ("Node 1-ä", true), ("", false), (String(repeating: "ä", count: 32), false), ("a\0b", false)])
    func `a node's name is up to 63 bytes of anything`(text: String, accepted: Bool) {
        #expect((NodeName(rawValue: text) != nil) == accepted)
    }
}

@Suite struct SpockVersionTests {
    @Test(arguments: [("5.0.11", 50_011), ("6.0.0-beta.1", 60_000), ("4.0", 40_000), ("6", 60_000), ("10.2.3", 100_203)])
    func `versions have numbers`(text: String, number: Int) throws {
        #expect(try #require(SpockVersion(text)).number == number)
    }

    @Test(arguments: ["", "5.x", "5..1", "1.2.3.4", "-1", "v5", "5.0.-1"])
    func `what is no version is none`(text: String) {
        #expect(SpockVersion(text) == nil)
    }

    @Test func `a beta comes before its release`() throws {
        let order = try ["5.0.2", "5.0.11", "6.0.0-beta.1", "6.0.0-beta.2", "6.0.0"].map { try #require(SpockVersion($0)) }
        #expect(order.shuffled().sorted() == order)
        #expect(order.map(\.description) == ["5.0.2", "5.0.11", "6.0.0-beta.1", "6.0.0-beta.2", "6.0.0"])
    }
}
