import Playbook
import Testing

@Suite("A playbook for a switchover") struct SwitchoverTests {
    private static let text = Examples.pair("switchover", "to: db2")

    private func read(_ text: String) throws -> Playbook.Switchover {
        switch try Playbook.parse(text, name: "p.yaml").procedure {
        case .switchover(let order): order
        default: throw OtherProcedure()
        }
    }

    @Test func `needs the nodes and whom to switch to, and has defaults for the rest`() throws {
        let order = try read(Self.text)
        #expect(order.cluster.nodes.map(\.name) == ["db1", "db2"])
        #expect(order.to == "db2")
        #expect(order.window.limit == .seconds(30) && order.window.lease == .seconds(30) && order.window.transactionGrace == .milliseconds(500))
        #expect(order.window.catchUpLag == ByteCount(bytes: 16 << 20))
        #expect(order.hooks.before == nil && order.hooks.after == nil)
    }

    @Test func `takes hooks and times`() throws {
        let order = try read(Self.text + "window: {window_limit: 1min, lease: 10s, transaction_grace: 2s, catch_up_lag: 1GB}\nhooks: {before: 'vip off', after: vip on}\n")
        #expect(order.window.limit == .seconds(60) && order.window.lease == .seconds(10) && order.window.transactionGrace == .seconds(2))
        #expect(order.hooks.before == "vip off" && order.hooks.after == "vip on")
    }

    @Test func `says what is wrong with it`() {
        let wrong = Self.text.replacing("to: db2", with: "to: db3").replacing("db1: {address: 10.77.0.31, data_directory: /data}", with: "db1: {address: 10.77.0.31}")
        let report = Examples.report(wrong)
        #expect(report.contains("\"db3\" is none of cluster.nodes"), "\(report)")
        #expect(report.contains("cluster.nodes.db1: \"data_directory\" is missing"), "\(report)")
        #expect(report.contains("cluster.nodes has db1, db2"), "\(report)")
    }

    @Test func `is shipped, sound as it is, and shows the defaults`() throws {
        let path = Examples.shippedPath.replacing("spock-add-node", with: "switchover"), playbook = try Playbook.load(path: path)
        let uncommented = playbook.text.replacing(#/(?m)^( *)# ([a-z_]+: (?:16MB|500ms|30s))$/#) { "\($0.1)\($0.2)" }
        #expect(uncommented != playbook.text)
        let (plain, shown) = (try read(playbook.text), try read(uncommented))
        #expect(plain.window.limit == shown.window.limit && plain.window.lease == shown.window.lease && plain.window.transactionGrace == shown.window.transactionGrace)
        #expect(plain.window.catchUpLag == shown.window.catchUpLag)
    }
}
