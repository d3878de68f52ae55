import Bed
import Testing

/// A slave takes the place of a Postgres-XC datanode's master: of the real one where `PGGRAFT_XC_BINDIR` is set, else of a stand-in.
@Suite("A failover of a datanode", .serialized)
struct DatanodeFailoverTests {
    @Test func `under writers, killed at each step: nothing that was acknowledged is missing, through every coordinator`() async throws {
        try await withXC(primary: true) { cluster in
            report("on \(cluster.description)")
            try await cluster.synchronousSlave()
            let someone = try cluster.failover()
            let early = try await someone.pggraft("check", someone.playbook)
            #expect(early.status == 1 && early.standardOutput.contains("works: it answers, and takes writes"), "\(early.standardOutput)\(early.standardError)")

            let writers = try await cluster.writers(perNode: 4)
            try await eventually("some transactions", within: .seconds(60)) { try writers.ledger().acknowledged > 40 }
            try await cluster.leaveInDoubt()
            try await cluster.kill("datanode1")
            try await someone.killed(["run", "--yes", "--restart-gtm", someone.playbook], in: "fence")
            let run = try someone.run()
            // What the writers of the real one leave in doubt is left to chance.
            for step in ["catch-up", "clear", "promote", "in-doubt", "restart-gtm", "tell"] where XC.isStandIn || !["in-doubt", "restart-gtm"].contains(step) { 
                try await someone.killed(["resume", run], in: step)
            }
            try await someone.killed(["resume", run], in: "tell", done: true)
            let output = try await someone.pggraft("resume", run)
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            #expect(output.standardOutput.contains("waited for datanode1_slave (synchronous_standby_names = 'datanode1_slave'): what it has acknowledged is there"), "\(output.standardOutput)")
            let before = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > before + 20 }
            try await cluster.expectFailedOver(try await writers.stop(), flags: "t|t")
            try await cluster.expectSettled()
            // Whoever starts the old master starts a standby.
            try await cluster.start("datanode1")
            #expect(try await cluster.sql(on: "datanode1", "SELECT pg_is_in_recovery()") == "t")
            let undone = try await someone.pggraft("undo", "--yes", run)
            #expect(undone.status == 1 && undone.standardError.contains("make the old one its slave with `procedure: datanode-rejoin`"), "\(undone.standardError)")
        }
    }

    @Test func `a coordinator that is down keeps it open; it is told when it is back, and one that crashes meanwhile is told again`() async throws {
        try await withXC { cluster in
            try await cluster.synchronousSlave()
            let someone = try cluster.failover(["# tables: app.ledger, app.events": "tables: app.bulk"])
            try await cluster.stop("coord2", mode: "immediate")
            let writers = try await cluster.writers(on: ["coord1"])
            try await cluster.kill("datanode1")
            let program = try someone.start(["run", "--yes", "--restart-gtm", someone.playbook])
            try await someone.reaches("tell")
            // All sessions of a coordinator of which one process dies end.
            try await cluster.host("coord1").run("pkill -KILL -o -f 'postgres.*checkpointer' || :")
            let output = try await program.wait(within: .seconds(240))
            #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)")
            for words in [
                "coord1 reaches datanode1_slave; coord2 cannot be reached", "coord2 was not told that datanode1 is at 10.77.0.62:20010 now, and the failover is not finished",
                "the cluster would be split in two", "start coord2, then at once: pggraft resume \(try someone.run())", "the old master is marked as a standby",
            ] { #expect((output.standardOutput + output.standardError).contains(words), "\(words)\n\(output.standardOutput)\(output.standardError)") }
            let before = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > before + 10 }
            let again = try await someone.pggraft("resume", someone.run())
            #expect(again.status == 1 && again.standardError.contains("the failover is not finished"), "\(again.standardOutput)\(again.standardError)")

            try await cluster.start("coord2")
            #expect(try await cluster.sql(on: "coord2", "SELECT node_host, node_port FROM pgxc_node WHERE node_name = 'datanode1'") == "10.77.0.61|20006")
            let finished = try await someone.pggraft("resume", someone.run())
            #expect(finished.status == 0, "\(finished.standardOutput)\(finished.standardError)")
            #expect(finished.standardOutput.contains("coord2: 4 tables read, a row written to every datanode and removed; app.bulk 2000 rows"), "\(finished.standardOutput)")
            try await cluster.expectFailedOver(try await writers.stop())
        }
    }

    @Test func `a host that is gone wants to be told so; what does not fit is refused before anything is changed`() async throws {
        try await withXC { cluster in
            let nodes = "SELECT * FROM pgxc_node ORDER BY 1", before = try await cluster.sql(on: "coord1", nodes)
            try await cluster.synchronousSlave()
            // A standby of another datanode, and one that never streamed.
            try await cluster.slave("datanode2_slave", of: "datanode2", on: "node01", port: 20010)
            try await cluster.kill("datanode1")
            let entry = "      ssh: node02\n      # What ALTER NODE tells the coordinators: at most 63 bytes.\n      address: 10.77.0.62\n      port: 20010\n      data_directory: /var/lib/postgresql/pgxc/datanode1_slave\n"
            let other = "      ssh: node01\n      address: 10.77.0.61\n      port: 20010\n      data_directory: /var/lib/postgresql/pgxc/datanode2_slave\n"
            let second = "    coord2:\n      ssh: node02\n      address: 10.77.0.62\n      port: 20004\n"
            for (words, edits) in [
                ("is a copy of another cluster: its system identifier is", [entry: other, "    datanode2_slave:\n      of: datanode2\n\(other)": ""]),
                ("knows a coordinator coord2 at 10.77.0.62:20004, which the playbook does not", [second: ""]),
                ("is no superuser there", ["user: dba_admin": "user: app"]),
                (
                    XC.isStandIn ? "knows no node datanode1" : "calls itself datanode2",
                    ["      address: 10.77.0.62\n      port: 20006\n": "      address: 10.77.0.62\n      port: 20007\n", second: second.replacing("20004", with: "20006")]
                ),
                ("knows no node DataNode1", ["    datanode1:\n": "    DataNode1:\n", "      of: datanode1\n": "      of: DataNode1\n", "\ndatanode: datanode1": "\ndatanode: DataNode1"]),
            ] as [(String, KeyValuePairs<String, String>)] {
                let someone = try cluster.failover(edits), refused = try await someone.pggraft("run", "--yes", someone.playbook)
                #expect(refused.status == 1 && refused.standardOutput.contains(words), "\(words)\n\(refused.standardOutput)\(refused.standardError)")
                #expect((refused.standardOutput + refused.standardError).contains("Nothing was changed."), "\(refused.standardOutput)\(refused.standardError)")
            }
            #expect(try await cluster.sql(on: "coord1", nodes) == before)

            // Nothing came since its start: whether it ever did nobody sees.
            try await cluster.host("node02").run(
                asUser: "postgres", "\(XC.binaryDirectory)/pg_ctl -s -w -D /var/lib/postgresql/pgxc/datanode1_slave -m fast -Z datanode -l /var/log/postgresql/datanode1_slave.log restart")
            let someone = try cluster.failover(["# slave_has_streamed: seen": "slave_has_streamed: seen"])
            let silent = try await someone.pggraft("check", someone.playbook)
            #expect(silent.status == 1 && silent.standardOutput.contains("has received nothing since it was started"), "\(silent.standardOutput)")

            // Both the coordinator and the master of node01 are gone.
            try writeFile(try readFile(someone.playbook).replacing("slave_has_streamed: seen", with: "slave_has_streamed: as-i-say"), to: someone.playbook)
            try await cluster.host("node01").powerOff()
            let refused = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(refused.status == 1 && refused.standardOutput.contains("--master-is-dead or `master_is_dead: true` in the playbook"), "\(refused.standardOutput)\(refused.standardError)")
            let output = try await someone.pggraft("run", "--yes", "--master-is-dead", someone.playbook)
            #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)")
            for words in ["coord2 reaches datanode1_slave; coord1 cannot be reached", "see to it that the old master at 10.77.0.61:20006 does not start"] {
                #expect((output.standardOutput + output.standardError).contains(words), "\(words)\n\(output.standardOutput)\(output.standardError)")
            }
            #expect(try await cluster.sql(on: "coord2", "SELECT count(*) FROM app.bulk") == "2000")
        }
    }
}

