import Bed
import EventLoop
import Testing

/// Synchronous replication turned on and off, with clients that write.
@Suite("Synchronous standbys", .serialized)
struct SynchronousTests {
    /// Runs it, and says how long that took.
    private func run(_ someone: Operator, _ path: String) async throws -> CommandOutput {
        let began = ContinuousClock.now, output = try await someone.pggraft("run", "--yes", path)
        report("run: \(began.duration(to: .now)), status \(output.status)")
        return output
    }

    @Test func `are waited for only where they are there, one more, one less, and none, and no write hangs`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db1")
            let someone = try Operator(of: bed, with: "synchronous", playbook: Self.edits)
            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo(of: ["db1"]) }

            let plan = try await someone.pggraft("plan", someone.playbook)
            #expect(plan.status == 0 && plan.standardOutput.contains("synchronous_standby_names = 'FIRST 1 (db2)'"), "\(plan.standardOutput)\(plan.standardError)")
            #expect(try await setting(bed) == "")

            let on = try await run(someone, someone.playbook)
            try #require(on.status == 0, "\(on.standardOutput)\(on.standardError)")
            #expect(try await states(bed) == "db2|sync\ndb3|async")
            let more = try await run(someone, try someone.playbook("synchronous", Self.edits(["standbys: FIRST 1 (db2)": "add: db3"])))
            #expect(more.status == 0, "\(more.standardError)")
            #expect(try await states(bed) == "db2|sync\ndb3|potential")

            // db3 goes: who wants it waited for is refused, and everything stays as it is.
            let less = try await run(someone, try someone.playbook("synchronous", Self.edits(["standbys: FIRST 1 (db2)": "remove: db3"])))
            #expect(less.status == 0, "\(less.standardError)")
            #expect(try await setting(bed) == "FIRST 1 (db2)")
            // It streams, and nothing is ever written there: commits are let go again.
            try await bed.host("db3").run("pkill -STOP -f '[w]alreceiver'")
            let stuck = try await run(someone, try someone.playbook("synchronous", Self.edits(["FIRST 1 (db2)": "FIRST 1 (db3)"])))
            #expect(stuck.status == 1 && stuck.standardError.contains("a commit did not return within 10 s"), "\(stuck.standardOutput)\(stuck.standardError)")
            #expect(try await setting(bed) == "FIRST 1 (db2)")
            try await bed.host("db3").run("pkill -CONT -f '[w]alreceiver'")

            try await bed.host("db3").stopPostgres()
            let all = try someone.playbook("synchronous", Self.edits(["FIRST 1 (db2)": "ANY 2 (db2, db3)"]))
            let refused = try await run(someone, all)
            #expect(refused.status == 1 && (refused.standardOutput + refused.standardError).contains("db3"), "\(refused.standardOutput)\(refused.standardError)")
            #expect(try await setting(bed) == "FIRST 1 (db2)")

            // The one that is waited for loses power: commits wait, until it is waited for no more.
            let before = try writers.ledger().acknowledged
            #expect(before > 0)
            try await bed.host("db2").powerOff()
            try await eventually("commits to wait for db2", within: .seconds(60)) {
                try await bed.psql("db1", "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "t"
            }
            let off = try await run(someone, try someone.playbook("synchronous", Self.edits(["FIRST 1 (db2)": "off"])))
            #expect(off.status == 0, "\(off.standardOutput)\(off.standardError)")
            #expect(try await setting(bed) == "")
            let freed = try writers.ledger().acknowledged
            try await eventually("commits to return", within: .seconds(30)) { try writers.ledger().acknowledged > freed }
            let ledger = try await writers.stop()
            let verification = try await ledger.verify(on: ["db1"], of: bed, drained: false)
            #expect(verification.isClean, "\(verification)")

            let name = try #require(try someone.journals().last?.split(separator: "/").last)
            let undone = try await someone.pggraft("undo", "--yes", String(name.dropLast(".jsonl".count)))
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            #expect(try await setting(bed) == "FIRST 1 (db2)", "as before the last run")
            let gap = ledger.longestGap(on: "db1")
            report("the longest time without an acknowledged commit: \(gap)")
        }
    }

    private static let edits: KeyValuePairs<String, String> = [Self.lastNode: Self.lastNode + Self.third]
    private static let lastNode = "    db2:\n      address: 10.77.0.32\n      data_directory: /var/lib/postgresql/15/main\n"
    private static let third = "    db3:\n      address: 10.77.0.33\n      data_directory: /var/lib/postgresql/15/main\n"

    private static func edits(_ more: KeyValuePairs<String, String>) -> KeyValuePairs<String, String> {
        guard let edit = more.first else { return edits }
        return [lastNode: lastNode + third, edit.key: edit.value]
    }

    private func setting(_ bed: Bed) async throws -> String { try await bed.psql("db1", "SHOW synchronous_standby_names") }

    private func states(_ bed: Bed) async throws -> String {
        try await bed.psql("db1", "SELECT application_name, sync_state FROM pg_stat_replication ORDER BY 1")
    }
}
