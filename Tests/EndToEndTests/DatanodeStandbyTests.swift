import Bed
import Foundation
import Run
import Testing

/// The slaves of the two datanodes of the bed, each on the other's host, as the document has them.
struct MadeSlaves: Sendable {
    let cluster: XC
    static let pairs = [(datanode: "datanode1", slave: "datanode1_slave", host: "node02"), (datanode: "datanode2", slave: "datanode2_slave", host: "node01")]

    func data(_ slave: String) -> String { "/var/lib/postgresql/pgxc/\(slave)" }

    func someone(_ edits: KeyValuePairs<String, String> = [:]) throws -> Operator {
        let someone = try Operator(of: cluster.bed, with: "datanode-standby", playbook: edits)
        try writeFile(try readFile(someone.playbook).replacing("/usr/local/pgxc/bin", with: XC.binaryDirectory), to: someone.playbook)
        return someone
    }

    @discardableResult
    func succeeds(_ someone: Operator, _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let output = try await someone.start(arguments).wait(within: .seconds(300))
        #expect(output.status == 0, "\(arguments): \(output.standardOutput)\(output.standardError)", sourceLocation: sourceLocation)
        return output.standardOutput
    }

    /// Everything that a run may change on the hosts of the masters.
    func looks() async throws -> String {
        var looks = ""
        for (datanode, slave, host) in Self.pairs {
            let place = try cluster.place(of: datanode)
            looks += try await cluster.host(datanode).run(
                """
                cd \(place.dataDirectory); ls | grep -v -e '^postmaster' -e '\\.opts$' -e backup_label; sha256sum postgresql.conf pg_hba.conf pg_ident.conf
                cat ~postgres/.pgpass 2>/dev/null; ls -A ~postgres/pgxc ~postgres
                """)
            looks += try await cluster.host(host).run("ls -A \(data(slave)) 2>/dev/null || echo none")
            looks += try await cluster.sql(on: datanode, "SELECT rolname FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1; SELECT application_name FROM pg_stat_replication")
        }
        return looks
    }

    /// Expects both slaves to stream, and commits to wait for them or not.
    func expectSlaves(synchronous: Bool = true, _ words: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for (datanode, slave, host) in Self.pairs {
            let seen = try await cluster.sql(on: datanode, "SELECT application_name, state, sync_state, usename FROM pg_stat_replication")
            #expect(seen == "\(slave)|streaming|\(synchronous ? "sync" : "async")|replicator", "\(datanode): \(words)", sourceLocation: sourceLocation)
            #expect(
                try await cluster.sql(on: datanode, "SHOW synchronous_standby_names") == (synchronous ? (XC.isStandIn ? "FIRST 1 (\(slave))" : slave) : ""),
                sourceLocation: sourceLocation)
            let own = "SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names'), current_setting('archive_mode'), current_setting('port')"
            #expect(try await cluster.sql(on: host, own, port: 20010) == "t||off|20010", "\(slave): \(words)", sourceLocation: sourceLocation)
            #expect(
                try await cluster.host(host).run("stat -c %a \(data(slave)); ls \(data(slave)) | grep -e recovery.done -e pggraft || :") == "700", sourceLocation: sourceLocation)
        }
    }

    /// Expects each slave to have what its datanode has, now that nobody writes.
    func expectSame(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let all = "SELECT count(*), sum(hashtext(l::text)) FROM app.ledger l; SELECT count(*), sum(hashtext(e::text)) FROM app.events e"
        for (datanode, slave, host) in Self.pairs {
            let right = try await cluster.sql(on: datanode, all)
            try await eventually("\(slave) to have everything", within: .seconds(60)) { try await cluster.sql(on: host, all, port: 20010) == right }
        }
    }

    /// Has the masters as they are where nobody ever thought of a standby.
    func forgetStandbys() async throws {
        for (datanode, _, _) in Self.pairs {
            let file = "\(try cluster.place(of: datanode).dataDirectory)/postgresql.conf"
            try await cluster.host(datanode).run(asUser: "postgres", "printf 'wal_level = minimal\\nmax_wal_senders = 0\\n' >>\(file)")
            try await cluster.stop(datanode)
            try await cluster.start(datanode)
        }
    }

    /// Ends a file of the log of a datanode, with something in it.
    /// - Returns: its name.
    @discardableResult
    func switchSegment(_ datanode: String) async throws -> String {
        let (name, end) = XC.isStandIn ? ("pg_walfile_name", "pg_switch_wal") : ("pg_xlogfile_name", "pg_switch_xlog")
        try await cluster.sql(on: "coord1", "INSERT INTO app.events (node, seq) SELECT 'switch', i FROM generate_series(1, 200) i; DELETE FROM app.events WHERE node = 'switch'")
        return try await cluster.sql(on: datanode, "SELECT \(name)(\(end)())")
    }

    /// The passwords in the password files of the OS users.
    func passwords(_ someone: Operator) async throws -> [String] {
        var found: [String] = []
        for host in ["node01", "node02"] {
            found += try await cluster.host(host).run("cat ~postgres/.pgpass").split(separator: "\n").compactMap { $0.split(separator: ":").last.map(String.init) }
        }
        #expect(!found.isEmpty)
        return found
    }
}

