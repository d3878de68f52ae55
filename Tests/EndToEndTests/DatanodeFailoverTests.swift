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
            try await cluster.holdReaders(of: "app.orders")
            try await cluster.kill("datanode1")
            try await someone.killed(["run", "--yes", "--restart-gtm", someone.playbook], in: "fence")
            let run = try someone.run()
            for step in ["catch-up", "clear", "promote", "in-doubt", "restart-gtm", "tell"] { try await someone.killed(["resume", run], in: step) }
            // It waits for the table.
            try await someone.killed(["resume", run], in: "verify")
            try await cluster.releaseReaders()
            let live = try await cluster.leaveInDoubtLate(), program = try someone.start(["resume", run])
            try await eventually("what nobody is at to be rolled back", within: .seconds(120)) {
                let left = "SELECT gid FROM pg_prepared_xacts WHERE gid IN ('T900002', 'T900003', 'T900004')"
                for (server, port) in [("node02", 20010), ("datanode2", nil), ("coord2", nil)] as [(String, Int?)] {
                    if program.hasEnded { return true }
                    guard try await cluster.sql(on: server, left, port: port).isEmpty else { return false }
                }
                return true
            }
            try await cluster.endLate(live)
            let output = try await program.wait(within: .seconds(240))
            for words in [
                "\(live) is prepared on datanode1_slave, and a session of coord1 works at it: waited for", "T900003 on datanode2: ROLLBACK PREPARED",
                "T900004 on coord2: ROLLBACK PREPARED",
            ] { #expect(output.standardOutput.contains(words), "\(words)\n\(output.standardOutput)") }
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            let words = "datanode1 waited for datanode1_slave (synchronous_standby_names = 'datanode1_slave'): what it has acknowledged is there"
            #expect(output.standardOutput.contains(words), "\(output.standardOutput)")
            let before = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > before + 20 }
            let wrong = try await cluster.wrongAfterFailover(try await writers.stop(), flags: "t|t")
            #expect(wrong == [])
            // What was left in doubt is settled as datanode2 has it, and what is not a coordinator's is left.
            let rows = "SELECT id FROM app.bulk WHERE id < 0 ORDER BY 1; SELECT gid FROM pg_prepared_xacts"
            #expect(try await cluster.sql(on: "node02", rows, port: 20010) == "-7\n-4\n-1\nsomebody's")
            #expect(try await cluster.sql(on: "datanode2", rows) == "")
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
            let wrong = try await cluster.wrongAfterFailover(try await writers.stop())
            #expect(wrong == [])
        }
    }

    @Test func `with no coordinator to be reached nobody was told, and that is not done; a datanode's name has capitals`() async throws {
        try await withXC(datanode1: "DataNode1") { cluster in
            try await cluster.synchronousSlave()
            let someone = try cluster.failover()
            // Something has streamed.
            try await cluster.sql(on: "coord1", "INSERT INTO app.orders (id, region) VALUES (2, 'EU')")
            for coordinator in XC.coordinators { try await cluster.stop(coordinator, mode: "immediate") }
            try await cluster.kill("datanode1")
            let output = try await someone.pggraft("run", "--yes", "--restart-gtm", someone.playbook)
            let said = output.standardOutput + output.standardError
            #expect(output.status == 1 && said.contains("no coordinator was told"), "\(said)")
            for coordinator in XC.coordinators { try await cluster.start(coordinator) }
            let finished = try await someone.pggraft("resume", someone.run())
            #expect(finished.status == 0 && finished.standardOutput.contains("coord1 and coord2 reach datanode1_slave"), "\(finished.standardOutput)\(finished.standardError)")
            for coordinator in XC.coordinators {
                let look = "SELECT node_host, node_port FROM pgxc_node WHERE node_name = 'DataNode1'; SELECT count(*) FROM app.bulk"
                #expect(try await cluster.sql(on: coordinator, look) == "10.77.0.62|20010\n2000")
            }
        }
    }

    @Test func `what does not fit is refused before anything is changed`() async throws {
        try await withXC { cluster in
            let nodes = "SELECT * FROM pgxc_node ORDER BY 1", before = try await cluster.sql(on: "coord1", nodes)
            try await cluster.synchronousSlave()
            // A standby of another datanode, and one that never streamed.
            try await cluster.slave("datanode2_slave", of: "datanode2", on: "node01", port: 20010)
            try await cluster.kill("datanode1")
            let directory = "/var/lib/postgresql/pgxc/datanode", words = "      # What ALTER NODE tells the coordinators: at most 63 bytes.\n"
            let entry = "      ssh: node02\n\(words)      address: 10.77.0.62\n      port: 20010\n      data_directory: \(directory)1_slave\n"
            let other = "      ssh: node01\n      address: 10.77.0.61\n      port: 20010\n      data_directory: \(directory)2_slave\n"
            let second = "    coord2:\n      ssh: node02\n      address: 10.77.0.62\n      port: 20004\n"
            for (words, edits) in [
                ("is a copy of datanode2", [entry: other, "    datanode2_slave:\n      of: datanode2\n\(other)": ""]),
                ("knows a coordinator coord2 at 10.77.0.62:20004, which the playbook does not", [second: ""]),
                ("is no superuser there", ["user: dba_admin": "user: app"]),
                (
                    XC.isStandIn ? "knows no node datanode1" : "calls itself datanode2",
                    [
                        "      address: 10.77.0.62\n      port: 20006\n": "      address: 10.77.0.62\n      port: 20007\n",
                        second: second.replacing("20004", with: "20006"),
                    ]
                ),
                (
                    "knows no node DataNode1",
                    ["    datanode1:\n": "    DataNode1:\n", "      of: datanode1\n": "      of: DataNode1\n", "\ndatanode: datanode1": "\ndatanode: DataNode1"]
                ),
            ] as [(String, KeyValuePairs<String, String>)] {
                let someone = try cluster.failover(edits), refused = try await someone.pggraft("run", "--yes", someone.playbook)
                #expect(refused.status == 1 && refused.standardOutput.contains(words), "\(words)\n\(refused.standardOutput)\(refused.standardError)")
                #expect((refused.standardOutput + refused.standardError).contains("Nothing was changed."), "\(refused.standardOutput)\(refused.standardError)")
            }
            #expect(try await cluster.sql(on: "coord1", nodes) == before)

            // Nothing came since its start: whether it ever did nobody sees.
            try await cluster.host("node02").run(
                asUser: "postgres",
                "\(XC.binaryDirectory)/pg_ctl -s -w -D \(directory)1_slave -m fast -Z datanode -l /var/log/postgresql/datanode1_slave.log restart")
            let someone = try cluster.failover(), silent = try await someone.pggraft("check", someone.playbook)
            #expect(silent.status == 1 && silent.standardOutput.contains("has received nothing since it was started"), "\(silent.standardOutput)")
        }
    }
}
