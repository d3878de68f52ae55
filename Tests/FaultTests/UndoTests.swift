import Bed
import Foundation
import Run
import Testing

@Suite("Undo", .serialized)
struct UndoTests {
    /// What somebody changes after a run, how it is seen, and how it is put right.
    private struct Change: Sendable {
        var host: String
        var make: @Sendable (Bed) async throws -> Void
        var look: @Sendable (Bed) async throws -> String
        var mend: @Sendable (Bed) async throws -> Void
        /// What undo must say of it.
        var said: [String]
    }

    private func changes(_ run: WatchedRun) throws -> [Change] {
        let written = try #require(try run.entries.last { $0.key == "pgBackRest's configuration" }?.value)
        let files = try written.decoded(as: [[String: JSON]].self)
        let path = try #require(try files.first { $0["host"] == .string("repo") }?["path"]?.decoded(as: String.self))
        return [
            Change(
                host: "n1",
                make: { bed in try await bed.psql("n1", "ALTER SYSTEM SET archive_command = '/bin/true # password=hunter2'; SELECT pg_reload_conf()") },
                look: { bed in try await bed.psql("n1", "SELECT setting FROM pg_file_settings WHERE name = 'archive_command' ORDER BY seqno DESC LIMIT 1") },
                mend: { bed in try await bed.psql("n1", "ALTER SYSTEM RESET archive_command; SELECT pg_reload_conf()") },
                said: [
                    "n1: archive_command in postgresql.auto.conf is '/bin/true # password=‹redacted›', which this run did not set: left alone",
                    "ALTER SYSTEM RESET archive_command",
                ]),
            Change(
                host: "repo",
                make: { bed in try await bed.host("repo").run("sed -i.orig 's/^pg1-port=.*/pg1-port=6000/' \(path) && grep -q 6000 \(path)") },
                look: { bed in try await bed.host("repo").run("cat \(path)") },
                mend: { bed in try await bed.host("repo").run("mv \(path).orig \(path)") },
                said: [
                    "repo: \(path) says something else in [app] than this run wrote", "pg1-port): left alone",
                    "the stanza app is left alone: repo: \(path), which says where it is, is not as this run wrote it",
                ]),
            Change(
                host: "n2",
                make: { bed in
                    let slot = try await bed.psql("n2", "SELECT slot_name FROM pg_replication_slots WHERE slot_name LIKE '%n4'")
                    let subscription = try await bed.psql("n4", "SELECT sub_name FROM spock.subscription WHERE sub_slot_name = '\(slot)'")
                    try await bed.psql("n4", "SELECT spock.sub_disable('\(subscription)')")
                    try await eventually("nobody to read \(slot)", within: .seconds(30)) {
                        try await bed.psql("n2", "SELECT active FROM pg_replication_slots WHERE slot_name = '\(slot)'") == "f"
                    }
                    try await bed.psql("n2", "SELECT pg_drop_replication_slot('\(slot)')")
                    try await bed.psql("n2", "SELECT pg_create_logical_replication_slot('\(slot)', 'pgoutput')")
                },
                look: { bed in try await bed.psql("n2", "SELECT slot_name, plugin, confirmed_flush_lsn FROM pg_replication_slots WHERE plugin = 'pgoutput'") },
                mend: { bed in try await bed.psql("n2", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE plugin = 'pgoutput'") },
                said: ["on n2 is not the one that this run made (its plugin is pgoutput): left alone", "SELECT pg_drop_replication_slot("]),
            Change(
                host: "n3",
                make: { bed in try await bed.psql("n3", "SELECT spock.sub_remove_repset('sub_n4_n3', 'ddl_sql')") },
                look: { bed in try await bed.psql("n3", "SELECT sub_name, sub_slot_name, sub_enabled, sub_replication_sets FROM spock.subscription WHERE sub_name = 'sub_n4_n3'") },
                mend: { bed in try await bed.psql("n3", "SELECT spock.sub_drop('sub_n4_n3')") },
                said: ["subscription sub_n4_n3 on n3 was changed since (replication sets {", "SELECT spock.sub_drop('sub_n4_n3')"]),
        ] + (Bed.hasDebianPostgres ? [hba()] : [])
    }

    /// Debian keeps its configuration outside of the data directory.
    private func hba() -> Change {
        let file = "/etc/postgresql/15/main/pg_hba.conf"
        return Change(
            host: "n4",
            make: { bed in try await bed.host("n4").run("echo '# mine' >>\(file)") },
            look: { bed in try await bed.host("n4").run("cat \(file)") },
            mend: { bed in try await bed.host("n4").run("sed -i '/^# mine$/d' \(file)") },
            said: ["n4: \(file) was changed since by someone else: left alone", "what it was before the run is in \(file).before-"])
    }

    @Test func `what somebody has changed since is left as it is and named, everything else is taken back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: Bed.hasDebianPostgres ? ["n4": .debian] : [:])
            let run = WatchedRun(someone: try Operator(of: bed)), before = try await Snapshot(of: bed)
            try await run.killed(at: KillPoint(step: "verify", moment: .begun), ["run", "--yes", run.someone.playbook])
            // By this name undo knows the readers of its slots.
            let reader = "SELECT application_name FROM pg_stat_activity WHERE pid = (SELECT active_pid FROM pg_replication_slots WHERE slot_name LIKE '%n4')"
            let name = try await bed.psql("n1", reader)
            #expect(name == (bed.isStandIn ? "sub_n1_n4" : "spk_app_n1_sub_n1_n4"))
            let changes = try changes(run)
            var found: [String] = []
            for change in changes {
                try await change.make(bed)
                found.append(try await change.look(bed))
            }

            let undo = ["undo", "--yes", "--purge-data", try run.name]
            for attempt in 1...2 {
                let output = try await run.someone.start(undo).wait(within: .seconds(400)), text = output.standardError
                #expect(output.status == 1, "\(output.standardOutput)\(text)")
                #expect(text.contains("Undone, but for what is named above."), "\(text)")
                for (change, was) in zip(changes, found) {
                    #expect(try await change.look(bed) == was, "attempt \(attempt), on \(change.host)")
                    for words in change.said { #expect(text.contains(words), "attempt \(attempt): \(words)\n\(text)") }
                }
                #expect(text.contains("n1: /var/lib/postgresql/.pgbackrest/app.conf stays as long as archive_command"), "\(text)")
                #expect(text.components(separatedBy: "HINT: ").count - 1 == changes.count + 2, "the stanza and the file of n1 too: \(text)")
                #expect(try !(output.standardOutput + text).contains("hunter2") && !run.someone.journalText().contains("hunter2"))
            }
            for node in Bed.meshNodes {
                let slots = try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4'")
                #expect(slots == (node == "n2" ? "1" : "0"), "slots for n4 on \(node)")
                let subscriptions = try await bed.psql(node, "SELECT count(*) FROM spock.subscription WHERE sub_name = 'sub_n4_\(node)'")
                #expect(subscriptions == (node == "n3" ? "1" : "0"), "subscriptions to n4 on \(node)")
            }

            for change in changes { try await change.mend(bed) }
            try await run.succeeds(undo)
            let differences = try await Snapshot(of: bed).differences(from: before)
            #expect(differences.isEmpty, "\(differences)")
        }
    }

    /// Kills undo as soon as it has undone `step`, or a little later: in the middle of the next one.
    /// - Returns: false when it had come to its end by then.
    private func kill(_ run: WatchedRun, after step: String, later: Duration) async throws -> Bool {
        let seen = try run.entries.count
        let program = try run.someone.start(["undo", "--yes", "--purge-data", try run.name])
        try await eventually("\(step) to be undone", within: .seconds(200), every: .milliseconds(2)) {
            let entries = try run.entries
            return entries.count > seen && entries.contains { $0.event == .undone && $0.step == step }
                || entries.dropFirst(seen).contains { $0.event == .ended }
        }
        try await Task.sleep(for: later)
        program.signal(SIGKILL)
        _ = try await program.wait(within: .seconds(20))
        return try run.entries.last?.event != .ended
    }

    @Test func `undo is killed over and over, and leaves nothing in the end`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: Bed.hasDebianPostgres ? ["n4": .debian] : [:])
            let run = WatchedRun(someone: try Operator(of: bed)), before = try await Snapshot(of: bed)
            try await run.succeeds(["run", "--yes", run.someone.playbook])
            try await bed.psql("n4", "INSERT INTO app.ledger (node, writer, seq) VALUES ('client of n4', 0, 1)")

            let moments: [(String, Duration)] = [
                ("verify", .milliseconds(60)), ("read-write", .milliseconds(150)), ("add-node", .milliseconds(100)), ("promote", .milliseconds(15)),
                ("streaming", .milliseconds(30)), ("backup", .milliseconds(40)), ("stanza", .zero), ("archiving", .zero),
            ]
            var struck = 0
            for (step, later) in moments where try await kill(run, after: step, later: later) { struck += 1 }
            // The last steps take some milliseconds: on a quick machine they are over before the signal comes.
            #expect(struck >= 5)
            try await run.succeeds(["undo", "--yes", "--purge-data", try run.name])
            try await expectNothingRunning(bed)
            let differences = try await Snapshot(of: bed).differences(from: before)
            #expect(differences.isEmpty, "\(differences)")
            for node in Bed.meshNodes {
                #expect(try await bed.psql(node, "SELECT count(*) FROM app.ledger WHERE node = 'client of n4'") == "1", "\(node) has what a client wrote on n4")
            }

            // Another run makes things of the same names; they are not the first one's.
            let first = try run.name
            try await run.succeeds(["run", "--yes", run.someone.playbook])
            let member = try await Snapshot(of: bed)
            try await run.succeeds(["undo", "--yes", "--purge-data", first])
            let harm = try await Snapshot(of: bed).differences(from: member)
            #expect(harm.isEmpty, "\(harm)")

            // What nobody has read yet is not taken away, whatever the flag says.
            try await bed.host("n4").cut()
            try await bed.psql("n4", "INSERT INTO app.ledger (node, writer, seq) VALUES ('client of n4', 0, 2)")
            try await bed.host("n4").stopPostgres(mode: "immediate")
            try await bed.host("n4").heal()
            try await fails(
                run, saying: ["n4 has been open to clients and is stopped", "subscription sub_n4_n1 on n1 is left as it is", "n4: \(Bed.dataDirectory) is left as it is"])
            try await bed.host("n4").startPostgres()
            for node in Bed.meshNodes {
                try await eventually("\(node) to read what a client wrote on n4", within: .seconds(60)) {
                    try await bed.psql(node, "SELECT count(*) FROM app.ledger WHERE node = 'client of n4'") == "2"
                }
            }

            // Somebody has put another cluster in the place of the copy.
            let directory = Bed.dataDirectory
            let programs = try await bed.host("n4").run("dirname $(readlink /proc/$(head -n 1 \(directory)/postmaster.pid)/exe)")
            try await bed.host("n4").stopPostgres()
            try await bed.host("n4").run(
                asUser: "postgres",
                """
                find \(directory) -mindepth 1 -delete && \(programs)/initdb -D \(directory) >/dev/null &&
                \(programs)/pg_ctl start -w -D \(directory) -l /tmp/other.log -o "-c unix_socket_directories=/tmp -c listen_addresses=''" >/dev/null
                """)
            try await fails(run, saying: ["n4: \(directory) holds the cluster with the system identifier ", "not the copy that this run made: left alone"])
            #expect(try await bed.host("n4").run(asUser: "postgres", "psql -h /tmp -XAtc 'SELECT 1' postgres") == "1")
            try await bed.host("n4").run(asUser: "postgres", "\(programs)/pg_ctl stop -w -D \(directory) >/dev/null && find \(directory) -mindepth 1 -delete; rm /tmp/other.log")
            try await run.succeeds(["undo", "--yes", "--purge-data", try run.name])
            let rest = try await Snapshot(of: bed).differences(from: before)
            #expect(rest.isEmpty, "\(rest)")
        }
    }

    private func fails(_ run: WatchedRun, saying said: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let output = try await run.someone.start(["undo", "--yes", "--purge-data", try run.name]).wait(within: .seconds(400))
        #expect(output.status == 1, "\(output.standardError)", sourceLocation: sourceLocation)
        for words in said { #expect(output.standardError.contains(words), "\(words)\n\(output.standardError)", sourceLocation: sourceLocation) }
    }
}
