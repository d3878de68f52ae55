import Bed
import Run
import Testing

/// A standby takes the place of a primary that is lost.
@Suite("A failover", .serialized)
struct FailoverTests {
    @Test func `fences, promotes who has most, and says what is missing; with a host that is gone it wants to be told so`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3, layout: .debian)
            for setting in ["wal_log_hints = on", "wal_keep_size = '256MB'"] { try await bed.psql("db1", "ALTER SYSTEM SET \(setting)") }
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").startPostgres()
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db1")
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2", "db3"])
            let someone = try Operator(of: bed, with: "failover")

            // A primary that works is not failed over.
            let early = try await someone.pggraft("check", someone.playbook)
            #expect(early.status == 1 && early.standardOutput.contains("works: it answers, and takes writes"), "\(early.standardOutput)\(early.standardError)")

            // db3 has less than db2, and db2 less than db1, whose postmaster alone is killed.
            try await bed.block("db1", "db3")
            try await bed.psql("db1", "CREATE TABLE app.on_db2 (n int); SELECT pg_switch_wal()")
            try await eventually("db2 to have it", within: .seconds(30)) { try await bed.psql("db2", "SELECT to_regclass('app.on_db2') IS NOT NULL") == "t" }
            try await bed.block("db1", "db2")
            for n in 1...5 { try await bed.psql("db1", "INSERT INTO app.on_db2 VALUES (\(n))") }
            try await bed.host("db1").run("kill -9 $(head -n 1 /var/lib/postgresql/15/main/postmaster.pid)")

            let text = try readFile(someone.playbook)
            try writeFile(text.replacing("# to: db2", with: "to: db3"), to: someone.playbook)
            let less = try await someone.pggraft("check", someone.playbook)
            #expect(less.status == 1 && less.standardOutput.contains("more than db3: they would be lost"), "\(less.standardOutput)\(less.standardError)")
            try writeFile(text, to: someone.playbook)

            try await someone.killed(["run", "--yes", someone.playbook], in: "promote")
            try await pair.expectOneWriter()
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            #expect(output.standardOutput.contains("5 transactions are missing"), "\(output.standardOutput)")
            #expect(try await bed.psql("db2", "SELECT count(*) FROM app.on_db2") == "0")
            try await bed.healNetwork()
            try await pair.expectOneWriter("db2")
            try await eventually("db3 to stream from db2", within: .seconds(60)) {
                try await bed.psql("db2", "SELECT application_name, state FROM pg_stat_replication") == "db3|streaming"
            }
            // Whoever starts the old one starts a standby.
            try await bed.host("db1").startPostgres()
            try await pair.expectOneWriter("db2")
            let undone = try await someone.pggraft("undo", "--yes", someone.run())
            #expect(undone.status == 1 && undone.standardError.contains("bring db1 back with `procedure: rejoin`"), "\(undone.standardOutput)\(undone.standardError)")

            let third = "    db2:\n      address: 10.77.0.32\n      data_directory: /var/lib/postgresql/15/main\n"
            let rejoin = try someone.playbook("rejoin", [third: third + third.replacing("db2", with: "db3").replacing(".32", with: ".33")])
            let rejoined = try await someone.pggraft("run", "--yes", rejoin)
            #expect(rejoined.status == 0, "\(rejoined.standardOutput)\(rejoined.standardError)")
            try await pair.expectStreaming(["db1": "db2", "db3": "db2"])

            // Synchronous, and the primary's host is gone: nothing is missing, and without a word of the operator's nothing is done.
            try await bed.psql("db2", "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (db1, db3)'")
            try await bed.psql("db2", "SELECT pg_reload_conf()")
            let writers = try await Writers.start(on: ["db2"], of: bed) { _ in try bed.primaryConninfo(of: pair.nodes) }
            try await eventually("transactions that were waited for", within: .seconds(30)) { try writers.ledger().acknowledged > 40 }
            try await bed.host("db2").powerOff()
            let left = ReplicaSet(bed: bed, nodes: ["db1", "db3"])
            let lost = try readFile(someone.playbook).replacing("primary: db1", with: "primary: db2")
            try writeFile(lost, to: someone.playbook)
            let refused = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(
                refused.status == 1 && refused.standardOutput.contains("--primary-is-dead or `primary_is_dead: true` in the playbook"),
                "\(refused.standardOutput)\(refused.standardError)")
            let other = try await someone.pggraft("check", "--primary-is-dead", try someone.playbook("switchover"))
            #expect(other.status == 1 && other.standardError.contains("--primary-is-dead is for a failover"), "\(other.standardOutput)\(other.standardError)")
            // Said once, it is known to whoever goes on with the run.
            try await someone.killed(["run", "--yes", "--primary-is-dead", someone.playbook], in: "choose")
            #expect(try await left.expectOneWriter() == [])
            let dead = try await someone.pggraft("resume", someone.run())
            #expect(dead.status == 0 && dead.standardOutput.contains("cannot be seen"), "\(dead.standardOutput)\(dead.standardError)")
            #expect(try await someone.pggraft("show", someone.run()).standardOutput.contains("with --primary-is-dead"))
            let new = try #require(try await left.expectOneWriter().first)
            let seen = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > seen + 5 }
            try await left.expectNothingLost(try await writers.stop(), on: new)
        }
    }

    @Test func `kills no primary that answers, and promotes nobody beside another one, whatever it has begun`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            for standby in ["db2", "db3"] { try await bed.standby(standby, of: "db1") }
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2", "db3"]), db1 = try bed.host("db1"), data = "/var/lib/postgresql/15/main"
            let someone = try Operator(of: bed, with: "failover", playbook: ["# before: ./virtual-ip release": "before: 'false'"])

            // One that refuses the login of pggraft, and serves everybody else.
            try await bed.psql("db1", "ALTER ROLE dba_admin NOLOGIN")
            let alive = try await someone.pggraft("check", someone.playbook)
            #expect(alive.status == 1 && alive.standardOutput.contains("answers, and does not let pggraft in"), "\(alive.standardOutput)\(alive.standardError)")
            try await bed.psql("db1", "ALTER ROLE dba_admin LOGIN")

            // Its hook fails once db1 is fenced; then its operator has db1 as the primary again.
            try await db1.run("kill -9 $(head -n 1 \(data)/postmaster.pid)")
            let failed = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(failed.status == 1 && failed.standardError.contains("Nobody was promoted"), "\(failed.standardOutput)\(failed.standardError)")
            try await db1.run("rm \(data)/standby.signal")
            try await db1.startPostgres()
            let again = try await someone.pggraft("resume", someone.run())
            #expect(
                again.status == 1 && (again.standardOutput + again.standardError).contains("works again, and takes writes"), "\(again.standardOutput)\(again.standardError)")
            try await pair.expectOneWriter("db1")

            // Lost again, another one is promoted by other hands.
            try await db1.stopPostgres(mode: "immediate")
            try await db1.run(asUser: "postgres", "touch \(data)/standby.signal")
            let new = try someone.journalText().contains("db2 has most") ? "db3" : "db2"
            try await bed.psql(new, "SELECT pg_promote()", database: "postgres")
            let other = try await someone.pggraft("resume", someone.run())
            #expect(other.status == 1 && (other.standardOutput + other.standardError).contains("\(new) is the primary"), "\(other.standardOutput)\(other.standardError)")
            try await pair.expectOneWriter(new)
        }
    }
}
