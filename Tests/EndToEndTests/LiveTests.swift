import Bed
import EventLoop
import Glibc
import Run
import Testing

/// A new node joins, and nobody who writes ever waits for it.
@Suite("The live handover", .serialized)
struct LiveTests {
    static let live: KeyValuePairs<String, String> = ["  mode: read-only": "  mode: live"]

    /// On each node a superuser who adds one to a row of its own, makes a row and deletes the one of five turns ago, all the time.
    /// - Returns: what ends them and gives how often each was acknowledged; a write that fails is an error.
    private static func counters(on bed: Bed) async throws -> @Sendable () async throws -> [String: Int] {
        try await bed.psql("n1", "UPDATE app.bulk SET body = '0' WHERE id <= 3")
        try await bed.drain()
        // The newest of several wins; of conflicts the stand-in says nothing.
        let nodes = Bed.meshNodes, contended = bed.isStandIn ? "" : "; UPDATE app.bulk SET name = 'turn $n' WHERE id = 10 + $n % 10"
        let counting = Task {
            try await onEach(nodes) { node in
                let number = node.dropFirst()
                let output = try await bed.host(node).execute(
                    asUser: "postgres",
                    """
                    n=0
                    while [ ! -e /tmp/enough ]; do
                        n=$((n + 1))
                        \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app -c "BEGIN;
                            UPDATE app.bulk SET body = (body::int + 1)::text WHERE id = \(number);
                            INSERT INTO app.bulk VALUES (\(number)00000 + $n, 'counter', '');
                            DELETE FROM app.bulk WHERE id = \(number)00000 + $n - 5; COMMIT\(contended)" || exit 1
                    done
                    echo $n
                    """, within: .seconds(400))
                guard output.status == 0, let number = Int(output.standardOutput.split(separator: "\n").last ?? "") else {
                    throw BedError.commandFailed("a counter on \(node)", status: output.status, output: output.standardOutput + output.standardError)
                }
                return number
            }
        }
        return {
            for node in nodes { try await bed.host(node).run("touch /tmp/enough") }
            return try await counting.value
        }
    }

    /// A client that has written 60,000 rows, and commits when n4 has been promoted.
    private func transaction(on node: String, _ bed: Bed) async throws -> CommandOutput {
        try await bed.host(node).execute(
            asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app",
            input: """
                BEGIN;
                INSERT INTO app.events (node, writer, seq) SELECT 'open on \(node)', 0, i FROM generate_series(1, 60000) i;
                \\! until [ -e /tmp/promoted ]; do sleep 0.02; done
                COMMIT;
                """, within: .seconds(300))
    }

    @Test func `no write waits or fails, with transactions open while it leaves its source, and nothing is lost`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let before = try await MeshBefore(bed), someone = try Operator(of: bed, playbook: Self.live)
            let plan = try await someone.pggraft("plan", someone.playbook)
            #expect(plan.standardOutput.contains("writes paused: none"))
            #expect(!plan.standardOutput.contains("spock.readonly"))

