import Bed
import Glibc
import Run
import Testing

/// What does not get on is told within ten seconds with the reason, and ends.
@Suite("A run that does not get on", .serialized)
struct StallTests {
    private struct Stage {
        let someone: Operator

        /// Waits until `step` has begun for the nth time.
        func begins(_ step: String, times: Int) async throws {
            try await eventually("\(step) to begin \(times) times", within: .seconds(180), every: .milliseconds(20)) {
                try someone.entries().count { $0.step == step && $0.event == .intent } >= times
            }
        }

        /// Expects that it failed in `step`, and that the line before said why within ten seconds.
        func expectStalled(_ output: CommandOutput, in step: String, because reason: String, tells: Bool = true, _ location: SourceLocation = #_sourceLocation) throws {
            #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)", sourceLocation: location)
            #expect(try someone.entries().last { $0.event == .failed }?.step == step, sourceLocation: location)
            #expect(output.standardError.contains(reason), "\(output.standardError)", sourceLocation: location)
            let told = output.standardOutput.matches(of: #/waiting for .*, which has not moved for ([0-9.]+) s: (.*)\n/#)
            guard tells else { return }
            #expect(told.contains { $0.2.contains(reason) && (Double($0.1) ?? 99) <= 10 }, "\(output.standardOutput)", sourceLocation: location)
        }
    }

    @Test func `says why within ten seconds and ends, goes on when it is mended, and does not wait for what will not come`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed, playbook: ["after this time.\n  # stall_limit: 5min\n": "after this time.\n  stall_limit: 10s\n"]), stage = Stage(someone: someone),
                n4 = try bed.host("n4")

            // pgBackRest hangs in the restore.
            let first = try someone.start("run", "--yes", someone.playbook)
            try await stage.begins("restore", times: 1)
            try await n4.run("until pkill -STOP -x pgbackrest; do sleep 0.01; done; sleep 0.2; pkill -STOP -x pgbackrest")
            try stage.expectStalled(try await first.wait(within: .seconds(120)), in: "restore", because: "pgBackRest on n4 reads and writes nothing")
            let run = try #require(try someone.entries().first?.value?.decoded(as: RunHeader.self).run)
            try await n4.run("pkill -KILL -x pgbackrest || true; while pgrep -x pgbackrest >/dev/null; do sleep 0.05; done")
            // As one leaves it that is cut off before its first file.
            let data = Bed.dataDirectory
            try await n4.run(asUser: "postgres", "find \(data) -mindepth 1 -delete; mkdir -p \(data)/base/1 \(data)/global \(data)/pg_wal/archive_status")

            // The password of the standby is changed while it is restored.
            let second = try someone.start("resume", run)
            try await stage.begins("restore", times: 2)
            try await bed.psql("n1", "ALTER ROLE replicator PASSWORD 'another'")
            try stage.expectStalled(
                try await second.wait(within: .seconds(180)), in: "start-standby", because: #"password authentication failed for user "replicator""#)
            try await bed.psql("n1", "ALTER ROLE replicator PASSWORD 'secret-of-replicator'")

            // It starts, and gets nothing from its archive: that is seen before the next step begins.
            let control = "\(bed.binaryDirectory)/pg_ctl -s -D \(Bed.dataDirectory)", stop = "{ \(control) -w stop -m fast 2>&1 || true; }"
            let file = "\(Bed.dataDirectory)/postgresql.auto.conf"
            // It has replayed something, or it would be begun anew.
            try await n4.run(asUser: "postgres", "\(stop); \(control) -w -l \(Bed.dataDirectory)/start.log start; test ! -e \(Bed.dataDirectory)/backup_label")
            try await n4.run(asUser: "postgres", "\(stop); echo \"restore_command = 'sleep 301'\" >>\(file); \(control) -W -l \(Bed.dataDirectory)/start.log start")
            try stage.expectStalled(try await someone.pggraft("resume", run), in: "remove-preload", because: "the database system is starting up")
            try await n4.run(asUser: "postgres", "\(stop); sed -i '/sleep 301/d' \(file)")

            // A slot that is not there: nobody waits for that, not even so long.
            try await n4.run(asUser: "postgres", "\(stop); echo \"primary_slot_name = 'gone'\" >>\(file)")
            let third = try await someone.pggraft("resume", run)
            try stage.expectStalled(third, in: "start-standby", because: #"replication slot "gone" does not exist"#, tells: false)
            #expect(third.standardError.contains("is in vain"), "\(third.standardError)")

            // What it has still to replay is gone, in the archive too.
            try await n4.run(asUser: "postgres", "\(stop); sed -i /primary_slot_name/d \(file)")
            let needed = try await bed.psql("n1", "SELECT pg_walfile_name(pg_current_wal_lsn())")
            try await eventually("n1 to have removed \(needed)", within: .seconds(120)) {
                try await bed.psql("n1", "INSERT INTO app.events (node, writer, seq) VALUES ('n1', 0, 1)")
                return try await bed.psql("n1", "SELECT pg_switch_wal() IS NULL; CHECKPOINT; SELECT pg_stat_file('pg_wal/\(needed)', true) IS NULL") == "f\nt"
            }
            try await bed.host("repo").run("find /var/lib/pgbackrest/archive/app -type f -name '0000*' -delete")
            let fourth = try await someone.pggraft("resume", run)
            try stage.expectStalled(fourth, in: "start-standby", because: "has already been removed", tells: false)
            #expect(fourth.standardError.contains("is in vain"), "\(fourth.standardError)")

            let undone = try await someone.pggraft("undo", "--yes", "--purge-data", run)
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            for output in [third, fourth] { #expect(!(output.standardOutput + output.standardError).contains("secret-of-")) }
        }
    }
}
