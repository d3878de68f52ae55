import Bed
import Run
import Testing

/// A slave of a datanode of Postgres-XC is taken away.
@Suite("A dropped slave of a datanode", .serialized)
struct DatanodeDropSlaveTests {
    private static let master = "/var/lib/postgresql/pgxc/datanode", slave = "/var/lib/postgresql/pgxc/datanode1_slave"

    @Test func `leaves nothing on the master that a restart would bring back, killed and undone, and one whose host is gone holds no commit up`() async throws {
        try await withXC { cluster in
            let node01 = try cluster.host("node01"), node03 = try cluster.host("node03")
            try await node01.run(
                asUser: "postgres",
                """
                echo 'host replication postgres \(node03.address)/32 trust' >>\(Self.master)/pg_hba.conf
                """)
            try await cluster.slave("datanode1_slave", of: "datanode1", on: "node03", port: 20010)
            try await Self.waitForSlave(cluster)
            let before = try await Self.files(cluster), other = try Self.operatorOf(cluster)
            let plan = try await other.pggraft("plan", other.playbook)
            #expect(plan.status == 0 && plan.standardOutput.contains("-host replication postgres \(node03.address)/32 trust"), "\(plan.standardOutput)\(plan.standardError)")
            try await other.killed(["run", "--yes", other.playbook], in: "synchronous", done: true)
            for step in XC.isStandIn ? ["forbid-slave"] : ["stop-standby", "forbid-slave"] { try await other.killed(["resume", other.run()], in: step) }
            let output = try await other.pggraft("resume", other.run())
            #expect(output.status == 0 && output.standardOutput.contains("datanode1_slave is no slave of datanode1 any more"), "\(output.standardOutput)\(output.standardError)")
            try await cluster.stop("datanode1")
            try await cluster.start("datanode1")
            try await Self.expectNothingLeft(cluster)
            #expect(try await Self.files(cluster).contains("host replication postgres 10.77.0.0/24 trust"), "what is for others stays")
            #expect(try await node03.execute("pgrep -f -- '-D \(Self.slave)( |$)'").status == 1)

            let undone = try await other.pggraft("undo", "--yes", other.run())
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            #expect(try await Self.files(cluster) == before)
            try await eventually("the slave to be synchronous again", within: .seconds(60)) {
                try await cluster.sql(on: "datanode1", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'datanode1_slave'") == "sync"
            }

            // It is lost, on the real one with its host, and every commit hangs.
            for coordinator in XC.coordinators { try await cluster.sql(on: coordinator, "SELECT pgxc_pool_reload()") }
            let writers = try await cluster.writers(rate: 10)
            try await eventually("some transactions", within: .seconds(60)) { try writers.ledger().acknowledged > 10 }
            if XC.isStandIn { try await node03.run("pkill -9 -u postgres -x postgres") } else { try await node03.powerOff() }
            let lost = try Self.operatorOf(cluster)
            let dropped = try await lost.pggraft("run", "--yes", lost.playbook)
            let left = XC.isStandIn ? "it does not run" : "cannot be reached, and is left as it is"
            #expect(dropped.status == 0 && dropped.standardOutput.contains(left), "\(dropped.standardOutput)\(dropped.standardError)")
            let then = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > then + 10 }
            _ = try await writers.stop()
            try await Self.expectNothingLeft(cluster)
        }
    }

    /// As the document has it.
    private static func waitForSlave(_ cluster: XC) async throws {
        try await cluster.host("node01").run(
            asUser: "postgres", "echo \"synchronous_standby_names = 'datanode1_slave'\" >>\(master)/postgresql.conf; \(XC.binaryDirectory)/pg_ctl -s -D \(master) reload")
        try await eventually("the slave to be synchronous", within: .seconds(60)) {
            try await cluster.sql(on: "datanode1", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'datanode1_slave'") == "sync"
        }
    }

    private static func files(_ cluster: XC) async throws -> String { try await cluster.host("node01").run("cat \(master)/postgresql.conf \(master)/pg_hba.conf; ls \(master)") }

    private static func expectNothingLeft(_ cluster: XC, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        #expect(try await cluster.sql(on: "datanode1", "SHOW synchronous_standby_names") == "", sourceLocation: sourceLocation)
        let address = try cluster.host("node03").address
        #expect(try await !cluster.host("node01").run("cat \(master)/pg_hba.conf").contains("\(address)/32"), sourceLocation: sourceLocation)
    }

    private static func operatorOf(_ cluster: XC) throws -> Operator {
        let someone = try Operator(of: cluster.bed, with: "datanode-drop-slave")
        let lines = try readFile(someone.playbook).replacing("/usr/local/pgxc/bin", with: XC.binaryDirectory).split(separator: "\n", omittingEmptySubsequences: false)
        guard let slave = lines.firstIndex(of: "    datanode1_slave:") else { throw BedError.unexpected("the playbook has no datanode1_slave") }
        var text = lines.map(String.init)
        // It is on a host of its own.
        for index in slave..<lines.count {
            if text[index] == "    datanode2_slave:" { break }
            text[index] = text[index].replacing("ssh: node02", with: "ssh: node03").replacing("address: 10.77.0.62", with: "address: \(try cluster.host("node03").address)")
        }
        try writeFile(text.joined(separator: "\n"), to: someone.playbook)
        return someone
    }
}