            let counted = try await Self.counters(on: bed)
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 15, big: (every: 300, rows: 5000))
            let run = try someone.start("run", "--yes", someone.playbook)
            try await someone.reaches("catch-up")
            // The slots are there, and n4 is not promoted yet.
            try await bed.psql("n4", "SELECT pg_wal_replay_pause()")
            try await someone.reaches("pass-slots")
            async let first = transaction(on: "n1", bed)
            async let second = transaction(on: "n2", bed)
            for node in ["n1", "n2"] {
                try await eventually("the transaction to be open on \(node)", within: .seconds(60)) {
                    try await bed.psql(node, "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND backend_xid IS NOT NULL AND query LIKE '%open on%'") == "1"
                }
            }
            #expect(try !someone.entries().contains { $0.step == "promote" }, "it waits for n4")
            try await bed.psql("n4", "SELECT pg_wal_replay_resume()")
            try await someone.reaches("remove-identity")
            for node in ["n1", "n2"] { try await bed.host(node).run("touch /tmp/promoted") }

            let output = try await run.wait(within: .seconds(300)), ledger = try await writers.stop(), counts = try await counted()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(try await first.status == 0)
            #expect(try await second.status == 0)
            report("live: \(bed.spockDescription)")
            report(
                "  \(ledger.acknowledged) acknowledged, \(ledger.failed) failed, \(ledger.inDoubt) in doubt, longest gap \(ledger.longestGap()); counters \(counts.sorted { $0.key < $1.key })"
            )
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            #expect(output.standardOutput.contains("with everybody writing"))
            #expect(output.standardOutput.contains("Done. Nothing was lost."))
            // Clients are let in last.
            let done = try someone.entries().filter { $0.event == .done }.compactMap(\.step)
            #expect(done.suffix(2) == ["verify", "open-new-node"])

            let nodes = Bed.meshNodes + ["n4"]
            let verification = try await ledger.verify(on: nodes, of: bed)
            #expect(verification.isClean, "\(verification)")
            for node in nodes {
                for (counter, count) in counts {
                    #expect(try await bed.psql(node, "SELECT body FROM app.bulk WHERE id = \(counter.dropFirst())") == "\(count)", "\(counter) on \(node)")
                }
                #expect(try await bed.psql(node, "SELECT count(*) FROM app.bulk WHERE name = 'counter'") == "15", "\(node)")
                #expect(
                    try await bed.psql(node, "SELECT node, count(*) FROM app.events WHERE node LIKE 'open on%' GROUP BY 1 ORDER BY 1") == "open on n1|60000\nopen on n2|60000",
                    "\(node)")
            }
            try await before.expectUntouched(bed)
            try await bed.expectMember()
        }
    }

    @Test func `superusers write on through the read-only window of Spock 6, and the proof holds all the same`() async throws {
        try await Bed.exclusively { bed in
            guard !bed.isStandIn else { return report("left out: before Spock 6 the read-only mode stops superusers, too") }
            try await bed.mesh()
            guard bed.spockDescription.contains("Spock 6") else { return report("left out: before Spock 6 the read-only mode stops superusers, too") }
            let someone = try Operator(of: bed), counted = try await Self.counters(on: bed), writers = try await Writers.start(of: bed, perNode: 2, rate: 15)
            let output = try await someone.pggraft("run", "--yes", someone.playbook), ledger = try await writers.stop(), counts = try await counted()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(output.standardOutput.contains("Done. Nothing was lost."))
            let verification = try await ledger.verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            for (counter, count) in counts {
                #expect(try await bed.psql("n4", "SELECT body FROM app.bulk WHERE id = \(counter.dropFirst())") == "\(count)", "\(counter)")
            }
        }
    }

    @Test("of two nodes, and of five", arguments: [2, 5])
    func wide(_ count: Int) async throws {
        try await Bed.exclusively { bed in
            if bed.isStandIn, count > 3 { return report("left out: \(count) nodes are for the real Spock") }
            try await bed.mesh(nodes: count)
            let nodes = Bed.meshNodes(count), (three, these) = Operator.nodes(count)
            let someone = try Operator(of: bed, playbook: ["  mode: read-only": "  mode: live", three: these])
            let writers = try await Writers.start(on: nodes, of: bed, perNode: 1, rate: 15)
            let output = try await someone.pggraft("run", "--yes", someone.playbook, within: .seconds(300)), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            let verification = try await ledger.verify(on: nodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            #expect(output.standardOutput.contains("\(count * (count + 1)) subscriptions replicating"))
        }
    }

    /// Starts a live run and kills it as `step` begins.
    private func killed(in step: String, _ bed: Bed) async throws -> Operator {
        let someone = try Operator(of: bed, playbook: Self.live), run = try someone.start("run", "--yes", someone.playbook)
        // It does not get past the slots before it is killed.
        let holds = step == "pass-slots"
        if holds {
            try await someone.reaches("catch-up")
            try await bed.psql("n4", "SELECT pg_wal_replay_pause()")
        }
        try await someone.reaches(step)
        run.signal(SIGKILL)
        _ = try await run.wait(within: .seconds(30))
        if holds {
            try await bed.psql("n4", "SELECT pg_wal_replay_resume()")
            try #require(try await bed.psql("n4", "SELECT pg_is_in_recovery()") == "t")
        }
        return someone
    }

    /// As a promotion would that was on its way.
    private func promote(_ bed: Bed) async throws {
        let output = try await bed.host("n4").execute(asUser: "postgres", "\(bed.binaryDirectory)/pg_ctl promote -w -D \(Bed.dataDirectory)")
        let log = try await bed.host("n4").execute("tail -n 40 \(Bed.dataDirectory)/log/*.log").standardOutput
        try #require(output.status == 0, "\(output.standardOutput)\(output.standardError)\n\(log)")
    }

    /// Expects that a resume is refused with `words`, and that nothing has joined; and that an undo leaves nothing.
    private func expectRefused(_ someone: Operator, _ words: String, _ bed: Bed) async throws {
        let output = try await someone.pggraft("resume", try someone.run())
        #expect(output.status == 1)
        #expect(output.standardError.hasLine(words), "\(output.standardOutput)\n\(output.standardError)")
        for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM spock.subscription") == "2", "\(node)") }
        let undone = try await someone.pggraft("undo", "--yes", "--purge-data", try someone.run())
        #expect(undone.status == 0, "\(undone.standardOutput)\n\(undone.standardError)")
        for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots") == "2", "\(node)") }
    }

    @Test func `an origin or a slot that somebody moves in between is seen before anything joins`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let first = try await killed(in: "pass-slots", bed)
            try await promote(bed)
            let ahead = try await bed.psql("n2", "SELECT pg_current_wal_insert_lsn() + 100000000")
            let origin = try await bed.psql("n1", "SELECT sub_slot_name FROM spock.subscription JOIN spock.node ON node_id = sub_origin WHERE node_name = 'n2'")
            try await bed.psql("n4", "SELECT pg_replication_origin_advance('\(origin)', '\(ahead)')")
            try await expectRefused(first, "the position to go on from n2 is out of bounds: slot … resume … source's origin", bed)

            let second = try await killed(in: "restart", bed)
            try await bed.psql("n2", "INSERT INTO app.ledger (node, writer, seq) SELECT 'moved', 0, i FROM generate_series(1, 10) i")
            try await bed.psql(
                "n2", "SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) FROM pg_replication_slots WHERE NOT active AND slot_name LIKE '%n4%'")
            try await expectRefused(second, "n2: the slot … stands at … somebody has read or moved it", bed)
        }
    }

    /// Has a process of a server crash: it ends all of them, recovers, and goes on with the same postmaster.
    private func crash(_ node: String, _ bed: Bed) async throws {
        let pid = try await bed.psql(node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
        try await bed.host(node).run("kill -KILL \(pid)")
        try await eventually("\(node) to have recovered", within: .seconds(60)) {
            let now = try await bed.host(node).execute(
                asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -d app",
                input: "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
            return now.status == 0 && !["", pid].contains(now.standardOutput.split(separator: "\n").first.map(String.init) ?? "")
        }
    }

    @Test func `a member that crashes and recovers while the new node joins is waited for`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed, playbook: Self.live), run = try someone.start("run", "--yes", someone.playbook)
            for step in ["remove-identity", "add-node", "subscriptions", "verify"] {
                try await someone.reaches(step)
                try await crash(step == "add-node" ? "n2" : "n3", bed)
            }
            let output = try await run.wait(within: .seconds(300))
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(output.standardOutput.contains("it is waited for, and the step goes on"), "\(output.standardOutput)")
            try await bed.expectMember()
        }
    }

    @Test func `a server of many databases, for which Spock's supervisor takes so long that it misses what it is told, joins all the same`() async throws {
        try await Bed.exclusively { bed in
            if bed.isStandIn { return report("left out: only the real Spock has a supervisor") }
            try await bed.mesh()
            try await bed.psql("n1", "ALTER SYSTEM SET max_worker_processes = 120")
            try await bed.host("n1").stopPostgres()
            try await bed.host("n1").startPostgres()
            try await bed.waitUntilWhole()
            let databases = (1...80).map { "CREATE DATABASE more\($0) STRATEGY FILE_COPY;" }.joined(separator: "\n")
            try await bed.psql("n1", databases, within: .seconds(200))
            let someone = try Operator(of: bed, playbook: Self.live), output = try await someone.pggraft("run", "--yes", someone.playbook, within: .seconds(400))
            report("\(output.standardOutput.split(separator: "\n").filter { $0.contains("supervisor") || $0.contains("subscriptions replicate") })")
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            try await bed.expectMember()
        }
    }

    @Test func `a source that is restarted while the copy leaves it is not gone on with`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try await killed(in: "pass-slots", bed)
            try await bed.host("n1").stopPostgres()
            try await bed.host("n1").startPostgres()
            try await bed.waitUntilWhole()
            // Spock 6 writes a record of its own when its server is stopped, which no copy can replay.
            if bed.spockDescription.contains("Spock 6") {
                try await expectRefused(someone, "its source's WAL has a record of an extension that a copy does not load … make the copy anew", bed)
                return
            }
            try await promote(bed)
            try await expectRefused(someone, "n1 was restarted while n4 left it", bed)

            // A process that crashes takes all others with it, and not the postmaster.
            try await bed.resetNewNode()
            let crashed = try await killed(in: "pass-slots", bed)
            try await crash("n1", bed)
            try await bed.waitUntilWhole()
            // It has applied again by then what it had forgotten.
            for node in ["n2", "n3"] { try await bed.psql(node, "INSERT INTO app.ledger (node, writer, seq) SELECT 'again \(node)', 0, i FROM generate_series(1, 10) i") }
            try await bed.drain()
            try await eventually("n4 to have that", within: .seconds(60)) { try await bed.psql("n4", "SELECT count(*) FROM app.ledger WHERE node LIKE 'again%'") == "20" }
            try await promote(bed)
            try await expectRefused(crashed, "n1 was restarted while n4 left it", bed)

            // Before n4 has left, the slots are waited for anew.
            let other = try await killed(in: "pass-slots", bed)
            try await bed.host("n1").stopPostgres()
            try await bed.host("n1").startPostgres()
            try await bed.waitUntilWhole()
            let output = try await other.pggraft("resume", try other.run())
            #expect(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            try await bed.expectMember()
        }
    }

    @Test func `slots that wait too long for a transaction are named with it, and those that keep too much WAL are given up`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed, playbook: ["  mode: read-only": "  mode: live", "  # slot_wait: 60s": "  slot_wait: 3s"])
            async let open = bed.host("n3").execute(
                asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app",
                input: """
                    BEGIN;
                    INSERT INTO app.events (node, writer, seq) VALUES ('open', 0, 1);
                    \\! until [ -e /tmp/go ]; do sleep 0.02; done
                    COMMIT;
                    """, within: .seconds(300))
            try await eventually("the transaction to have been open for a while", within: .seconds(60)) {
                try await bed.psql("n3", "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND backend_xid IS NOT NULL AND now() - xact_start > interval '6 s'")
                    == "1"
            }
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.standardOutput.hasLine("transactions … n3 … psql … is open"), "\(check.standardOutput)")
            let blocked = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(blocked.status == 1)
            #expect(blocked.standardError.hasLine("n3: … pid … psql … idle in transaction"), "\(blocked.standardError)")
            #expect(blocked.standardError.contains("Every node takes writes, as before."))
            try await bed.host("n3").run("touch /tmp/go")
            #expect(try await open.status == 0)

            // A disk on which a fifth of what is free is soon kept.
            let n3 = try bed.host("n3"), used = try #require(Int(try await n3.run("df -m --output=used \(Bed.dataDirectory) | tail -n 1 | tr -d ' '")))
            try await n3.resizeDisk(to: "\(used + 220)m")
            try await bed.block("n1", "n2")
            let waits = try someone.entries().filter { $0.step == "pass-slots" }.count, small = try someone.start("resume", try someone.run())
            try await eventually("the run to wait behind its slots", within: .seconds(120)) { try someone.entries().filter { $0.step == "pass-slots" }.count > waits }
            try await bed.psql("n3", "CREATE TABLE public.filling AS SELECT repeat(md5(i::text), 20) FROM generate_series(1, 80000) i")
            let blown = try await small.wait(within: .seconds(200))
            #expect(blown.status == 1)
            #expect(blown.standardError.hasLine("n3 kept … of WAL for n4, of … that it may (wal_fuse): the slots of n4 are dropped on n1, n2 and n3"), "\(blown.standardError)")
            for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4%'") == "0", "\(node)") }
            try await bed.unblock("n1", "n2")
            try await bed.psql("n3", "DROP TABLE public.filling")
            try await n3.resizeDisk(to: "4g")

            // The server itself takes WAL away beyond that.
            try await bed.psql("n3", "ALTER SYSTEM SET max_slot_wal_keep_size = '48MB'")
            try await bed.psql("n3", "SELECT pg_reload_conf()")
            try await bed.block("n1", "n2")
            let before = try someone.entries().filter { $0.step == "pass-slots" }.count, run = try someone.start("resume", try someone.run())
            try await eventually("the run to wait behind its slots", within: .seconds(120)) { try someone.entries().filter { $0.step == "pass-slots" }.count > before }
            try await bed.psql("n3", "CREATE TABLE public.filler AS SELECT repeat(md5(i::text), 20) FROM generate_series(1, 80000) i")
            let output = try await run.wait(within: .seconds(200))
            #expect(output.status == 1)
            #expect(output.standardError.hasLine("n3 kept … of WAL for n4 … (max_slot_wal_keep_size): the slots of n4 are dropped on n1, n2 and n3"), "\(output.standardError)")
            for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4%'") == "0", "\(node)") }
            try await bed.unblock("n1", "n2")
            let resumed = try await someone.pggraft("resume", try someone.run())
            #expect(resumed.status == 0, "\(resumed.standardOutput)\n\(resumed.standardError)")
        }
    }
}
