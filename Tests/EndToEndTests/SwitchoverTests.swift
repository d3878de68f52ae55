import Bed
import Glibc
import Run
import Testing

/// The primary and a standby change their places, under load.
@Suite("A switchover", .serialized)
struct SwitchoverTests {
    /// The shipped playbook for all hosts of a bed.
    private static func operatorOf(_ bed: Bed, hosts: Int, to: String = "db2", programs: Int = 15, edits: KeyValuePairs<String, String> = [:]) throws -> Operator {
        let someone = try Operator(of: bed, with: "switchover")
        var text = try readFile(someone.playbook).replacing("/postgresql/15/main", with: "/postgresql/\(programs)/main").replacing("to: db2", with: "to: \(to)")
        if hosts == 2 { text = text.replacing("    db3:\n      address: 10.77.0.33\n      data_directory: /var/lib/postgresql/\(programs)/main\n", with: "") }
        if hosts == 4 {
            text = text.replacing(
                "\n# The standby that becomes",
                with: "    db4:\n      address: 10.77.0.34\n      data_directory: /var/lib/postgresql/\(programs)/main\n\n# The standby that becomes")
        }
        for (old, new) in edits { text = text.replacing(old, with: new) }
        try writeFile(text, to: someone.playbook)
        return someone
    }

