import Bed
import Run
import Testing

/// The old master of a datanode of Postgres-XC comes back, as a slave of the new one.
@Suite("A datanode's rejoin", .serialized)
struct DatanodeRejoinTests {
    private static let new = "/var/lib/postgresql/pgxc/datanode1_slave", old = "/var/lib/postgresql/pgxc/datanode"

    @Test func `has it follow as it is, under writers and killed anywhere, synchronous, undone, and fit for the next failover`() async throws {
        try await withXC { cluster in
            let node01 = try cluster.host("node01"), someone = try Self.operatorOf(cluster, ["# replication_user: replicator": "replication_user: dba_admin"])
            // As a master it has waited for its slave, and as a slave would wait for itself once it is promoted.
            try await Self.failOver(cluster) {
                try await node01.run(asUser: "postgres", "echo \"synchronous_standby_names = 'datanode1_slave, datanode1_old'\" >>\(Self.old)/postgresql.conf")
            }
            // One that was not told is named, and nothing done.
            let place = try cluster.host("node02").address
            try await cluster.reach("datanode1", at: place, port: 20010, on: ["coord1"])
            let early = try await someone.pggraft("check", someone.playbook)
            #expect(early.status == 1 && early.standardOutput.contains("coord2") && early.standardOutput.contains("has datanode1 at 10.77.0.61:20006 still"), "\(early.all)")
            #expect(early.standardOutput.contains("finish the failover first, pggraft resume"), "\(early.all)")
            try await cluster.reach("datanode1", at: place, port: 20010, on: ["coord2"])

            let writers = try await cluster.writers(rate: 10)
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.status == 0 && check.standardOutput.contains("all that it has is part of the history of datanode1"), "\(check.all)")
            let rules = try await Self.rules(cluster), plan = try await someone.pggraft("plan", someone.playbook)
            #expect(plan.status == 0 && plan.standardOutput.contains("+host") && plan.standardOutput.contains("10.77.0.61/32"), "\(plan.all)")
            #expect(plan.standardOutput.contains("synchronous_standby_names"), "\(plan.all)")

            try await someone.killed(["run", "--yes", someone.playbook], in: "prepare")
            for (step, done) in Self.kills(
                [("stop", true), ("follow", false), ("synchronous", false)],
                [("prepare", true), ("stop", false), ("follow", true), ("verify", true), ("synchronous", true)])
            {
                try await someone.killed(["resume", someone.run()], in: step, done: done)
            }
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0 && output.standardOutput.contains("datanode1_old is a slave of datanode1, and its commits wait for it"), "\(output.all)")
            try await Self.expectSlave(cluster, synchronous: true)
            #expect(try await Self.rules(cluster).hasPrefix(rules))
            #expect(try await Self.rules(cluster).split(separator: "\n").filter { $0.contains("10.77.0.61/32") && $0.contains("replication") }.count == 1)
            let again = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(again.status == 0 && !again.standardOutput.contains("ALTER"), "\(again.all)")

