import Bed
import Glibc
import Run
import Testing

/// A standby that somebody has made by hand becomes the new node.
@Suite("A standby that was there before", .serialized)
struct ExistingStandbyTests {
    private static let copy = """
        copy:
          # method: pgbackrest
          # The pgBackRest stanza. Default: the cluster's name. It is created if there is none.
          # stanza: app

          # Where pgBackRest keeps its backups. Either on a host:
          repository:
            # How your machine reaches it, like `ssh` above.
            host: repo
            # How the source and the new node reach it.
            address: 10.77.0.20

        """
    private static let existing: KeyValuePairs<String, String> = [copy: "copy:\n  method: existing-standby\n", "\n  replication_user: replicator\n": "\n"]

    /// Makes n4 a standby of n1, as one does by hand.
    /// - Parameters:
    ///   - connection: what its `primary_conninfo` says besides host and role.
    ///   - settings: lines of its own in its `postgresql.auto.conf`.
    private func makeStandby(_ bed: Bed, connection: String, arguments: String = "", settings: String = "") async throws {
        let n4 = try bed.host("n4"), address = try bed.host("n1").address
        try await n4.run(
            asUser: "postgres",
            """
            \(bed.binaryDirectory)/pg_basebackup -D \(Bed.dataDirectory) -X stream -c fast -R \(arguments) -d '\(connection) host=\(address) user=replicator'
            cat >>\(Bed.dataDirectory)/postgresql.auto.conf
            """, input: settings, within: .seconds(120))
        try await n4.startPostgres()
        try await expectStreaming(bed)
    }

    private func expectStreaming(_ bed: Bed) async throws {
        try await eventually("n4 to stream from n1", within: .seconds(60)) {
            try await bed.psql("n4", "SELECT pg_is_in_recovery(), (SELECT status FROM pg_stat_wal_receiver)", database: "postgres") == "t|streaming"
        }
    }

    /// Of each configuration file its owner, its mode and what is in it.
    private func files(_ bed: Bed) async throws -> String {
        let files = ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf", "standby.signal"].joined(separator: " ")
        return try await bed.host("n4").run("cd \(Bed.dataDirectory) && stat -c '%n %U %a' \(files) && sha256sum \(files) && ls | grep before- || true")
    }

    private func slots(_ bed: Bed, _ node: String) async throws -> String {
        try await bed.psql(node, "SELECT slot_name, active FROM pg_replication_slots WHERE plugin IS NULL ORDER BY 1")
    }

