import Foundation
import Playbook
import Testing

@Suite("A playbook for slaves of datanodes") struct DatanodeStandbyFormTests {
    private static let path = String(#filePath.dropLast("/Tests/PlaybookTests/DatanodeStandbyFormTests.swift".count)) + "/playbooks/datanode-standby.yaml"
    private static let text = """
        procedure: datanode-standby
        cluster:
          name: xc
          database: app
          user: postgres
          gtm: {address: 10.77.0.60, port: 20001, data_directory: /pgxc/gtm}
          coordinators:
            coord1: {address: 10.77.0.61, port: 20004}
          datanodes:
            datanode1: {address: 10.77.0.61, port: 20006, data_directory: /pgxc/datanode}
            datanode2: {address: 10.77.0.62, port: 20006, data_directory: /pgxc/datanode}
          slaves:
            datanode1_slave: {of: datanode1, ssh: node02, address: 10.77.0.62, port: 20010, data_directory: /pgxc/slave}
            datanode2_slave: {of: datanode2, ssh: node01, address: 10.77.0.61, port: 20010, data_directory: /pgxc/slave}
        replication: {user: replicator}

        """

    private func order(_ text: String) throws -> Playbook.DatanodeStandby {
        guard case .datanodeStandby(let order) = try Playbook.parse(text, name: "p.yaml").procedure else { throw OtherProcedure() }
        return order
    }

    @Test func `has defaults: all slaves, a password, synchronous, no restart, no archive`() throws {
        let order = try order(Self.text)
        #expect(order.slaves.map(\.node.name) == ["datanode1_slave", "datanode2_slave"])
        #expect(order.replication.authentication == .password && !order.replication.asksPassword && order.replication.connectionLimit == 10)
        #expect(order.isSynchronous && !order.restarts && order.copy.checkpointsFast)
        #expect(order.slaves.allSatisfy { $0.archive == nil && $0.archiveHost == nil })
    }

    @Test func `names the slaves that are made, and their archives`() throws {
        #expect(try order(Self.text + "build: datanode2_slave\n").slaves.map(\.node.name) == ["datanode2_slave"])
        #expect(try order(Self.text + "build: datanode2_slave , datanode1_slave\n").slaves.map(\.node.name) == ["datanode1_slave", "datanode2_slave"])
        let archived = try order(Self.text.replacing("/pgxc/slave}\n    datanode2", with: "/pgxc/slave, archive: /pgxc/arclog/, archive_host: pg@node02}\n    datanode2"))
        #expect(archived.slaves[0].archive == "/pgxc/arclog" && archived.slaves[0].archiveHost == "pg@node02")
        // Another procedure reads the same cluster.
        let failover =
            "procedure: datanode-failover" + Self.text.dropFirst("procedure: datanode-standby".count).replacing("replication: {user: replicator}", with: "datanode: datanode1")
        #expect(Examples.report(failover) == "", "\(Examples.report(failover))")
    }

    @Test(arguments: [
        ("build: datanode1\n", "\"datanode1\" is a datanode, and no slave"),
        ("build: coord1\n", "\"coord1\" is a coordinator, and no slave"),
        ("build: datanode1_slav\n", "did you mean \"datanode1_slave\"?"),
        ("build: [datanode1_slave]\n", "found a list"),
        ("build: datanode1_slave, datanode1_slave\n", "all, or names of slaves"),
        ("synchronous: maybe\n", "expected yes or no"),
        ("copy: {compression: none, checkpoints: fast}\n", "checkpoint"),
    ]) func `says what is wrong with it`(_ more: String, _ problem: String) {
        #expect(Examples.report(Self.text + more).contains(problem), "\(Examples.report(Self.text + more))")
    }

    @Test(arguments: [
        ("of: datanode1,", "of: coord1,", "\"coord1\" is a coordinator, and no datanode"),
        ("of: datanode1,", "of: Datanode1,", "capitals count: did you mean \"datanode1\"?"),
        ("of: datanode2,", "of: datanode1,", "datanode1_slave, datanode2_slave are slaves of datanode1, and one run makes one of each datanode"),
        ("address: 10.77.0.62, port: 20010", "address: \"\", port: 20010", "a host name or an IP address"),
        ("address: 10.77.0.62, port: 20010", "address: \(String(repeating: "n", count: 64)), port: 20010", "coordinators keep 63 of an address"),
        ("address: 10.77.0.62, port: 20010", "address: 10.77.0.62, port: 70010", "a port from 1 to 65535"),
        ("data_directory: /pgxc/slave}\n    datanode2", "data_directory: /pgxc/slave, archive: /pgxc/slave/arclog}\n    datanode2", "inside of the data directory"),
        ("data_directory: /pgxc/slave}\n    datanode2", "data_directory: /pgxc/slave, archive_host: node02}\n    datanode2", "an archive's host without an archive"),
        ("data_directory: /pgxc/slave}\n    datanode2", "data_directory: /pgxc/slave, archive: /a, archive_host: node02:22}\n    datanode2", "an SSH host, or user@host"),
        ("{user: replicator}", "{user: replicator, authentication: trust, password: prompt}", "nobody asks for a password"),
        ("{user: replicator}", "{user: replicator, authentication: none}", "expected password or trust"),
    ]) func `says what is wrong with its parts`(_ old: String, _ new: String, _ problem: String) {
        let text = Self.text.replacing(old, with: new)
        #expect(text != Self.text)
        #expect(Examples.report(text).contains(problem), "\(Examples.report(text))")
    }

    @Test func `is shipped, and its comments say the defaults`() throws {
        let shipped = try String(contentsOfFile: Self.path, encoding: .utf8), order = try order(shipped)
        #expect(
            order.slaves.map { "\($0.node.name) of \($0.datanode) at \($0.node.ssh):\($0.node.port)" } == [
                "datanode1_slave of datanode1 at node02:20010", "datanode2_slave of datanode2 at node01:20010",
            ])
        var shown = shipped
        for line in [
            "# build: all", "# connection_limit: 10", "# authentication: password", "# password: generate", "# checkpoint: fast", "# stall_limit: 300s", "# synchronous: yes",
            "# restart: no", "# archive: none",
        ] {
            #expect(shipped.contains(line), "\(line)")
            shown = shown.replacing(line, with: String(line.dropFirst(2)))
        }
        let said = try self.order(shown)
        #expect(
            "\(said.slaves.map(\.archive)) \(said.replication) \(said.copy) \(said.isSynchronous) \(said.restarts)".replacing(#/p.yaml:\d+:\d+/#, with: "")
                == "\(order.slaves.map(\.archive)) \(order.replication) \(order.copy) \(order.isSynchronous) \(order.restarts)".replacing(#/p.yaml:\d+:\d+/#, with: ""))
        #expect(shipped.split(separator: "\n").allSatisfy { $0.count <= 140 })
    }
}

@Suite("A playbook that drops a slave of a datanode") struct DatanodeDropSlaveFormTests {
    private static let path = String(#filePath.dropLast("/Tests/PlaybookTests/DatanodeStandbyFormTests.swift".count)) + "/playbooks/datanode-drop-slave.yaml"

    private func order(_ text: String) throws -> Playbook.DatanodeDropSlave {
        guard case .datanodeDropSlave(let order) = try Playbook.parse(text, name: "p.yaml").procedure else { throw OtherProcedure() }
        return order
    }

    @Test func `is shipped, and keeps the data unless it says otherwise`() throws {
        let shipped = try String(contentsOfFile: Self.path, encoding: .utf8), order = try order(shipped)
        #expect((order.slave.node.name, order.slave.datanode, order.removesData) == ("datanode1_slave", "datanode1", false))
        #expect(try self.order(shipped + "data: remove\n").removesData)
        for name in ["coord1", "nobody"] {
            let report = Examples.report(shipped.replacing("\nslave: datanode1_slave\n", with: "\nslave: \(name)\n"))
            #expect(report.contains("\"\(name)\" is none of cluster.slaves") && report.contains("datanode1_slave, datanode2_slave"), "\(report)")
        }
        #expect(Examples.report(shipped.replacing("\nslave: datanode1_slave\n", with: "\nslave: datanode1\n")).contains("\"datanode1\" is a datanode, and no slave"))
    }
}
