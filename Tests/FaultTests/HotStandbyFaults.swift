import Bed
import Foundation
import Procedures
import Run
import Testing

/// A hot standby that is hurt while it is made.
@Suite("Faults of a hot standby", .serialized, .counted, .enabled(if: isWhole, "it is a part of make test-faults"))
struct HotStandbyFaults {
    private func expectStandby(_ bed: Bed) async throws {
        #expect(try await bed.psql("db1", "SELECT state FROM pg_stat_replication WHERE application_name = 'db2'") == "streaming")
        #expect(try await bed.psql("db1", "SELECT slot_name, active FROM pg_replication_slots") == "db2|t")
        #expect(try await bed.psql("db2", "SELECT pg_is_in_recovery()") == "t")
    }

    @Test func `a network that is cut during the copy, and a disk that is full, end it with an error, and it is resumed`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2)
            let edits: KeyValuePairs = ["  # max_rate: 100MB": "  max_rate: 4MB", "  # stall_limit: 5min": "  stall_limit: 12s"]
            let run = WatchedRun(someone: try Operator(of: bed, with: "hot-standby", playbook: edits))
            let program = try await run.starts(run.begin, until: KillPoint(step: "base-backup", moment: .soon))
            try await bed.block("db1", "db2")
            let cut = try await program.wait(within: .seconds(200))
            #expect(cut.status == 1 && cut.standardError.contains("db2"), "\(cut.standardOutput)\(cut.standardError)")
            try await bed.unblock("db1", "db2")

            let again = try await run.starts(["resume", try run.name], until: KillPoint(step: "base-backup", moment: .soon))
            try await bed.host("db2").fillDisk()
            let full = try await again.wait(within: .seconds(200))
            #expect(full.status == 1 && full.standardError.contains("No space left on device"), "\(full.standardOutput)\(full.standardError)")
            try await bed.host("db2").freeDisk()
            try await run.succeeds(["resume", try run.name])
            try await expectStandby(bed)
        }
    }
}
