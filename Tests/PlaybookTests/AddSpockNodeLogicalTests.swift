import Playbook
import Testing

@Suite("A playbook for the logical way to add a node") struct AddSpockNodeLogicalPlaybookTests {
    private static var shipped: String {
        get throws { try Playbook.load(path: Examples.shippedPath.replacing("spock-add-node", with: "spock-add-node-logical")).text }
    }

    private func read(_ text: String) throws -> Playbook.AddSpockNodeLogical {
        switch try Playbook.parse(text, name: "p.yaml").procedure {
        case .addSpockNodeLogical(let order): order
        default: throw OtherProcedure()
        }
    }

    @Test func `is shipped, sound as it is, and shows the defaults`() throws {
        let text = try Self.shipped, plain = try read(text)
        let uncommented = text.replacing(#/(?m)^# (copy:|slot_wait: .*|wal_fuse: .*|proof: .*|proof_sample_above: .*)$/#) { "\($0.1)" }
            .replacing("#   # A copy", with: "  # A copy").replacing("  # stall_limit", with: "  stall_limit")
        #expect(uncommented != text)
        let shown = try read(uncommented)
        #expect(plain.copy.stallLimit == shown.copy.stallLimit && plain.slotWait == shown.slotWait && plain.walFuse == shown.walFuse)
        #expect(plain.proof == shown.proof && plain.proofSampleAbove == shown.proofSampleAbove)
        #expect(plain.sourceName == "n1" && plain.newNode.node.name == "n4" && plain.newNode.location == nil)
    }

    @Test func `takes what the node's entry says`() throws {
        let text = try Self.shipped.replacing("  # location: Los Angeles\n  # country: USA\n  # info: ", with: "  location: Los Angeles\n  country: USA\n  info: ")
        let node = try read(text).newNode
        #expect((node.location, node.country, node.info) == ("Los Angeles", "USA", #"{"tier": "gold"}"#))
    }

    static let wrong: [(old: String, new: String, words: String)] = [
        ("source: n1", "source: n4", "\"n4\" is none of cluster.nodes"), ("  name: n4", "  name: n3", "\"n3\" is already one of cluster.nodes"),
        ("  # info: '{\"tier\": \"gold\"}'", "  info: gold", "expected a JSON object"), ("  # info: '{\"tier\": \"gold\"}'", "  info: '[1]'", "expected a JSON object"),
        ("source: n1", "source: n1\nhandover: {}", "handover"),
    ]

    @Test(arguments: wrong)
    func `says what is wrong with it`(old: String, new: String, words: String) throws {
        let report = Examples.report(try Self.shipped.replacing(old, with: new))
        #expect(report.contains(words), "\(report)")
    }
}