    @Test func `there and back twice, with a third standby and one behind it, loses nothing that was acknowledged`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 4)
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db1")
            try await bed.standby("db4", of: "db3")
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2", "db3", "db4"])
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo() }
            var blocked: [String] = []
            for (old, new) in [("db1", "db2"), ("db2", "db1"), ("db1", "db2"), ("db2", "db1")] {
                let someone = try Self.operatorOf(bed, hosts: 4, to: new)
                let check = try await someone.pggraft("check", someone.playbook)
                #expect(check.status == 0, "\(check.standardOutput)\(check.standardError)")
                let output = try await someone.pggraft("run", "--yes", someone.playbook)
                #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
                if output.status != 0 { return }
                #expect(output.standardOutput.contains("target_session_attrs=read-write"))
                blocked += output.standardOutput.split(separator: "\n").filter { $0.contains("clients were refused") }.map(String.init)
                try await pair.expectOneWriter(new)
                try await pair.expectStreaming([old: new, "db3": new, "db4": "db3"])
                let seen = try writers.ledger().acknowledged
                try await eventually("the writers to go on", within: .seconds(30)) { try writers.ledger().acknowledged > seen + 5 }
            }
            let ledger = try await writers.stop()
            report("longest gap of the writers \(ledger.longestGap()), \(ledger.acknowledged) transactions acknowledged, \(ledger.inDoubt) in doubt")
            for line in blocked { report(line) }
            try await pair.expectNothingLost(ledger, on: "db1")
        }
    }

    @Test func `killed anywhere, it is resumed or undone, and there are never two primaries`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3, layout: .debian)
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db1")
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2", "db3"])
            // What a standby has that never was a primary: no rule for the others, whose users know no password for it.
            try await bed.host("db2").run("sed -i '/^host replication/d' /etc/postgresql/15/main/pg_hba.conf")
            try await bed.psql("db2", "SELECT pg_reload_conf()")
            try await bed.host("db1").run("sed -i '/replicator/d' ~postgres/.pgpass")
            try await bed.psql("db1", "ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (db2, db3)'")
            try await bed.psql("db1", "SELECT pg_reload_conf()")
            let before = try await looks(bed)
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo(of: ["db1", "db2", "db3"]) }
            let edits: KeyValuePairs = [
                "# lease: 30s": "lease: 8s", "# before: ./virtual-ip release": "before: test $PGGRAFT_NEW_PRIMARY = db2 && test -e /tmp/pggraft-hook-before",
            ]
            let someone = try Self.operatorOf(bed, hosts: 3, edits: edits)

            // A hook that refuses: nothing is closed, and nothing stays.
            unlink("/tmp/pggraft-hook-before")
            let refused = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(refused.status == 1 && refused.standardError.contains("Nothing was closed to clients."), "\(refused.standardOutput)\(refused.standardError)")
            try await pair.expectOneWriter("db1")
            #expect(try await someone.pggraft("undo", "--yes", someone.run()).status == 0)
            for (left, right) in zip(before, try await looks(bed)) { #expect(left == right) }
            try writeFile("", to: "/tmp/pggraft-hook-before")
            defer { unlink("/tmp/pggraft-hook-before") }

            // Stopped and not promoted: the watchdog starts the primary again by itself; undone, nothing is left.
            try await someone.killed(["run", "--yes", someone.playbook], in: "stop")
            #expect(try await pair.expectOneWriter() != ["db2"])
            try await eventually("db1 to be started and opened by its watchdog", within: .seconds(40)) { try await pair.expectOneWriter() == ["db1"] }
            let undone = try await someone.pggraft("undo", "--yes", someone.run())
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            try await pair.expectOneWriter("db1")
            try await eventually("the watchdog to go", within: .seconds(30)) {
                try await bed.host("db1").run("find /var/lib/postgresql/15/main -maxdepth 1 -name '*pggraft*'") == ""
            }
            for (left, right) in zip(before, try await looks(bed)) { #expect(left == right) }

            // Killed in one step after the other, and resumed each time.
            try await someone.killed(["run", "--yes", someone.playbook], in: "close", done: true)
            try await someone.killed(["resume", someone.run()], in: "seal")
            try await pair.expectOneWriter()
            for (step, done) in [("promote", false), ("follow-old", false), ("slots", false)] {
                try await someone.killed(["resume", someone.run()], in: step, done: done)
                try await pair.expectOneWriter()
            }
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            try await pair.expectOneWriter("db2")
            try await pair.expectStreaming(["db1": "db2", "db3": "db2"])
            #expect(try await bed.psql("db2", "SHOW synchronous_standby_names") == "FIRST 1 (db1, db3)")
            #expect(try await bed.psql("db1", "SHOW synchronous_standby_names") == "")

            // What has been switched is switched back, not undone.
            let back = try await someone.pggraft("undo", "--yes", someone.run())
            #expect(
                back.status == 1 && back.standardError.contains("switch back: a playbook with `procedure: switchover` and `to: db1`"), "\(back.standardOutput)\(back.standardError)"
            )
            try await pair.expectOneWriter("db2")
            let again = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(again.status == 0 && !again.standardOutput.contains("✓"), "\(again.standardOutput)\(again.standardError)")
            for secret in try someone.secrets() { #expect(!(try someone.journalText().contains(secret))) }

            let seen = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(30)) { try writers.ledger().acknowledged > seen + 5 }
            try await pair.expectNothingLost(try await writers.stop(), on: "db2")
        }
    }

    @Test func `where the standby was promoted by hand after a kill, the old primary is not started beside it`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2)
            try await bed.standby("db2", of: "db1")
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2"]), db1 = try bed.host("db1"), data = "/var/lib/postgresql/15/main"
            // As the checkpoint of its shutdown is: the watchdog starts nothing meanwhile.
            let someone = try Self.operatorOf(bed, hosts: 2, edits: ["# lease: 30s": "lease: 120s"])
            try await someone.killed(["run", "--yes", someone.playbook], in: "seal")
            // It may have been killed before it has done that.
            try await db1.run(asUser: "postgres", "touch \(data)/standby.signal")
            try await bed.psql("db2", "SELECT pg_promote()", database: "postgres")
            for arguments in [["resume"], ["undo", "--yes"]] {
                let refused = try await someone.start(arguments + [someone.run()]).wait(within: .seconds(240)), text = refused.standardOutput + refused.standardError
                #expect(text.contains("db2 is the primary") && (arguments[0] == "undo" || refused.status == 1), "\(text)")
                try await pair.expectOneWriter("db2")
                #expect(try await db1.run("ls \(data) | grep -e '^standby.signal' -e '^postmaster.pid' -e pggraft") == "standby.signal")
            }
            let rejoined = try await someone.pggraft("run", "--yes", try someone.playbook("rejoin"))
            #expect(rejoined.status == 0, "\(rejoined.standardOutput)\(rejoined.standardError)")
            try await pair.expectOneWriter("db2")
        }
    }

    /// What a run that is undone has changed, as it is now.
    private func looks(_ bed: Bed) async throws -> [String] {
        var looks: [String] = []
        for node in ["db1", "db2", "db3"] {
            looks.append(try await bed.psql(node, "SELECT name, setting FROM pg_file_settings ORDER BY seqno; SELECT slot_name FROM pg_replication_slots ORDER BY 1"))
            looks.append(
                try await bed.host(node).run(
                    "cat ~postgres/.pgpass /etc/postgresql/15/main/pg_hba.conf; ls /etc/postgresql/15/main; find /var/lib/postgresql/15/main -maxdepth 1 -name '*.signal'"))
        }
        return looks
    }

    @Test func `on 18, there and back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2, running: .wheel(18))
            try await bed.standby("db2", of: "db1")
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2"])
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo() }
            for (old, new) in [("db1", "db2"), ("db2", "db1")] {
                let someone = try Self.operatorOf(bed, hosts: 2, to: new, programs: 18)
                let output = try await someone.pggraft("run", "--yes", someone.playbook)
                #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
                try await pair.expectOneWriter(new)
                try await pair.expectStreaming([old: new])
            }
            try await pair.expectNothingLost(try await writers.stop(), on: "db1")
        }
    }
}