@Suite("Slaves of Postgres-XC datanodes", .serialized)
struct DatanodeStandbyTests {
    /// Whether each step is killed, and not only a few.
    private static let isWhole = ProcessInfo.processInfo.environment["PGGRAFT_FAULTS"] != nil
    private static let restarting = ("# restart: no", "restart: yes")

    @Test func `are made side by side under writers, although pggraft is killed, waited for, and taken back`() async throws {
        try await withXC { cluster in
            let made = MadeSlaves(cluster: cluster)
            try await made.forgetStandbys()
            let before = try await made.looks(), someone = try made.someone([Self.restarting.0: Self.restarting.1])
            let plan = try await made.succeeds(someone, "plan", someone.playbook)
            #expect(plan.contains("restart, fast: wal_level and max_wal_senders need it"), "\(plan)")
            #expect(try await made.looks() == before)

            let writers = try await cluster.writers()
            try await someone.killed(["run", "--yes", someone.playbook], in: "base-backup", after: .milliseconds(40))
            try await someone.killed(["resume", try someone.run()], in: "synchronous", after: .milliseconds(15))
            let output = try await made.succeeds(someone, "resume", try someone.run())
            try await made.expectSlaves(output)
            let then = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > then + 20 }
            let ledger = try await writers.stop()
            for coordinator in XC.coordinators {
                let holding = try await cluster.verify(ledger, through: coordinator)
                #expect(holding.isClean, "\(coordinator): \(holding)")
            }
            // A restart leaves nobody's transaction in doubt.
            for (datanode, _, _) in MadeSlaves.pairs { #expect(try await cluster.sql(on: datanode, "SELECT gid FROM pg_prepared_xacts") == "", "\(datanode)") }
            try await made.expectSame()
            for secret in try await made.passwords(someone) { #expect(!(try output + someone.journalText()).contains(secret)) }
            let again = try await made.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(!again.contains("✓"), "\(again)")

            let run = try #require(try someone.journals().first?.split(separator: "/").last?.dropLast(".jsonl".count))
            try await made.succeeds(someone, "undo", "--yes", "--purge-data", String(run))
            let after = try await made.looks()
            #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
            // A restart brings nothing back.
            for (datanode, _, _) in MadeSlaves.pairs {
                try await cluster.stop(datanode)
                try await cluster.start(datanode)
                #expect(try await cluster.sql(on: datanode, "SHOW synchronous_standby_names; SHOW wal_level; SHOW max_wal_senders") == "\nminimal\n0")
            }
        }
    }

    @Test func `have an archive on their host, which a connection that is cut off does not spoil`() async throws {
        try await withXC { cluster in
            let made = MadeSlaves(cluster: cluster), archives = ["node02": "/var/lib/postgresql/pgxc/datanode1_arclog", "node01": "/var/lib/postgresql/pgxc/datanode2_arclog"]
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
            try await made.expectSlaves(synchronous: false, output)

            // What is archived while ssh is cut off comes later, whole.
            func files(_ host: String) async throws -> [String] { try await cluster.host(host).run("ls \(archives[host] ?? "")").split(separator: "\n").map(String.init) }
            for (datanode, _, host) in MadeSlaves.pairs.prefix(Self.isWhole ? 2 : 0) {
                let node = try cluster.place(of: datanode).host
                try await cluster.bed.block(from: node, to: host, port: 22)
                let segment = try await made.switchSegment(datanode)
                try await eventually("\(datanode) to fail to archive", within: .seconds(60)) {
                    try await cluster.host(node).run("grep -c 'archive command failed' /var/log/postgresql/datanode.log || :") != "0"
                }
                #expect(try await files(host).contains(segment) == false)
                try await cluster.bed.healNetwork()
                // Whoever has failed is woken by the next one.
                try await made.switchSegment(datanode)
                try await eventually("\(segment) on \(host)", within: .seconds(120)) { try await files(host).contains(segment) }
                #expect(try await files(host).allSatisfy { !$0.hasSuffix(".part") })
                let same = "sha256sum <\(archives[host] ?? "")/\(segment)", wal = XC.isStandIn ? "pg_wal" : "pg_xlog"
                #expect(try await cluster.host(host).run(same) == cluster.host(node).run("sha256sum <\(cluster.place(of: datanode).dataDirectory)/\(wal)/\(segment)"))
            }
            // The slave fetches from there what its master has not any more, and clears it.
            let (datanode, slave, host) = MadeSlaves.pairs[0], first = try await files(host).filter { $0.count == 24 }.min()
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
                guard let first else { return false }
                return try await !files(host).contains(first)
            }
            try await expectDropped(made, someone)
            let after = try await made.looks()
            #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
        }
    }