            let first = try someone.journals()[0].split(separator: "/").last.map { String($0.dropLast(".jsonl".count)) } ?? ""
            let undone = try await someone.pggraft("undo", "--yes", first)
            #expect(undone.status == 0, "\(undone.all)")
            #expect(try await cluster.sql(on: "node02", "SHOW synchronous_standby_names", port: 20010) == "")
            #expect(try await Self.rules(cluster) == rules)
            #expect(try await node01.execute("pgrep -f -- '-D \(Self.old)( |$)'").status == 1)
            let before = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > before + 4 }
            // What was left of the undo starts as a standby, whoever starts it.
            let back = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(back.status == 0, "\(back.all)")
            try await Self.expectSlave(cluster, synchronous: true)
            let ledger = try await writers.stop()
            #expect(ledger.failed == 0, "\(ledger.errors)")
            for coordinator in XC.coordinators {
                let holding = try await cluster.verify(ledger, through: coordinator)
                #expect(holding.isClean, "\(coordinator): \(holding)")
            }

            // And over to it again.
            try await cluster.host("node02").run(asUser: "postgres", "\(XC.binaryDirectory)/pg_ctl -s -w -D \(Self.new) -m fast stop")
            try await node01.run(asUser: "postgres", "\(XC.binaryDirectory)/pg_ctl -s -D \(Self.old) promote")
            try await eventually("the old master to be promoted", within: .seconds(60)) { try await cluster.sql(on: "node01", "SELECT pg_is_in_recovery()", port: 20006) == "f" }
            try await cluster.reach("datanode1", at: node01.address, port: 20006)
            #expect(try await cluster.sql(on: "node01", "SHOW synchronous_standby_names", port: 20006) == "")
            for coordinator in XC.coordinators {
                #expect(try await cluster.verify(ledger, through: coordinator).isClean)
                try await cluster.sql(on: coordinator, "INSERT INTO app.orders (id, region) VALUES (1, 'EU'); DELETE FROM app.orders WHERE id = 1")
            }
        }
    }

    @Test func `refuses one that has gone its own way unless a copy may be made, and makes that, killed anywhere and undone`() async throws {
        try await withXC { cluster in
            let node01 = try cluster.host("node01"), someone = try Self.operatorOf(cluster)
            try await cluster.host("node01").run(asUser: "postgres", "echo '# of the old one alone' >>\(Self.old)/postgresql.conf")
            try await Self.failOver(cluster)
            try await cluster.reach("datanode1", at: cluster.host("node02").address, port: 20010)
            let nobody = try Self.operatorOf(cluster, ["user: dba_admin": "user: app"]), refusal = try await nobody.pggraft("check", nobody.playbook)
            #expect(refusal.status == 1 && refusal.standardOutput.contains("app is no superuser there"), "\(refusal.all)")
            // What the new master has recycled.
            for _ in 0..<3 { try await cluster.sql(on: "node02", "SELECT \(XC.isStandIn ? "pg_switch_wal" : "pg_switch_xlog")(); CHECKPOINT", port: 20010) }
            let recycled = try await someone.pggraft("check", someone.playbook)
            #expect(recycled.status == 1 && recycled.standardOutput.contains("datanode1 has not kept the WAL that it needs, from "), "\(recycled.all)")
            // What it writes as it starts and stops is beyond where the new master has left its timeline.
            try await cluster.start("datanode1")
            let runs = try await someone.pggraft("check", someone.playbook)
            #expect(runs.status == 1 && runs.standardOutput.contains("runs as a primary, and so does datanode1"), "\(runs.all)")
            if XC.isStandIn { try await cluster.stop("datanode1") } else { try await cluster.kill("datanode1") }

            let refused = try await someone.pggraft("check", someone.playbook)
            let why =
                XC.isStandIn
                ? "it has written what the primary has not: its last checkpoint is at" : "it has crashed (in production), and may have written what the primary has not"
            #expect(refused.status == 1 && refused.standardOutput.contains(why), "\(refused.all)")
            #expect(refused.standardOutput.contains("say `copy:` in the playbook"), "\(refused.all)")
            let done = try await someone.pggraft("run", "--yes", someone.playbook)
            let journals = try someone.journals()
            #expect(done.status == 1 && journals.isEmpty, "\(done.all)")

            let other = try Self.operatorOf(cluster, ["# copy: none\n": "copy: {existing: move-aside}\n", "# synchronous: yes": "synchronous: no"])
            try await other.killed(["run", "--yes", other.playbook], in: "base-backup", after: .milliseconds(200))
            let undone = try await other.pggraft("undo", "--yes", "--purge-data", other.run())
            #expect(undone.status == 0, "\(undone.all)")
            #expect(try await node01.run("ls -d \(Self.old)* /var/tmp/pggraft* 2>/dev/null || true") == Self.old)
            try await other.killed(["run", "--yes", other.playbook], in: "rewind", done: true)
            for (step, done) in Self.kills([("make-room", true), ("base-backup", true)], [("base-backup", false), ("own-files", true), ("follow", false)]) {
                try await other.killed(["resume", other.run()], in: step, done: done)
            }
            let output = try await other.pggraft("resume", other.run())
            #expect(output.status == 0 && output.standardOutput.contains("commits do not wait for it"), "\(output.all)")
            try await Self.expectSlave(cluster, synchronous: false)
            #expect(try await node01.run("grep -c 'of the old one alone' \(Self.old)/postgresql.conf; ls -d /var/tmp/pggraft* 2>/dev/null || true") == "1")
            #expect(try await node01.run("ls -d \(Self.old).before-*/global/pg_control") != "")
            for coordinator in XC.coordinators { #expect(try await cluster.sql(on: coordinator, "SELECT count(*) FROM app.bulk") == "2000") }
        }
    }

    @Test(.enabled(if: XC.isStandIn, "the real one has no pg_rewind"))
    func `rewinds one that has gone its own way, where there is a pg_rewind`() async throws {
        try await withXC { cluster in
            let someone = try Self.operatorOf(cluster)
            try await cluster.host("node01").run(asUser: "postgres", "printf 'wal_log_hints = on\\nwal_keep_size = 256MB\\n' >>\(Self.old)/postgresql.conf")
            try await Self.failOver(cluster)
            try await cluster.reach("datanode1", at: cluster.host("node02").address, port: 20010)
            try await cluster.start("datanode1")
            try await cluster.sql(on: "datanode1", "CREATE TABLE app.lost AS SELECT 1", options: "-c default_transaction_read_only=off")
            try await cluster.kill("datanode1")
            try await someone.killed(["run", "--yes", someone.playbook], in: "rewind")
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0, "\(output.all)")
            try await Self.expectSlave(cluster, synchronous: true)
            #expect(try await cluster.sql(on: "node01", "SELECT to_regclass('app.lost') IS NULL", port: 20006) == "t")
        }
    }

    /// Has datanode1's slave take its place, by hand; no coordinator is told.
    /// - Parameter before: done while the slave streams.
    private static func failOver(_ cluster: XC, before: () async throws -> Void = {}) async throws {
        try await cluster.slave("datanode1_slave", of: "datanode1", on: "node02", port: 20010)
        try await before()
        try await cluster.stop("datanode1")
        try await cluster.host("node02").run(asUser: "postgres", "\(XC.binaryDirectory)/pg_ctl -s -D \(new) promote")
        try await eventually("the slave to be promoted", within: .seconds(60)) { try await cluster.sql(on: "node02", "SELECT pg_is_in_recovery()", port: 20010) == "f" }
    }

    /// The moments that are the same on both are looked at on the real one only.
    private static func kills(_ all: [(String, Bool)], _ real: [(String, Bool)]) -> [(String, Bool)] {
        let order = ["prepare", "stop", "make-room", "base-backup", "own-files", "follow", "verify", "synchronous"]
        func rank(_ kill: (String, Bool)) -> Int { (order.firstIndex(of: kill.0) ?? 0) * 2 + (kill.1 ? 1 : 0) }
        return (all + (XC.isStandIn ? [] : real)).sorted { rank($0) < rank($1) }
    }

    private static func rules(_ cluster: XC) async throws -> String { try await cluster.host("node02").run("cat \(new)/pg_hba.conf") }

    private static func expectSlave(_ cluster: XC, synchronous: Bool, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        #expect(
            try await cluster.sql(on: "node02", "SELECT state, sync_state FROM pg_stat_replication WHERE application_name = 'datanode1_old'", port: 20010)
                == "streaming|\(synchronous ? "sync" : "async")", sourceLocation: sourceLocation)
        #expect(try await cluster.sql(on: "node01", "SELECT pg_is_in_recovery(), current_setting('port')", port: 20006) == "t|20006", sourceLocation: sourceLocation)
        #expect(try await cluster.host("node01").run("stat -c %a \(old)") == "700", sourceLocation: sourceLocation)
    }

    private static func operatorOf(_ cluster: XC, _ edits: KeyValuePairs<String, String> = [:]) throws -> Operator {
        let someone = try Operator(of: cluster.bed, with: "datanode-rejoin")
        var text = try readFile(someone.playbook).replacing("/usr/local/pgxc/bin", with: XC.binaryDirectory)
        for (from, to) in edits {
            #expect(text.ranges(of: from).count == 1, "\(from)")
            text = text.replacing(from, with: to)
        }
        try writeFile(text, to: someone.playbook)
        return someone
    }
}

extension CommandOutput {
    fileprivate var all: String { standardOutput + standardError }
}
