import Playbook
import Testing

@Suite("A playbook for a datanode's failover") struct DatanodeFailoverFormTests {
    private static let text = """
        procedure: datanode-failover
        cluster:
          name: xc
          database: app
          user: postgres
          gtm: {address: gtm, port: 20001, data_directory: /gtm}
          coordinators:
            coord1: {address: node01, port: 20004}
            coord2: {address: node02, port: 20004}
          datanodes:
            datanode1: {address: node01, port: 20006, data_directory: /datanode}
            "Data node 2": {ssh: node02, address: node02, port: 20006, data_directory: /datanode}
          slaves:
            datanode1_slave: {of: datanode1, address: node02, port: 20010, data_directory: /slave}
        datanode: datanode1

        """

    private func read(_ text: String) throws -> Playbook.DatanodeFailover {
        switch try Playbook.parse(text, name: "p.yaml").procedure {
        case .datanodeFailover(let order): order
        default: throw OtherProcedure()
        }
    }

    @Test func `needs the nodes and which datanode is lost, and has defaults for the rest`() throws {
        let order = try read(Self.text)
        #expect(order.cluster.coordinators.map(\.name) == ["coord1", "coord2"] && order.cluster.datanodes.map(\.name) == ["datanode1", "Data node 2"])
        #expect(order.datanode == "datanode1" && order.slave == "datanode1_slave")
        #expect(!order.masterIsDead && !order.restartsGTM && !order.slaveHasStreamed && order.tables.isEmpty && order.cluster.binDirectory == nil)
        let more = try read(Self.text + "master_is_dead: true\nrestart_gtm: yes\nslave_has_streamed: as-i-say\ntables: app.ledger, app.Odd name\n")
        #expect(more.masterIsDead && more.restartsGTM && more.slaveHasStreamed)
        #expect(more.tables.map(\.description) == ["app.ledger", "app.Odd name"])
    }

    @Test(arguments: [
        ("datanode: datanode1\n", "datanode: coord1\n", "\"coord1\" is a coordinator, and no datanode"),
        ("datanode: datanode1\n", "datanode: datanode3\n", "\"datanode3\" is none of cluster.datanodes"),
        ("datanode: datanode1\n", "datanode: DataNode1\n", "capitals count: did you mean \"datanode1\"?"),
        ("datanode: datanode1\n", "datanode: \"Data node 2\"\n", "Data node 2 has no slave in cluster.slaves"),
        ("of: datanode1", "of: coord2", "\"coord2\" is a coordinator, and no datanode"),
        ("{of: datanode1, address: node02", "{of: datanode1, address: ''", "expected a host name or an IP address, found \"\""),
        ("{of: datanode1, address: node02", "{of: datanode1, address: \(String(repeating: "a", count: 64))", "has 64 bytes, and coordinators keep 63 of an address"),
        ("port: 20010", "port: 0", "expected a port from 1 to 65535"), ("port: 20010", "port: 65536", "expected a port from 1 to 65535"),
        ("datanode: datanode1\n", "datanode: datanode1\nto: nobody\n", "\"nobody\" is no slave of datanode1"),
        ("datanode: datanode1\n", "datanode: datanode1\ntables: ledger\n", "expected tables with their schemas"),
        ("coord1: {address: node01, port: 20004}", "coord1: {address: node01}", "cluster.coordinators.coord1: \"port\" is missing"),
    ])
    func `says what is wrong with it`(old: String, new: String, words: String) {
        #expect(Self.text.ranges(of: old).count == 1)
        let report = Examples.report(Self.text.replacing(old, with: new))
        #expect(report.contains(words), "\(report)")
    }

    @Test func `of several slaves one is named`() throws {
        let two = Self.text.replacing("  slaves:\n", with: "  slaves:\n    other: {of: datanode1, address: node03, port: 20010, data_directory: /slave}\n")
        #expect(Examples.report(two).contains("datanode1 has 2 slaves"))
        #expect(try read(two + "to: other\n").slave == "other")
    }

    @Test func `is shipped, sound as it is, and shows the defaults`() throws {
        let path = Examples.shippedPath.replacing("spock-add-node", with: "datanode-failover"), playbook = try Playbook.load(path: path)
        let uncommented = playbook.text.replacing(#/(?m)^( *)# ([a-z_]+: (?:false|no|seen|postgres|datanode1_slave))$/#) { "\($0.1)\($0.2)" }
        #expect(uncommented != playbook.text)
        let (plain, shown) = (try read(playbook.text), try read(uncommented))
        #expect(plain.masterIsDead == shown.masterIsDead && plain.restartsGTM == shown.restartsGTM && plain.slaveHasStreamed == shown.slaveHasStreamed)
        #expect(plain.slave == shown.slave && plain.cluster.osUser == shown.cluster.osUser)
    }
}
