import Bed
import EventLoop
import Run
import Testing

/// A node joins by Spock's own copy, with everybody writing.
@Suite("The logical way to add a node", .serialized)
struct LogicalTests {
    @Test func `n4 joins while all three nodes write, and nothing is lost`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.startEmptyNode()
            let someone = try Operator(
                of: bed, with: "spock-add-node-logical",
                playbook: [
                    "  # location: Los Angeles\n  # country: USA\n": "  location: Los Angeles\n  country: USA\n",
                    "# copy:\n  # A copy that does not get on is told within seconds, and given up after this time.\n  # stall_limit: 5min": "copy:\n  stall_limit: 1min",
                ])
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.status == 0, "\(check.standardOutput)\n\(check.standardError)")
            let plan = try await someone.pggraft("plan", someone.playbook)
            #expect(plan.status == 0, "\(plan.standardOutput)\n\(plan.standardError)")

            let writers = try await Writers.start(of: bed, perNode: 2, rate: 30, big: (every: 200, rows: 3000))
            let output = try await someone.pggraft("run", "--yes", someone.playbook), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            report("logical: \(bed.spockDescription)")
            report("  \(ledger.acknowledged) acknowledged, \(ledger.failed) failed, \(ledger.inDoubt) in doubt, longest gap \(ledger.longestGap())")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            #expect(output.standardOutput.contains("Done. Nothing was lost."))
            let verification = try await ledger.verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            try await bed.expectMember(isCopy: false)
            #expect(try await bed.psql("n4", "SELECT location || ', ' || country FROM spock.node WHERE node_name = 'n4'") == "Los Angeles, USA")
            for node in Bed.meshNodes {
                #expect(try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%pggraft%'") == "0")
            }
        }
    }
}