    /// Drops the first slave, which is made synchronous first, sees that a restart brings nothing of it back, and takes that back.
    private func expectDropped(_ made: MadeSlaves, _ someone: Operator) async throws {
        let cluster = made.cluster, (datanode, slave, host) = MadeSlaves.pairs[0], first = try someone.run()
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
            let made = MadeSlaves(cluster: cluster)
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

    @Test(.enabled(if: isWhole, "PGGRAFT_FAULTS asks for it")) func `are waited for by nobody where a commit does not return`() async throws {
        try await withXC { cluster in
            let made = MadeSlaves(cluster: cluster), someone = try made.someone([Self.restarting.0: Self.restarting.1, "# synchronous: yes": "synchronous: no"])
            let async = try await made.succeeds(someone, "run", "--yes", someone.playbook)
            try await made.expectSlaves(synchronous: false, async)
            // It streams, as the master sees it, and writes nothing down.
            let (_, slave, host) = MadeSlaves.pairs[1], receivers = "pgrep -P $(head -n 1 \(made.data(slave))/postmaster.pid) -f 'wal ?receiver'"
            try await cluster.host(host).run("kill -STOP $(\(receivers))")
            try writeFile(try readFile(someone.playbook).replacing("synchronous: no", with: "synchronous: yes"), to: someone.playbook)
            let refused = try await someone.pggraft("run", "--yes", someone.playbook), said = refused.standardOutput + refused.standardError
            #expect(refused.status == 1 && said.contains("datanode2: a commit did not return within 10 s"), "\(said)")
            #expect(said.contains("no commit on datanode2 waits for datanode2_slave any more"), "\(said)")
            #expect(try await cluster.sql(on: "datanode2", "SHOW synchronous_standby_names") == "")
            try await cluster.sql(on: "coord1", "INSERT INTO app.events (node, seq) SELECT 'here', i FROM generate_series(1, 20) i", within: .seconds(20))
            try await cluster.host(host).run("kill -CONT $(\(receivers))")
            let output = try await made.succeeds(someone, "resume", try someone.run())
            try await made.expectSlaves(output)
        }
    }

    private static let steps = [
        "replication-role", "configure-primary", "restart-primary", "allow-standby", "base-backup", "streaming", "start-standby", "catch-up", "synchronous", "verify",
    ]

    @Test(.enabled(if: isWhole, "PGGRAFT_FAULTS asks for it"), arguments: steps) func `are made and taken back although pggraft is killed in each step`(_ step: String) async throws
    {
        try await withXC { cluster in
            let made = MadeSlaves(cluster: cluster)
            try await made.forgetStandbys()
            let before = try await made.looks(), someone = try made.someone([Self.restarting.0: Self.restarting.1])
            // As it begins, and taken back; then somewhere inside of it, between the two slaves or in one of them, twice, and gone on with.
            try await someone.killed(["run", "--yes", someone.playbook], in: step)
            try await expectUndone(made, someone, before, step)
            try await someone.killed(["run", "--yes", someone.playbook], in: step, after: .milliseconds(40))
            if step != "verify" { try await someone.killed(["resume", try someone.run()], in: "verify", after: .milliseconds(15)) }
            let output = try await made.succeeds(someone, "resume", try someone.run())
            try await made.expectSlaves("\(step): \(output)")
            try await expectUndone(made, someone, before, step)
        }
    }

    private func expectUndone(_ made: MadeSlaves, _ someone: Operator, _ before: String, _ step: String) async throws {
        try await made.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
        // The settings that wait for a restart are taken by one.
        for (datanode, _, _) in MadeSlaves.pairs {
            try await made.cluster.stop(datanode)
            try await made.cluster.start(datanode)
        }
        let after = try await made.looks()
        #expect(after == before, "\(step): \(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
    }
}
