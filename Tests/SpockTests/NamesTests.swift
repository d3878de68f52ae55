import Foundation
import Testing

@testable import Spock

@Suite struct NamesTests {
    @Test(arguments: [
        ("sub_n1_n2", true), ("a", true), (String(repeating: "x", count: 63), true), (String(repeating: "x", count: 64), false),
        ("", false), ("Sub", false), ("sub-1", false), ("süb", false), ("sub n1", false),
    ])
    func `subscriptions and slots take what Spock and PostgreSQL take`(text: String, accepted: Bool) {
        #expect((SubscriptionName(rawValue: text) != nil) == accepted)
        #expect((SlotName(rawValue: text) != nil) == accepted)
    }

    @Test(arguments: [("n1", true), ("Node 1-ä", true), ("", false), (String(repeating: "ä", count: 32), false), ("a\0b", false)])
    func `a node's name is up to 63 bytes of anything`(text: String, accepted: Bool) {
        #expect((NodeName(rawValue: text) != nil) == accepted)
    }

    @Test func `names are kept in the journal as plain text, and refused when they read wrong`() throws {
        let name: SlotName = "spk_app_n1_sub_n1_n4"
        let data = try JSONEncoder().encode([name])
        #expect(String(decoding: data, as: UTF8.self) == "[\"spk_app_n1_sub_n1_n4\"]")
        #expect(try JSONDecoder().decode([SlotName].self, from: data) == [name])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([SlotName].self, from: Data("[\"A B\"]".utf8)) }
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
