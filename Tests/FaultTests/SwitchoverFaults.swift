import Bed
import Foundation
import Glibc
import Playbook
import Procedures
import Run
import Testing

/// A switchover that is killed in each of its steps, and one after the other.
@Suite("SwitchoverFaults", .serialized, .counted)
struct SwitchoverFaults {
    /// Every step, or a few of them.
    static func steps() throws -> [String] { isWhole ? try KillPoint.steps(of: "switchover").asked { $0 } : ["stop"] }

    @Test("killed as a step begins, inside of it and behind it, a switchover is resumed; never two primaries", arguments: try SwitchoverFaults.steps())
    func kills(_ step: String) async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db1")
            let nodes = ["db1", "db2", "db3"], writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo(of: nodes) }
            let someone = try Operator(of: bed, with: "switchover", playbook: ["# lease: 30s": "lease: 10s"]), text = try readFile(someone.playbook)
            let run = WatchedRun(someone: someone)
            var (old, new) = ("db1", "db2")
            for moment in [KillPoint.Moment.begun, .soon, .done] {
                try writeFile(text.replacing("to: db2", with: "to: \(new)"), to: someone.playbook)
                try await run.killed(at: KillPoint(step: step, moment: moment), run.begin)
                #expect(try await bed.writable(nodes).count < 2, "two primaries after a kill in \(step)")
                try await run.succeeds(["resume", try run.name])
                #expect(try await bed.writable(nodes) == [new], "after a kill in \(step)")
                swap(&old, &new)
            }
            let seen = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > seen + 5 }
            let verification = try await writers.stop().verify(on: [old], of: bed, drained: false)
            #expect(verification.isClean, "\(verification)")
        }
    }

    @Test("there and back ten times", .enabled(if: isWhole, "it is a part of make test-faults")) func often() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 3)
            try await bed.standby("db2", of: "db1")
            try await bed.standby("db3", of: "db1")
            let nodes = ["db1", "db2", "db3"], writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo(of: nodes) }
            let someone = try Operator(of: bed, with: "switchover"), text = try readFile(someone.playbook), run = WatchedRun(someone: someone)
            for new in (0..<10).flatMap({ _ in ["db2", "db1"] }) {
                try writeFile(text.replacing("to: db2", with: "to: \(new)"), to: someone.playbook)
                try await run.succeeds(run.begin)
                #expect(try await bed.writable(nodes) == [new])
            }
            let verification = try await writers.stop().verify(on: ["db1"], of: bed, drained: false)
            #expect(verification.isClean, "\(verification)")
        }
    }
}
