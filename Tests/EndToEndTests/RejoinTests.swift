import Bed
import Run
import Testing

/// The old primary comes back.
@Suite("A rejoin", .serialized)
struct RejoinTests {
    @Test(arguments: [15, 16]) func `brings back an old primary that has gone its own way, and one that has not`(_ version: Int) async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2, running: version == 15 ? .debian : .wheel(version), layout: version == 15 ? .debian : .plain)
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2"])
            // Without the second one the recovery of the crashed server would take away what pg_rewind reads.
            for setting in ["wal_log_hints = on", "wal_keep_size = '256MB'"] { try await bed.psql("db1", "ALTER SYSTEM SET \(setting)") }
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").startPostgres()
            try await bed.standby("db2", of: "db1")
            let directory = try await bed.psql("db1", "SHOW data_directory"), rules = try await bed.psql("db1", "SHOW hba_file")
            try await bed.host("db1").run("echo '# of db1 alone' >>\(rules)")
            // What db2 has not: it is cut off from db1 when that goes on writing, and crashes.
            try await bed.block("db1", "db2")
            try await bed.psql("db1", "CREATE TABLE app.lost AS SELECT generate_series(1, 10000) AS n; UPDATE app.bulk SET body = body")
            try await crash(bed.host("db1"))
            try await bed.unblock("db1", "db2")
            try await bed.psql("db2", "SELECT pg_promote()", database: "postgres")
            let writers = try await Writers.start(on: ["db2"], of: bed) { _ in try bed.primaryConninfo() }

            let someone = try Self.operatorOf(bed, node: "db1", version)
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.status == 0 && check.standardOutput.contains("it has gone its own way, and is rewound"), "\(check.standardOutput)\(check.standardError)")
            #expect(check.standardOutput.contains("are free for WAL; while the run lasts 1 GB stay so (keep_free)"), "\(check.standardOutput)")
            // More than the disk has.
            let kept = try readFile(someone.playbook)
            try writeFile(kept.replacing("# keep_free: 1GB", with: "keep_free: 100TB"), to: someone.playbook)
            let full = try await someone.pggraft("check", someone.playbook)
            #expect(full.status == 1 && full.standardOutput.contains("make room on db2, or lower keep_free"), "\(full.standardOutput)\(full.standardError)")
            try writeFile(kept, to: someone.playbook)
            try await someone.killed(["run", "--yes", someone.playbook], in: "rewind")
            try await pair.expectOneWriter("db2")
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            try await pair.expectOneWriter("db2")
            try await pair.expectStreaming(["db1": "db2"])
            #expect(try await bed.host("db1").run("grep -c 'of db1 alone' \(rules)") == "1")
            #expect(try await bed.host("db1").run("ls -d /var/tmp/pggraft* \(directory)/*.pggraft 2>/dev/null || true") == "")
            #expect(try await bed.psql("db1", "SELECT to_regclass('app.lost') IS NULL") == "t")
            let again = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(again.status == 0 && !again.standardOutput.contains("✓"), "\(again.standardOutput)\(again.standardError)")
            let back = try await someone.pggraft("undo", "--yes", someone.run())
            #expect(back.status == 1 && back.standardError.contains("db1 is a standby of db2 since this run"), "\(back.standardOutput)\(back.standardError)")
            try await pair.expectNothingLost(try await writers.stop(), on: "db2")

            // Stopped cleanly, and everything of it seen by who is promoted then: nothing has to be rewound.
            try await bed.host("db2").stopPostgres()
            try await bed.psql("db1", "SELECT pg_promote()", database: "postgres")
            let other = try Self.operatorOf(bed, node: "db2", version)
            let followed = try await other.pggraft("run", "--yes", other.playbook)
            #expect(
                followed.status == 0 && followed.standardOutput.contains("all that db2 has is part of the history of db1"), "\(followed.standardOutput)\(followed.standardError)")
            try await pair.expectOneWriter("db1")
            try await pair.expectStreaming(["db2": "db1"])
        }
    }

    @Test func `makes a new copy where pg_rewind fails or cannot be used, killed anywhere, and the next one only of what differs`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2)
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2"]), data = Bed.dataDirectory
            try await bed.share(on: ["db1", "db2"])
            for setting in ["wal_keep_size = '256MB'", "archive_mode = on", "max_connections = 120"] { try await bed.psql("db1", "ALTER SYSTEM SET \(setting)") }
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").startPostgres()
            try await bed.standby("db2", of: "db1")
            try await bed.host("db1").run("echo '# of db1 alone' >>\(data)/postgresql.conf")
            try await bed.psql("db2", "SELECT pg_promote()", database: "postgres")
            // It has gone its own way, and pg_rewind will not be let write to one of its files.
            try await bed.psql("db1", "UPDATE app.bulk SET body = body; CHECKPOINT")
            try await bed.psql("db2", "UPDATE app.bulk SET body = body")
            try await bed.host("db1").stopPostgres()
            let file = try await bed.psql("db2", "SELECT pg_relation_filepath('app.bulk')")
            try await bed.host("db1").run("chown root \(data)/\(file) && chmod 0644 \(data)/\(file)")
            let writers = try await Writers.start(on: ["db2"], of: bed) { _ in try bed.primaryConninfo() }

            // Without the word, it ends there.
            let plain = try Self.operatorOf(bed, node: "db1", 15)
            let failed = try await plain.pggraft("run", "--yes", plain.playbook)
            #expect(failed.status == 1 && failed.standardError.contains("pg_rewind failed, and has left the data directory half overwritten"), "\(failed.standardError)")
            #expect(failed.standardError.contains("say `copy:` in the playbook"), "\(failed.standardError)")
            try await pair.expectOneWriter("db2")
            #expect(try await plain.pggraft("undo", "--yes", plain.run()).status == 0)

            let someone = try Self.operatorOf(bed, node: "db1", 15, copy: "  existing: move-aside\n  method: pg_basebackup\n  max_rate: 20MB")
            let plan = try await someone.pggraft("plan", someone.playbook)
            #expect(plan.status == 0 && plan.standardOutput.contains("move \(data) to \(data).before-RUN; nothing in it is deleted"), "\(plan.standardOutput)\(plan.standardError)")
            let removing = try Self.operatorOf(bed, node: "db1", 15, copy: "  existing: remove\n  method: pg_basebackup")
            let removal = try await removing.pggraft("plan", removing.playbook)
            #expect(
                removal.status == 0 && removal.standardOutput.contains("remove what is in \(data), in its tablespaces and in its WAL; nothing brings that back"),
                "\(removal.standardOutput)\(removal.standardError)")
            // Killed and undone, everything is where it was.
            try await someone.killed(["run", "--yes", someone.playbook], in: "base-backup", after: .milliseconds(600))
            let undone = try await someone.pggraft("undo", "--yes", "--purge-data", someone.run())
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            #expect(try await bed.host("db1").run("ls -d \(data)* /var/tmp/pggraft* 2>/dev/null; ls \(data)/global/pg_control*") == "\(data)\n\(data)/global/pg_control.spoiled")
            // Killed in one step after the other, and resumed each time.
            try await someone.killed(["run", "--yes", someone.playbook], in: "rewind", done: true)
            for (step, done) in [("make-room", true), ("base-backup", false), ("base-backup", true), ("own-files", true), ("follow", false)] {
                try await someone.killed(["resume", someone.run()], in: step, done: done)
                try await pair.expectOneWriter("db2")
            }
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            try await pair.expectOneWriter("db2")
            try await pair.expectStreaming(["db1": "db2"])
            #expect(try await bed.host("db1").run("grep -c 'of db1 alone' \(data)/postgresql.conf; ls -d /var/tmp/pggraft* 2>/dev/null || true") == "1")
            #expect(try await bed.host("db1").run("ls \(data).before-*/global/pg_control*").hasSuffix("pg_control.spoiled"))
            try await pair.expectNothingLost(try await writers.stop(), on: "db2")

            // There are no checksums in the way back of db2, and only a copy helps: from the repository, what differs.
            try await bed.host("db1").run("rm -rf \(data).before-*")
            try await bed.psql("db1", "SELECT pg_promote()", database: "postgres")
            try await bed.psql("db2", "UPDATE app.bulk SET body = body")
            try await bed.host("db2").stopPostgres()
            try await bed.host("db2").run(asUser: "postgres", "\(bed.binaryDirectory)/pg_checksums --disable -D \(data)")
            let other = try Self.operatorOf(bed, node: "db2", 15, copy: "  method: pgbackrest\n  repository:\n    shared: /mnt/backup")
            let check = try await other.pggraft("check", other.playbook)
            #expect(check.status == 0 && check.standardOutput.contains("pg_rewind needs one of them"), "\(check.standardOutput)\(check.standardError)")
            try await other.killed(["run", "--yes", other.playbook], in: "restore", after: .milliseconds(300))
            let restored = try await other.pggraft("resume", other.run())
            #expect(restored.status == 0 && restored.standardOutput.contains("went on with --delta"), "\(restored.standardOutput)\(restored.standardError)")
            try await pair.expectOneWriter("db1")
            try await pair.expectStreaming(["db2": "db1"])
            #expect(try await bed.psql("db2", "SHOW restore_command").contains("archive-get"))

            // And db1 by a copy in the place of what it had, which the playbook gives up.
            try await bed.psql("db2", "SELECT pg_promote()", database: "postgres")
            try await bed.psql("db1", "UPDATE app.bulk SET body = body")
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").run(asUser: "postgres", "\(bed.binaryDirectory)/pg_checksums --disable -D \(data) && touch \(data)/of-no-use")
            let last = try Self.operatorOf(bed, node: "db1", 15, copy: "  existing: remove\n  method: pg_basebackup")
            try await last.killed(["run", "--yes", last.playbook], in: "make-room", done: true)
            #expect(try await bed.host("db1").run("ls -A \(data)") == "")
            let replaced = try await last.pggraft("resume", last.run())
            #expect(replaced.status == 0, "\(replaced.standardOutput)\(replaced.standardError)")
            try await pair.expectOneWriter("db2")
            try await pair.expectStreaming(["db1": "db2"])
            #expect(try await bed.host("db1").run("ls -d \(data)/of-no-use \(data).before-* 2>/dev/null; grep -c 'of db1 alone' \(data)/postgresql.conf") == "1")
        }
    }

    private static func operatorOf(_ bed: Bed, node: String, _ version: Int, copy: String? = nil) throws -> Operator {
        let someone = try Operator(of: bed, with: "rejoin"), programs = version == 15 ? "/usr/lib/postgresql/15" : "/usr/local/lib/pggraft/postgresql/\(version)"
        let text = try readFile(someone.playbook).replacing("node: db1", with: "node: \(node)")
            .replacing(
                "      data_directory: /var/lib/postgresql/15/main",
                with: "      data_directory: /var/lib/postgresql/\(version)/main\n      bin_directory: \(programs)/bin")
        try writeFile(text + (copy.map { "\ncopy:\n\($0)\n" } ?? ""), to: someone.playbook)
        return someone
    }

    /// Kills every process of a server at once.
    private func crash(_ host: Host) async throws { try await host.run("pkill -9 -u postgres -x postgres; while pgrep -u postgres -x postgres >/dev/null; do sleep 0.05; done") }
}
