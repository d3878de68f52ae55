import Bed
import Glibc
import Run
import Testing

/// A node leaves its Spock cluster, and pggraft is killed, or a host is lost, meanwhile.
@Suite("RemovalFaults", .serialized, .counted)
struct RemovalFaults {
    private static let leaving = "n5", nodes = Bed.meshNodes(4)
    private static let edits: KeyValuePairs<String, String> = [
        "    n4:\n      address: 10.77.0.14": "    n5:\n      address: 10.77.0.15", "\nnode: n4": "\nnode: n5", "# stall_limit: 5min": "stall_limit: 20s",
    ]

    /// A mesh of four under load on those that stay, and what is known of how to remove the fourth.
    private func withMesh(_ title: String, _ body: (Bed, WatchedRun) async throws -> String) async throws {
        try await tabled(title) {
            try await Bed.exclusively { bed in
                try await bed.mesh(nodes: 4)
                for node in Bed.meshNodes { try await bed.psql(node, "ALTER SYSTEM SET wal_sender_timeout = '8s'; SELECT pg_reload_conf()") }
                let run = WatchedRun(someone: try Operator(of: bed, with: "spock-remove-node", playbook: Self.edits))
                let writers = try await Writers.start(of: bed, perNode: 1, rate: 15),
                    clients = try await Writers.start(on: [Self.leaving], of: bed, perNode: 1, connecting: { try bed.conninfo($0, user: "app") })
                let seen: String
                do {
                    seen = try await body(bed, run)
                } catch {
                    // What it waits for stands nowhere else.
                    Issue.record("the journal ends with\n\(try run.someone.journalText().split(separator: "\n").suffix(6).joined(separator: "\n"))")
                    for node in Self.nodes {
                        let working = try await bed.psql(
                            node, "SELECT pid, application_name, state, wait_event, query FROM pg_stat_activity WHERE application_name ~ 'pggraft|spock|pglogical'")
                        Issue.record("\(node) works at\n\(working)")
                    }
                    throw error
                }
                let left = try await clients.stop(), ledger = try await writers.stop()
                for written in [ledger, left] {
                    let verification = try await written.verify(of: bed)
                    #expect(verification.isClean, "\(title): \(verification)")
                }
                #expect((ledger.failed, ledger.inDoubt) == (0, 0), "nobody who stays is kept from writing")
                for node in Bed.meshNodes {
                    let rest = try await bed.psql(
                        node,
                        """
                        SELECT (SELECT count(*) FROM spock.node), (SELECT count(*) FROM spock.node_interface), (SELECT count(*) FROM spock.subscription), \
                        (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin), (SELECT count(*) FROM pg_namespace WHERE nspname = 'pggraft')
                        """)
                    #expect(rest == "3|3|2|2|2|0", "\(title): what \(node) has")
                }
                try expectNoSecrets(run.someone)
                return "\(seen); 0 of \(ledger.acknowledgedRows + left.acknowledgedRows) acknowledged rows missing"
            }
        }
    }

    /// The steps that take long enough to be killed in.
    private static func steps() throws -> [String] { try KillPoint.steps(of: "spock-remove-node").filter { $0 != "requirements" && $0 != "let-go" } }

    @Test func `killed in one step after the other, it is resumed to its end`() async throws {
        try await withMesh("removal killed in each step of one run, and resumed") { bed, run in
            var arguments = run.begin
            for step in try Self.steps() {
                try await run.killed(at: KillPoint(step: step, moment: .begun), arguments)
                arguments = ["resume", try run.name]
            }
            try await run.succeeds(arguments)
            return "\(try Self.steps().count) times"
        }
    }

    @Test(
        "killed in a step, it is undone where it can be, and resumed", .enabled(if: isWhole, "it is a part of make test-faults"), arguments: try steps().asked { "removal, \($0)" })
    func kills(_ step: String) async throws {
        try await withMesh("removal, \(step): killed at 3 moments") { bed, run in
            var arguments = run.begin, undone = 0
            for moment in [KillPoint.Moment.begun, .soon, .begun] {
                // Resumed, the step may have nothing to do any more.
                do { try await run.killed(at: KillPoint(step: step, moment: moment), arguments) } catch let error as BedError {
                    guard try run.entries.last?.text == "finished" else { throw error }
                    return "undone \(undone) times"
                }
                let undo = try await run.someone.start(["undo", "--yes", try run.name]).wait(within: .seconds(400)), text = undo.standardOutput + undo.standardError
                if undo.status == 0 {
                    undone += 1
                    #expect(
                        try await bed.psql(Self.leaving, "SELECT datconnlimit, current_setting('spock.readonly') FROM pg_database WHERE datname = 'app'") == "-1|off", "\(text)")
                    // A worker that was ended starts again in a moment.
                    for node in Self.nodes {
                        try await eventually("\(node) to read the three others", within: .seconds(60)) {
                            try await bed.psql(node, "SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating'") == "3"
                        }
                    }
                    arguments = run.begin
                } else {
                    #expect(text.contains("that cannot be undone"), "\(text)")
                    arguments = ["resume", try run.name]
                }
            }
            if try run.entries.last?.text != "finished" || arguments == run.begin { try await run.succeeds(arguments) }
            return "undone \(undone) times"
        }
    }

    @Test(
        "the node loses power meanwhile, and the removal goes on without it", .enabled(if: isWhole, "it is a part of make test-faults"),
        arguments: ["drop-subscriptions", "drop-node", "remove-traces", "verify"].asked { "power off in \($0) of a removal" })
    func powerOff(_ step: String) async throws {
        try await withMesh("power off in \(step) of a removal") { bed, run in
            let program = try await run.starts(run.begin, until: KillPoint(step: step, moment: .begun))
            try await bed.host(Self.leaving).powerOff()
            let output = try await program.wait(within: .seconds(600))
            if output.status != 0 { try await run.succeeds(["resume", "--node-is-gone", try run.name]) }
            return output.status == 0 ? "went through" : "resumed with --node-is-gone"
        }
    }

    @Test(
        "a member is cut off meanwhile, and the removal is resumed when it is back", .enabled(if: isWhole, "it is a part of make test-faults"),
        arguments: ["close-node", "drop-subscriptions", "drop-node", "remove-traces"].asked { "n2 cut in \($0) of a removal" })
    func cut(_ step: String) async throws {
        try await withMesh("n2 cut in \(step) of a removal") { bed, run in
            let program = try await run.starts(run.begin, until: KillPoint(step: step, moment: .begun))
            // From pggraft and from the node; its clients, and the others, still reach it.
            try await bed.block(from: "operator", to: "n2", port: 22)
            try await bed.block("n2", Self.leaving)
            let output = try await program.wait(within: .seconds(600))
            try await bed.healNetwork()
            if output.status != 0 { try await run.succeeds(["resume", try run.name]) }
            return output.status == 0 ? "went through" : "resumed"
        }
    }
}