    @Test func `joins without a pause, once an undo has shown that it streams again as before`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let before = try await MeshBefore(bed)
            let live: KeyValuePairs = [Self.existing[0].key: Self.existing[0].value, Self.existing[1].key: Self.existing[1].value, "  mode: read-only": "  mode: live"]
            let someone = try Operator(of: bed, playbook: live)
            let nothing = try await someone.pggraft("check", someone.playbook)
            #expect(nothing.status == 1 && nothing.standardOutput.hasLine("✗ standby … n4 … it is empty"), "\(nothing.standardOutput)")
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 15)
            // With Spock loaded, which keeps copies of the slots of its source then.
            try await makeStandby(
                bed, connection: "passfile=/var/lib/postgresql/.pgpass", arguments: "-C -S by_hand", settings: "hot_standby_feedback = on\nwork_mem = '5MB'\n")
            #expect(try await slots(bed, "n1") == "by_hand|t")

            try await bed.psql("n4", "SELECT pg_create_physical_replication_slot('cascade')", database: "postgres")
            let cascade = try await someone.pggraft("check", someone.playbook)
            #expect(cascade.status == 1 && cascade.standardOutput.hasLine("slots … n4 … cascade: of somebody who reads from it"), "\(cascade.standardOutput)")
            try await bed.psql("n4", "SELECT pg_drop_replication_slot('cascade')", database: "postgres")

            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.standardOutput.hasLine("✓ standby … n4 … streams from n1 on timeline 1, through the slot by_hand … behind"), "\(check.standardOutput)")
            let plan = try await someone.pggraft("plan", someone.playbook)
            #expect(plan.status == 0, "\(plan.standardOutput)\(plan.standardError)")
            #expect(plan.standardOutput.contains("application_name=n4"), "\(plan.standardOutput)")
            #expect(!plan.standardOutput.contains("pgbackrest"))
            let files = try await files(bed)
            // As Spock or the server itself makes one there that keeps in step with its source's.
            if try await bed.psql("n4", "SELECT current_setting('server_version_num')::int >= 160000", database: "postgres") == "t" {
                let name = try await bed.psql("n1", "SELECT slot_name FROM pg_replication_slots WHERE plugin IS NOT NULL LIMIT 1")
                async let made = bed.psql("n4", "SELECT slot_name FROM pg_create_logical_replication_slot('\(name)', 'spock_output')")
                try await eventually("n4 to begin with the slot", within: .seconds(30)) { try await bed.psql("n4", "SELECT count(*) FROM pg_replication_slots") == "1" }
                try await bed.psql("n1", "SELECT pg_log_standby_snapshot()")
                #expect(try await made == name)
            }

            for step in ["adopt-standby", "remove-preload", "pass-slots"] {
                let run = try someone.start("run", "--yes", someone.playbook)
                // It does not get past the slots before it is killed.
                if step == "pass-slots" {
                    try await someone.reaches("catch-up")
                    try await bed.psql("n4", "SELECT pg_wal_replay_pause()")
                }
                try await someone.reaches(step)
                run.signal(SIGKILL)
                _ = try await run.wait(within: .seconds(30))
                let undone = try await someone.pggraft("undo", "--yes", try someone.run())
                #expect(undone.status == 0, "\(step): \(undone.standardOutput)\n\(undone.standardError)")
                try await expectStreaming(bed)
                #expect(try await self.files(bed) == files, "\(step)")
                #expect(try await slots(bed, "n1") == "by_hand|t")
                for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4%'") == "0", "\(node)") }
            }

            let other = try Operator(of: bed, playbook: live), run = try other.start("run", "--yes", other.playbook)
            try await other.reaches("start-standby")
            run.signal(SIGKILL)
            _ = try await run.wait(within: .seconds(30))
            let output = try await other.pggraft("resume", try other.run()), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(output.standardOutput.contains("Done. Nothing was lost."))
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            let verification = try await ledger.verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            try await before.expectUntouched(bed)
            try await bed.expectMember()
            #expect(try await slots(bed, "n1") == "")
            #expect(try await bed.psql("n4", "SELECT count(*) FROM pg_replication_slots") == "3")
            #expect(try await bed.psql("n4", "SHOW work_mem; SHOW primary_conninfo; SHOW primary_slot_name") == "5MB\n\n")
            report("an existing standby, live: \(bed.spockDescription), \(ledger.acknowledged) acknowledged, longest gap \(ledger.longestGap())")
        }
    }

    @Test func `joins in a read-only window, with a configuration of its own, and the password that this held; an undo leaves its data`() async throws {
        try await Bed.exclusively { bed in
            let isDebian = Bed.hasDebianPostgres
            try await bed.mesh(layout: isDebian ? ["n4": .debian] : [:])
            if isDebian {
                try await bed.host("n4").run(
                    """
                    cd /etc/postgresql/15/main
                    cat >conf.d/own.conf
                    echo 'host all spock_admin 10.77.0.0/24 scram-sha-256' >>pg_hba.conf
                    """,
                    input: """
                        listen_addresses = '*'
                        shared_buffers = 24MB
                        wal_level = replica
                        max_worker_processes = 40
                        max_replication_slots = 32
                        max_wal_senders = 32

                        """)
            }
            let before = try await MeshBefore(bed), someone = try Operator(of: bed, playbook: Self.existing)
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 15)
            try await makeStandby(bed, connection: "password=secret-of-replicator application_name=walreceiver")
            #expect(try await bed.psql("n4", "SHOW primary_conninfo", database: "postgres").contains("secret-of-replicator"))
            try await bed.psql("n1", "ALTER SYSTEM SET synchronous_standby_names = 'walreceiver'")
            try await bed.psql("n1", "SELECT pg_reload_conf()")
            try await eventually("n1 to wait for n4", within: .seconds(30)) {
                try await bed.psql("n1", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walreceiver'") == "sync"
            }
            let waiting = try await someone.pggraft("check", someone.playbook)
            #expect(waiting.status == 1 && waiting.standardOutput.hasLine("synchronous … n1 … commits wait for n4"), "\(waiting.standardOutput)")
            try await bed.psql("n1", "ALTER SYSTEM RESET synchronous_standby_names")
            try await bed.psql("n1", "SELECT pg_reload_conf()")
            try await eventually("n1 to wait for nobody", within: .seconds(30)) {
                try await bed.psql("n1", "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'walreceiver'") == "async"
            }

            let output = try await someone.pggraft("run", "--yes", someone.playbook), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(output.standardOutput.contains("Done. Nothing was lost."))
            let verification = try await ledger.verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            try await before.expectUntouched(bed)
            try await bed.expectMember()
            if isDebian { #expect(try await bed.psql("n4", "SHOW wal_level; SHOW shared_buffers; SHOW shared_preload_libraries") == "logical\n24MB\npg_stat_statements, spock") }
            for secret in try someone.secrets() { #expect(try !(output.standardOutput + output.standardError + someone.journalText()).contains(secret)) }

            let undone = try await someone.pggraft("undo", "--yes", "--purge-data", try someone.run())
            #expect(undone.status == 1)
            #expect(undone.standardError.hasLine("n4 has been promoted and cannot be the standby of n1 again"), "\(undone.standardOutput)\n\(undone.standardError)")
            for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM spock.node") == "3", "\(node)") }
            let left = try await bed.host("n4").execute(asUser: "postgres", "test -s \(Bed.dataDirectory)/PG_VERSION && ! test -e \(Bed.dataDirectory)/postmaster.pid")
            #expect(left.status == 0)
        }
    }
}
