import Bed
import Run
import Testing

/// A new node joins a cluster that goes on working. What arrived is counted by witnesses that share nothing with pggraft.
@Suite("Seeding a node", .serialized)
struct SeedTests {
    /// Runs the playbook to its end, and expects everything that must hold however it went.
    private func seed(_ bed: Bed, writers: Writers?, begun run: RunningProgram, by someone: Operator, before: MeshBefore, title: String) async throws {
        let output = try await run.wait(within: .seconds(300))
        let ledger = try await writers?.stop() ?? Ledger(entries: [], end: 0)
        if output.status != 0 {
            // What a worker of n4 says of itself stands nowhere else.
            let log = try await bed.host("n4").execute("tail -n 40 \(Bed.dataDirectory)/log/*.log /var/log/postgresql/*.log").standardOutput
            Issue.record("\(output.standardOutput)\n\(output.standardError)\n\(log)")
        }
        try #require(output.status == 0)
        #expect(output.standardError.isEmpty)

        let window = try someone.window(in: output.standardOutput)
        #expect(window < 30)
        let steps = try someone.entries().filter { $0.event == .fact && $0.key == "window" }
        report("\(title): \(bed.spockDescription)")
        report("  window \(steps.first?.value.map { "\($0)" } ?? "")")
        report(
            "  window \(window) s, longest gap between two acknowledged transactions \(ledger.longestGap()), "
                + "\(ledger.acknowledged) acknowledged (\(Int(ledger.transactionsPerSecond)) a second), \(ledger.failed) refused, \(ledger.inDoubt) in doubt")
        #expect(steps.count == 1)
        for error in ledger.errors.keys {
            #expect(error.contains("read-only cluster") || error.hasPrefix("57P01") || error.hasPrefix("connection"), "a writer was refused for another reason")
        }

        let nodes = Bed.meshNodes + ["n4"]
        let verification = try await ledger.verify(on: nodes, of: bed)
        #expect(verification.isClean, "\(verification)")
        #expect(verification.nodes.count == 4)
        try await before.expectUntouched(bed)
        try await bed.expectMember()
        try expectNoSecret(in: output, someone)
    }

    private func expectNoSecret(in output: CommandOutput, _ someone: Operator) throws {
        for (place, text) in [("the output", output.standardOutput + output.standardError), ("the journal", try someone.journalText())] {
            #expect(!text.isEmpty, "\(place)")
            for secret in try someone.secrets() { #expect(!text.contains(secret), "a secret in \(place)") }
        }
    }

    /// A client that has `rows` rows written in a transaction, and commits when something has happened on the host.
    private func transaction(of rows: Int, named name: String, on node: String, _ bed: Bed, commitWhen condition: String) async throws -> CommandOutput {
        try await bed.host(node).execute(
            asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app",
            input: """
                BEGIN;
                INSERT INTO app.events (node, writer, seq) SELECT '\(name)', 0, i FROM generate_series(1, \(rows)) i;
                \\! until \(condition); do sleep 0.02; done
                COMMIT;
                """, within: .seconds(300))
    }

    private func waitForTransactions(_ count: Int, on node: String, _ bed: Bed) async throws {
        try await eventually("\(count) transactions to have a transaction id on \(node)", within: .seconds(30)) {
            try await bed.psql(node, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND backend_xid IS NOT NULL") == "\(count)"
        }
    }

    @Test func `under load, with open transactions of every kind, nothing is lost and nothing comes twice`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.psql("n1", "INSERT INTO app.orders VALUES (1, 'EU', 10, 'a'), (2, 'US', 20, 'b'); SELECT nextval('app.order_no')")
            let before = try await MeshBefore(bed)
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 15, big: (every: 900, rows: 30_000))
            let someone = try Operator(of: bed)
            let run = try someone.start("run", "--yes", someone.playbook)
            try await someone.reaches("start-standby")
            let readOnly = "[ \"$(\(bed.binaryDirectory)/psql -h /run/postgresql -XAtqd app -c 'SHOW spock.readonly')\" = user ]"
            // One that nobody ends, one that ends itself just after the nodes became read-only, and a statement that goes on and on.
            async let idle = transaction(of: 1, named: "idle", on: "n2", bed, commitWhen: "[ -e /tmp/go ]")
            async let late = transaction(of: 60_000, named: "late", on: "n3", bed, commitWhen: readOnly)
            async let long = bed.host("n1").execute(
                asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app",
                input: """
                    INSERT INTO app.events (node, writer, seq)
                    SELECT 'long', 0, i FROM generate_series(1, 60000) i WHERE i % 100 <> 0 OR pg_sleep(0.2) IS NOT NULL
                    """, within: .seconds(300))
            try await waitForTransactions(1, on: "n1", bed)
            try await waitForTransactions(1, on: "n2", bed)
            try await waitForTransactions(1, on: "n3", bed)

            try await seed(bed, writers: writers, begun: run, by: someone, before: before, title: "under load")
            try await bed.host("n2").run("touch /tmp/go")
            let outcomes = try await (idle: idle, late: late, long: long)
            #expect(outcomes.idle.status != 0, "it was ended")
            #expect(outcomes.long.status != 0, "it was ended")
            // Committed before the grace was over, it is acknowledged and everywhere; otherwise it was ended and is nowhere.
            let late60000 = outcomes.late.status == 0 ? "60000" : "0"
            report("  the transaction that was open when the window opened: \(outcomes.late.status == 0 ? "committed in it" : "ended")")
            for node in Bed.meshNodes + ["n4"] {
                #expect(try await bed.psql(node, "SELECT count(*) FROM app.events WHERE node IN ('idle', 'long')") == "0", "\(node)")
                #expect(try await bed.psql(node, "SELECT count(*) FROM app.events WHERE node = 'late'") == late60000, "\(node)")
            }
        }
    }

    @Test func `nobody writes, and the new node's host is laid out as Debian does where that can be`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: debian("n4"))
            let before = try await MeshBefore(bed)
            let someone = try Operator(of: bed)
            let run = try someone.start("run", "--yes", someone.playbook)
            try await seed(bed, writers: nil, begun: run, by: someone, before: before, title: "idle")
        }
    }

    @Test func `replication lags when the window is due, and the source is laid out as Debian does where that can be`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: debian("n1"))
            let before = try await MeshBefore(bed)
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 15)
            let someone = try Operator(of: bed)
            let run = try someone.start("run", "--yes", someone.playbook)
            try await someone.reaches("start-standby")
            try await bed.block("n2", "n3")
            let since = try await bed.psql("n2", "SELECT pg_current_wal_lsn()"), clock = ContinuousClock(), began = clock.now
            try await someone.reaches("catch-up")
            try await eventually("n3 to be three seconds behind n2", within: .seconds(30)) { began.duration(to: clock.now) >= .seconds(3) }
            #expect(
                try await bed.psql(
                    "n3",
                    "SELECT bool_and(remote_lsn <= '\(since)'::pg_lsn + 1048576) FROM pg_replication_origin_status s JOIN spock.subscription u ON u.sub_slot_name = s.external_id WHERE u.sub_name = 'sub_n2_n3'"
                ) == "t")
            #expect(try !someone.entries().contains { $0.step == "read-only" }, "the window waits for the mesh")
            try await bed.unblock("n2", "n3")
            try await seed(bed, writers: writers, begun: run, by: someone, before: before, title: "with a lag of three seconds")
        }
    }

    private func debian(_ node: String) -> [String: Bed.Layout] {
        if Bed.hasDebianPostgres { return [node: .debian] }
        report("Debian's layout of \(node) is left out: only Debian's PostgreSQL has it")
        return [:]
    }
}
