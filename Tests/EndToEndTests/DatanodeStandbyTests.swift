import Bed
import Foundation
import Run
import Testing

extension XCSlaves {
    @discardableResult
    fileprivate func succeeds(_ someone: Operator, _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let output = try await someone.start(arguments).wait(within: .seconds(300))
        #expect(output.status == 0, "\(arguments): \(output.standardOutput)\(output.standardError)", sourceLocation: sourceLocation)
        return output.standardOutput
    }
}

@Suite("Slaves of Postgres-XC datanodes", .serialized)
struct DatanodeStandbyTests {
    private static let restarting = ("# restart: no", "restart: yes")

    private static let synchronous = """
        procedure: synchronous
        cluster:
          name: datanode1
          database: app
          user: dba_admin
          nodes:
            datanode1:
              ssh: node01
              address: 10.77.0.61
              port: 20006
              data_directory: /var/lib/postgresql/pgxc/datanode
              bin_directory: \(XC.binaryDirectory)
            datanode1_slave:
              ssh: node02
              address: 10.77.0.62
              port: 20010
              data_directory: /var/lib/postgresql/pgxc/datanode1_slave
              bin_directory: \(XC.binaryDirectory)

        """

    @Test func `are made side by side under writers, although pggraft is killed, waited for, and taken back`() async throws {
        try await withXC { cluster in
            let made = XCSlaves(of: cluster)
            try await made.forgetStandbys()
            let before = try await made.looks(), someone = try made.someone([Self.restarting.0: Self.restarting.1])
            let plan = try await made.succeeds(someone, "plan", someone.playbook)
            #expect(plan.contains("restart, fast: wal_level and max_wal_senders need it"), "\(plan)")
            #expect(try await made.looks() == before)

            let writers = try await cluster.writers()
            try await someone.killed(["run", "--yes", someone.playbook], in: "base-backup", after: .milliseconds(40))
            try await someone.killed(["resume", try someone.run()], in: "synchronous", after: .milliseconds(15))
            let output = try await made.succeeds(someone, "resume", try someone.run())
            #expect(try await made.wrong() == [], "\(output)")
            let then = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > then + 20 }
            let ledger = try await writers.stop()
            for coordinator in XC.coordinators {
                let holding = try await cluster.verify(ledger, through: coordinator)
                #expect(holding.isClean, "\(coordinator): \(holding)")
            }
            // A restart leaves nobody's transaction in doubt.
            for (datanode, _, _) in XCSlaves.pairs { #expect(try await cluster.sql(on: datanode, "SELECT gid FROM pg_prepared_xacts") == "", "\(datanode)") }
            try await made.awaitSame()
            let passwords = try await made.passwords()
            #expect(passwords.count == 2)
            for secret in passwords { #expect(!(try output + someone.journalText()).contains(secret)) }
            let again = try await made.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(!again.contains("✓"), "\(again)")

            // A master has its list changed as any primary has.
            let list = someone.directory + "/synchronous.yaml"
            try writeFile(Self.synchronous + "standbys: off\n", to: list)
            let said = try await made.succeeds(someone, "run", "--yes", list)
            #expect(said.contains("a commit took"), "\(said)")
            #expect(try await cluster.sql(on: "datanode1", "SHOW synchronous_standby_names") == "")
            try await made.succeeds(someone, "undo", "--yes", try someone.lastRun())
            #expect(try await made.wrong() == [])

            let run = try #require(try someone.journals().first?.split(separator: "/").last?.dropLast(".jsonl".count))
            try await made.succeeds(someone, "undo", "--yes", "--purge-data", String(run))
            let after = try await made.looks()
            #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
            // A restart brings nothing back.
            for (datanode, _, _) in XCSlaves.pairs {
                try await cluster.stop(datanode)
                try await cluster.start(datanode)
                #expect(try await cluster.sql(on: datanode, "SHOW synchronous_standby_names; SHOW wal_level; SHOW max_wal_senders") == "\nminimal\n0")
            }
        }
    }

    @Test func `have an archive on their host, fetch from it, clear it, and are dropped`() async throws {
        try await withXC { cluster in
            let made = XCSlaves(of: cluster), archives = ["node02": "/var/lib/postgresql/pgxc/datanode1_arclog", "node01": "/var/lib/postgresql/pgxc/datanode2_arclog"]
            let someone = try made.someone([
                Self.restarting.0: Self.restarting.1, "# synchronous: yes": "synchronous: no", "      # archive: none\n": "      archive: \(archives["node02"] ?? "")\n",
                "      data_directory: /var/lib/postgresql/pgxc/datanode2_slave\n":
                    "      data_directory: /var/lib/postgresql/pgxc/datanode2_slave\n      archive: \(archives["node01"] ?? "")\n",
            ])
            let before = try await made.looks(), key = "/var/lib/postgresql/.ssh/id_ed25519"
            try await cluster.host("node01").run("mv \(key) \(key).away")
            let refused = try await someone.pggraft("check", someone.playbook)
            #expect(refused.status == 1 && refused.standardOutput.contains("postgres does not reach 10.77.0.62 by ssh"), "\(refused.standardOutput)")
            #expect(refused.standardOutput.contains("as postgres on the host of datanode1: ssh -T -oBatchMode=yes"), "\(refused.standardOutput)")
            try await cluster.host("node01").run("mv \(key).away \(key)")
            let output = try await made.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(try await made.wrong(synchronous: false) == [], "\(output)")

            func files(_ host: String) async throws -> [String] { try await cluster.host(host).run("ls \(archives[host] ?? "")").split(separator: "\n").map(String.init) }
            // The slave fetches from there what its master has not any more, and clears it.
            let (datanode, slave, host) = XCSlaves.pairs[0], first = try await made.switchSegment(XCSlaves.pairs[0].datanode)
            try await eventually("\(first) in the archive", within: .seconds(60)) { try await files(host).contains(first) }
            let control = "\(XC.binaryDirectory)/pg_ctl -s -w -D \(made.data(slave))", log = "/var/log/postgresql/\(slave).log"
            try await cluster.host(host).run(asUser: "postgres", "\(control) -m fast stop")
            for _ in 0..<3 {
                try await made.switchSegment(datanode)
                try await cluster.sql(on: datanode, "CHECKPOINT")
            }
            try await cluster.host(host).run(asUser: "postgres", "\(control) -Z datanode -l \(log) start")
            try await eventually("\(slave) to restore from the archive", within: .seconds(60)) {
                try await cluster.host(host).run("grep -c 'restored log file' \(log) || :") != "0"
            }
            try await eventually("\(slave) to stream", within: .seconds(60)) { try await cluster.sql(on: datanode, "SELECT state FROM pg_stat_replication") == "streaming" }
            try await eventually("the archive to be cleared", within: .seconds(60)) {
                try await cluster.sql(on: datanode, "CHECKPOINT")
                try await cluster.sql(on: host, "CHECKPOINT", port: 20010)
                return try await !files(host).contains(first)
            }
            try await expectDropped(made, someone)
            let after = try await made.looks()
            #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
        }
    }

    /// Drops the first slave, which is made synchronous first, sees that a restart brings nothing of it back, and takes that back.
    private func expectDropped(_ made: XCSlaves, _ someone: Operator) async throws {
        let cluster = made.cluster, (datanode, slave, host) = XCSlaves.pairs[0], first = try someone.run()
        // A server that stops ends its segment, and what is archived to nowhere then is what the slave has yet to get once it is back.
        if XC.isStandIn { for statement in ["ALTER SYSTEM SET wal_keep_size = '256MB'", "SELECT pg_reload_conf()"] { try await cluster.sql(on: datanode, statement) } }
        try writeFile(try readFile(someone.playbook).replacing("synchronous: no", with: "synchronous: yes\nbuild: \(slave)"), to: someone.playbook)
        try await made.succeeds(someone, "run", "--yes", someone.playbook)
        let nodes = try readFile(someone.playbook).split(separator: "# Which of the slaves are made")[0].replacing(
            "procedure: datanode-standby", with: "procedure: datanode-drop-slave")
        let playbook = someone.directory + "/datanode-drop-slave.yaml"
        try writeFile(nodes + "\nslave: \(slave)\n", to: playbook)
        let output = try await made.succeeds(someone, "run", "--yes", playbook), drop = try someone.run()
        #expect(output.contains("archive_command = '/bin/true', archive_mode = off") && output.contains("10.77.0.62/32"), "\(output)")
        try await cluster.stop(datanode)
        try await cluster.start(datanode)
        let settings = "SELECT count(*) FROM pg_stat_replication; SHOW synchronous_standby_names; SHOW archive_mode"
        #expect(try await cluster.sql(on: datanode, settings) == "0\n\noff")
        #expect(try await cluster.host(datanode).run("grep -c '^host.*replication.*10.77.0.62' \(cluster.place(of: datanode).dataDirectory)/pg_hba.conf || :") == "0")
        try await cluster.sql(
            on: "coord1", "INSERT INTO app.events (node, seq) SELECT 'alone', i FROM generate_series(1, 20) i; DELETE FROM app.events WHERE node = 'alone'", within: .seconds(20))
        let again = try await made.succeeds(someone, "run", "--yes", playbook)
        #expect(!again.contains("✓"), "\(again)")
        try await made.succeeds(someone, "undo", "--yes", drop)
        try await eventually("\(slave) to be waited for again", within: .seconds(60)) {
            try await cluster.sql(on: datanode, "SELECT sync_state FROM pg_stat_replication") == "sync"
        }
        #expect(try await cluster.sql(on: host, "SELECT pg_is_in_recovery()", port: 20010) == "t")
        // The run that has made it synchronous is taken back before the one that has made it.
        let second = try someone.journals().compactMap { $0.split(separator: "/").last.map { String($0.dropLast(".jsonl".count)) } }.first { $0 > first && $0 < drop }
        try await made.succeeds(someone, "undo", "--yes", try #require(second))
        try await made.succeeds(someone, "undo", "--yes", "--purge-data", first)
    }

    @Test func `are refused before the first change where something stands in the way`() async throws {
        try await withXC { cluster in
            let made = XCSlaves(of: cluster)
            try await made.forgetStandbys()
            let before = try await made.looks()
            let master = "      address: 10.77.0.61\n      port: 20006\n", slave = "      address: 10.77.0.62\n      port: 20010\n"
            let cases: [(edits: KeyValuePairs<String, String>, words: [String])] = [
                ([:], ["wal_level and max_wal_senders can be changed at a start only", "say `restart: yes`"]),
                ([master: master.replacing("20006", with: "20004")], ["10.77.0.61 port 20004 is already node \"coord1\""]),
                (
                    ["    datanode1:\n      ssh": "    Other:\n      ssh", "    datanode2:\n      ssh": "    datanode1:\n      ssh", "    Other:\n": "    datanode2:\n"],
                    ["under datanode1, and not 10.77.0.62:20006", "under datanode2, and not 10.77.0.61:20006"]
                ),
                (
                    ["    datanode1:\n      ssh": "    datanode9:\n      ssh", "of: datanode1": "of: datanode9"],
                    ["knows no node datanode9", "its datanodes are datanode1 and datanode2"]
                ),
                (["    datanode1:\n      ssh": "    Datanode1:\n      ssh", "of: datanode1": "of: Datanode1"], ["knows no node Datanode1", "capitals count: it has datanode1"]),
                (["user: dba_admin": "user: app"], ["app is no superuser there"]),
                ([slave: slave.replacing("20010", with: "22")], ["somebody listens on 22 already"]),
                (["pgxc/datanode1_slave\n": "pgxc/coord\n"], ["/var/lib/postgresql/pgxc/coord: ", "name an empty directory"]),
                (["    datanode1_slave:\n      of: datanode1\n      ssh: node02": "    datanode1_slave:\n      of: datanode1\n      ssh: nowhere"], ["nowhere"]),
            ]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (edits, words) in cases {
                    let someone = try made.someone(edits)
                    group.addTask {
                        let output = try await someone.pggraft("check", someone.playbook), said = output.standardOutput + output.standardError
                        #expect(output.status != 0 && words.allSatisfy(said.contains), "\(edits): \(said)")
                    }
                }
                try await group.waitForAll()
            }
            let someone = try made.someone(), run = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(run.status == 1, "\(run.standardOutput)")
            let after = try await made.looks()
            #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
        }
    }
}