extension XC {
    /// A slave of datanode1 on node02, as the source document has it, which every commit waits for, and which has inherited that.
    func synchronousSlave() async throws {
        try await host("datanode1").run(asUser: "postgres", "echo \"synchronous_standby_names = 'datanode1_slave'\" >>\(place(of: "datanode1").dataDirectory)/postgresql.conf")
        try await slave("datanode1_slave", of: "datanode1", on: "node02", port: 20010)
        try await eventually("commits to wait for datanode1_slave", within: .seconds(60)) {
            try await sql(on: "datanode1", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'datanode1_slave'") == "sync"
        }
        #expect(try await sql(on: "node02", "SHOW synchronous_standby_names", port: 20010) == "datanode1_slave")
    }

    /// Whoever fails datanode1 over.
    func failover(_ edits: KeyValuePairs<String, String> = [:]) throws -> Operator {
        let someone = try Operator(of: bed, with: "datanode-failover")
        var text = try readFile(someone.playbook)
        for (old, new) in [("/usr/local/pgxc/bin", Self.binaryDirectory)] + edits.map({ ($0.key, $0.value) }) {
            guard text.ranges(of: old).count == 1 else { throw BedError.unexpected("the playbook does not have this exactly once: \(old)") }
            text = text.replacing(old, with: new)
        }
        try writeFile(text, to: someone.playbook)
        return someone
    }

    /// Every coordinator has datanode1 at its slave's place, and finds every row of the ledger.
    func expectFailedOver(_ ledger: Ledger, flags: String = "f|f") async throws {
        for coordinator in Self.coordinators {
            let node = try await sql(on: coordinator, "SELECT node_host, node_port, nodeis_primary, nodeis_preferred FROM pgxc_node WHERE node_name = 'datanode1'")
            #expect(node == "\(try host("node02").address)|20010|\(flags)", "\(coordinator)")
            let holding = try await verify(ledger, through: coordinator)
            #expect(holding.isClean, "\(coordinator): \(holding)")
            try await sql(on: coordinator, "INSERT INTO app.orders (id, region) VALUES (1, 'EU'); DELETE FROM app.orders WHERE id = 1")
        }
        #expect(try await sql(on: "node02", "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'T%'", port: 20010) == "0")
        #expect(try await sql(on: "node02", "SHOW synchronous_standby_names", port: 20010) == "")
    }

    // MARK: In doubt

    /// Leaves transactions prepared on datanode1 and its slave, as coordinators leave them whose datanode dies: one that datanode2 has committed, and one that it
    /// has not. Of the real one's clients nobody can: what its writers have left is what there is.
    func leaveInDoubt() async throws {
        guard Self.isStandIn else { return }
        let writing = "-c default_transaction_read_only=off"
        let committed = try await sql(on: "datanode2", "BEGIN; CREATE TABLE app.other (n int); SELECT txid_current(); COMMIT", options: writing)
        for (id, transaction) in [(-1, committed), (-2, "900001")] {
            try await sql(on: "datanode1", "BEGIN; INSERT INTO app.bulk (id) VALUES (\(id)); PREPARE TRANSACTION 'T\(transaction)'", options: writing)
        }
        try await sql(on: "datanode1", "BEGIN; INSERT INTO app.bulk (id) VALUES (-3); PREPARE TRANSACTION 'somebody''s'", options: writing)
    }

    /// What was left in doubt is settled as datanode2 has it, and what is not a coordinator's is left.
    func expectSettled() async throws {
        guard Self.isStandIn else { return }
        #expect(try await sql(on: "node02", "SELECT id FROM app.bulk WHERE id < 0; SELECT gid FROM pg_prepared_xacts", port: 20010) == "-1\nsomebody's")
    }
}
