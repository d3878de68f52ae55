import Bed
import Run
import Testing

/// A slave of a datanode of Postgres-XC is taken away.
@Suite("A dropped slave of a datanode", .serialized)
struct DatanodeDropSlaveTests {
    private static let master = "/var/lib/postgresql/pgxc/datanode", slave = "/var/lib/postgresql/pgxc/datanode1_slave", archive = "/var/lib/postgresql/pgxc/datanode1_arclog"

    @Test func `leaves nothing on the master that a restart would bring back, killed and undone, and one whose host is gone holds no commit up`() async throws {
        try await withXC { cluster in
            let node01 = try cluster.host("node01"), node03 = try cluster.host("node03")
            try await node01.run(
                asUser: "postgres",
                """
                printf "archive_mode = on\\narchive_command = 'cp %%p \(Self.archive)/%%f'\\n" >>\(Self.master)/postgresql.conf
                echo 'host replication postgres \(node03.address)/32 trust' >>\(Self.master)/pg_hba.conf
                mkdir -m 0700 \(Self.archive)
                """)
            try await cluster.slave("datanode1_slave", of: "datanode1", on: "node03", port: 20010)
            try await Self.waitForSlave(cluster)
            let before = try await Self.files(cluster), someone = try Self.operatorOf(cluster, ["# archive: \(Self.archive)": "archive: /elsewhere"])
            let wrong = try await someone.pggraft("plan", someone.playbook)
            #expect((wrong.standardOutput + wrong.standardError).contains("archive_command does not name /elsewhere"), "\(wrong.standardOutput)\(wrong.standardError)")
            let other = try Self.operatorOf(cluster, ["# archive: ": "archive: "])
            let plan = try await other.pggraft("plan", other.playbook)
            #expect(plan.status == 0 && plan.standardOutput.contains("-host replication postgres \(node03.address)/32 trust"), "\(plan.standardOutput)\(plan.standardError)")
            try await other.killed(["run", "--yes", other.playbook], in: "synchronous", done: true)
            for step in XC.isStandIn ? ["forbid-slave"] : ["archive-command", "stop-standby", "forbid-slave"] { try await other.killed(["resume", other.run()], in: step) }
            let output = try await other.pggraft("resume", other.run())
            #expect(output.status == 0 && output.standardOutput.contains("datanode1_slave is no slave of datanode1 any more"), "\(output.standardOutput)\(output.standardError)")
            try await cluster.stop("datanode1")
            try await cluster.start("datanode1")
            try await Self.expectNothingLeft(cluster)
            #expect(try await cluster.sql(on: "datanode1", "SHOW archive_command") == "/bin/true")
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

    private static func operatorOf(_ cluster: XC, _ edits: KeyValuePairs<String, String> = [:]) throws -> Operator {
        let someone = try Operator(of: cluster.bed, with: "datanode-drop-slave")
        var text = try readFile(someone.playbook).replacing("/usr/local/pgxc/bin", with: XC.binaryDirectory)
            .replacing("ssh: node02\n      address: 10.77.0.62\n      port: 20010", with: "ssh: node03\n      address: \(try cluster.host("node03").address)\n      port: 20010")
        for (from, to) in edits {
            #expect(text.ranges(of: from).count == 1, "\(from)")
            text = text.replacing(from, with: to)
        }
        try writeFile(text, to: someone.playbook)
        return someone
    }
}
