import Bed
import Glibc
import Run
import Testing

/// The logical way to add a node, killed in every step.
@Suite("LogicalFaults", .serialized, .counted)
struct LogicalFaults {
    private static let playbook = "spock-add-node-logical"

    /// Where one run is killed, again and again; each point is killed in the resume of the one before.
    struct Case: Sendable, CustomTestStringConvertible {
        var points: [KillPoint]
        var testDescription: String { points.map(\.testDescription).joined(separator: "; at ") }
    }

    static func resumes() throws -> [Case] {
        guard isWhole else {
            return [
                Case(points: [
                    KillPoint(step: "copy", moment: .soon), KillPoint(step: "leave-source", moment: .kept("base of the positions")),
                    KillPoint(step: "leave-source", moment: .kept("resume positions")), KillPoint(step: "subscriptions", moment: .soon),
                ])
            ]
        }
        return try KillPoint.steps(of: playbook).map { step in
            Case(points: [KillPoint(step: step, moment: .begun), KillPoint(step: step, moment: .soon), KillPoint(step: step, moment: .begun), KillPoint(step: step, moment: .done)])
        }.asked(\.testDescription)
    }

    static func undos() throws -> [Case] {
        guard isWhole else { return [] }
        return try KillPoint.steps(of: playbook).map { step in
            Case(points: [KillPoint(step: step, moment: .begun), KillPoint(step: step, moment: .soon), KillPoint(step: step, moment: .done)])
        }.asked(\.testDescription)
    }

    /// Everything of n4 that a run may change.
    private static let ofNewNode = """
        SELECT 'schema', nspname FROM pg_namespace WHERE nspname !~ '^pg_t' AND nspname NOT IN ('spock', 'pglogical', 'pglogical_origin') ORDER BY 2;
        SELECT 'table', oid::regclass FROM pg_class WHERE oid > 16383 AND relkind IN ('r', 'S', 'v') AND relnamespace::regnamespace::text !~ '^(pg_|information)' ORDER BY 2;
        SELECT 'role', rolname FROM pg_roles ORDER BY 2; SELECT 'slot', slot_name FROM pg_replication_slots ORDER BY 2;
        SELECT 'origin', roname FROM pg_replication_origin ORDER BY 2; SELECT 'extension', extname FROM pg_extension ORDER BY 2;
        SELECT 'limit', datconnlimit FROM pg_database WHERE datname = 'app'; SHOW shared_preload_libraries
        """

    private func loaded(_ title: String, _ body: (Bed, Writers, WatchedRun) async throws -> String) async throws {
        try await tabled(title) {
            try await Bed.exclusively { bed in
                try await bed.mesh()
                try await bed.startEmptyNode()
                let someone = try Operator(of: bed, with: Self.playbook)
                return try await body(bed, try await Writers.start(of: bed, perNode: 1, rate: 15), WatchedRun(someone: someone))
            }
        }
    }

    @Test("killed again and again, it is resumed to the end that it would have had", arguments: try LogicalFaults.resumes())
    func killAndResume(_ each: Case) async throws {
        try await loaded("logical: kill at \(each.testDescription), and resume") { bed, writers, run in
            for (index, point) in each.points.enumerated() {
                let arguments = index == 0 ? run.begin : ["resume", try run.name]
                let program: RunningProgram
                do {
                    program = try await run.starts(arguments, until: point)
                } catch let error as BedError {
                    // A step that the last attempt has been through is not begun again.
                    guard "\(error)".contains("Done. Nothing was lost.") else { throw error }
                    break
                }
                program.signal(SIGKILL)
                _ = try await program.wait(within: .seconds(20))
            }
            if try run.entries.last?.event != .ended { try await run.succeeds(["resume", try run.name]) }
            let gaps = try writers.ledger().gaps(on: Bed.meshNodes)
            try await expectMesh(of: bed, writers)
            return "proven; longest gaps of the writers \(gaps)"
        }
    }

    @Test("killed, it is undone without a trace", arguments: try LogicalFaults.undos())
    func killAndUndo(_ each: Case) async throws {
        try await loaded("logical: kill at \(each.testDescription), and undo each time") { bed, writers, run in
            let before = try await Snapshot(of: bed), new = try await bed.psql("n4", Self.ofNewNode)
            for point in each.points {
                try await run.killed(at: point, run.begin)
                try await run.succeeds(["undo", "--yes", "--purge-data", try run.name])
                let differences = try await Snapshot(of: bed).differences(from: before)
                #expect(differences.isEmpty, "\(point.testDescription)\n\(differences)")
                #expect(try await bed.psql("n4", Self.ofNewNode) == new, "\(point.testDescription)")
            }
            try await expectClean(writers, bed)
            return "catalogs and files as before, \(each.points.count) times"
        }
    }

    @Test("a large database, with the load under which the published way loses rows", .enabled(if: isWhole, "it is a part of make test-faults"))
    func large() async throws {
        let megabytes = environment("PGGRAFT_LOGICAL_MEGABYTES").flatMap { Int($0) } ?? 750
        try await tabled("logical: \(megabytes) MB, six writers of 30 transactions a second; removed, and added again") {
            try await Bed.exclusively { bed in
                try await bed.mesh(diskSize: "\(4 * megabytes + 4000)m")
                for part in 0..<10 {
                    try await bed.psql(
                        "n1",
                        """
                        INSERT INTO app.bulk SELECT 1000000 + \(part) * 100000 + i.i, 'large', (SELECT string_agg(md5(random()::text || i.i || k), '') FROM generate_series(1, 250) k)
                        FROM generate_series(1, \(megabytes) * 1000 / 8 / 10) i(i)
                        """, within: .seconds(300))
                }
                try await bed.drain()
                let writers = try await Writers.start(of: bed, perNode: 2, rate: 30)
                var seen: [String] = [], before = 0
                func went(_ word: String, _ arguments: [String], by someone: Operator) async throws {
                    let output = try await someone.start(arguments).wait(within: .seconds(1200)), count = try writers.ledger().acknowledged
                    try #require(output.status == 0, "\(output.standardOutput)\(output.standardError)")
                    #expect(output.standardOutput.contains("every slot read"), "\(output.standardOutput)")
                    seen.append("\(word) while \(count - before) transactions were acknowledged")
                    before = count
                }
                for word in ["added", "added again"] {
                    try await bed.startEmptyNode()
                    let someone = try Operator(of: bed, with: Self.playbook)
                    try await went(word, ["run", "--yes", someone.playbook], by: someone)
                    if word == "added" { try await went("removed", ["run", "--yes", try someone.playbook("spock-remove-node")], by: someone) }
                }
                let ledger = try await writers.stop()
                #expect((ledger.failed, ledger.inDoubt) == (0, 0))
                let verification = try await ledger.verify(on: everyNode, of: bed)
                #expect(verification.isClean, "\(verification)")
                return (seen + ["longest gap \(ledger.longestGap())"]).joined(separator: "; ")
            }
        }
    }
}
