import Playbook
import Testing

@Suite("A playbook for a removal from a Spock cluster") struct RemoveSpockNodeFormTests {
    private static func text(_ nodes: [String] = ["n1", "n2", "n4"], node: String = "n4", _ more: String = "") -> String {
        let places = nodes.enumerated().map { "    \($0.element): {address: 10.77.0.\(11 + $0.offset)}\n" }.joined()
        return "procedure: remove-spock-node\ncluster:\n  name: app\n  database: app\n  user: spock_admin\n  nodes:\n\(places)node: \(node)\n\(more)"
    }

    private func order(_ text: String) throws -> Playbook.RemoveSpockNode? {
        if case .removeSpockNode(let order) = try Playbook.parse(text, name: "p.yaml").procedure { order } else { nil }
    }

    @Test func `names those that stay, and the one to remove or not`() throws {
        let named = try #require(try order(Self.text())), gone = try #require(try order(Self.text(["n1", "n2"])))
        #expect(named.staying.map(\.name) == ["n1", "n2"] && named.cluster["n4"] != nil)
        #expect(gone.staying.map(\.name) == ["n1", "n2"] && gone.node == "n4")
    }

    @Test func `leaves it closed, and refuses other readers, unless it says otherwise`() throws {
        let plain = try #require(try order(Self.text())), said = try #require(try order(Self.text("keep_open: true\nother_readers: leave\nproof: counts\n")))
        #expect(!plain.keepsOpen && !plain.lettingOthersRead && plain.proof == .hashes && plain.transactionGrace == .milliseconds(500))
        #expect(said.keepsOpen && said.lettingOthersRead && said.proof == .counts)
    }

    private static func text(_ more: String) -> String { text(["n1", "n2", "n4"], node: "n4", more) }

    @Test(arguments: [
        (text(["n4"]), "nobody would stay"), (text("keep_open: maybe\n"), "keep_open"), (text("other_readers: drop\n"), "refuse or leave"),
        (text("data: remove\n"), "data"),
    ]) func `says what is wrong with it`(_ text: String, _ problem: String) { #expect(Examples.report(text).contains(problem), "\(Examples.report(text))") }
}
