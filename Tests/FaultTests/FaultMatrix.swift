import Bed
import Foundation
import Testing

/// Whether the whole matrix runs (`make test-faults`), or a few cases that stand for it.
private let isWhole = ProcessInfo.processInfo.environment["PGGRAFT_FAULTS"] == "all"

/// A line of the table of results.
private func tell(_ line: String) { FileHandle.standardError.write(Data("FAULTS  \(line)\n".utf8)) }

/// Runs one case with writers on all nodes, and prints its line of the table.
private func withLoad(_ title: String, _ body: (Bed, Writers, WatchedRun) async throws -> Void) async throws {
    let began = ContinuousClock.now
    func row(_ result: String) -> String {
        let seconds = "\(began.duration(to: .now).components.seconds) s"
        return result.padding(toLength: 8, withPad: " ", startingAt: 0) + String(repeating: " ", count: max(0, 6 - seconds.count)) + seconds + "  " + title
    }
    do {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed)
            try await body(bed, try await Writers.start(of: bed, perNode: 1, rate: 15), WatchedRun(someone: someone))
        }
        tell(row("ended"))
    } catch {
        tell(row("FAILED"))
        throw error
    }
}

@Suite("FaultMatrix", .serialized)
struct FaultMatrix {
    private func run(_ run: WatchedRun) -> [String] { ["run", "--yes", run.someone.playbook] }

    @Test("undisturbed, it ends with four equal nodes", .enabled(if: isWhole))
    func undisturbed() async throws {
        try await withLoad("undisturbed") { bed, writers, run in
            try await run.succeeds(self.run(run))
            await Durations.shared.learn(from: try run.entries)
            try await expectMesh(of: bed, writers)
        }
    }

    /// One run that is killed four times stands for the matrix.
    static func resumes() throws -> [[KillPoint]] {
        guard !isWhole else { return try KillPoint.all().map { [$0] } }
        return [[
            KillPoint(step: "restore", moment: .inside(3)), KillPoint(step: "drain", moment: .done),
            KillPoint(step: "promote", moment: .done), KillPoint(step: "subscriptions", moment: .inside(0.5)),
        ]]
    }

    @Test("killed, it is resumed to the end that it would have had", arguments: try FaultMatrix.resumes())
    func killAndResume(_ points: [KillPoint]) async throws {
        try await withLoad("kill at \(points.map(\.testDescription).joined(separator: "; at ")): resume") { bed, writers, run in
            for (index, point) in points.enumerated() {
                try await run.killed(at: point, index == 0 ? self.run(run) : ["resume", try run.name])
            }
            try await run.succeeds(["resume", try run.name])
            try await expectMesh(of: bed, writers)
        }
    }

    static func undos() throws -> [KillPoint] {
        isWhole ? try KillPoint.all() : [KillPoint(step: "restore", moment: .inside(2)), KillPoint(step: "verify", moment: .inside(0.5))]
    }

    @Test("killed, it is undone without a trace", arguments: try FaultMatrix.undos())
    func killAndUndo(_ point: KillPoint) async throws {
        try await withLoad("kill at \(point.testDescription): undo") { bed, writers, run in
            let before = try await Snapshot(of: bed)
            try await run.killed(at: point, self.run(run))
            try await run.succeeds(["undo", "--purge-data", try run.name])
            try await expectNothingRunning(bed)
            let differences = try await Snapshot(of: bed).differences(from: before)
            #expect(differences.isEmpty, "\(differences)")
            let verification = try await writers.stop().verify(of: bed)
            #expect(verification.isClean, "\(verification)")
        }
    }

    static func faults() -> [FaultCase] {
        isWhole ? FaultCase.all() : [FaultCase(fault: .peerCut, step: "drain"), FaultCase(fault: .newNodeOff, step: "subscriptions")]
    }

    @Test("a fault ends it with an error and open nodes, and it is resumed when the fault is mended", arguments: faults())
    func faultAndResume(_ each: FaultCase) async throws {
        try await withLoad("\(each.testDescription): resume") { bed, writers, run in
            let program = try run.someone.start(self.run(run))
            guard try await run.wait(for: KillPoint(step: each.step, moment: .begun), after: 0, of: program) else {
                throw BedError.unexpected("pggraft ended before \(each.step): \(try await program.wait(within: .seconds(10)).standardOutput)")
            }
            try await each.fault.strike(bed)
            let struck = ContinuousClock.now
            try await expectWritable(bed, but: each.fault.host)
            tell("        every node that is well takes writes \(Int(struck.duration(to: .now).components.seconds)) s after: \(each.testDescription)")
            let output = try await program.wait(within: .seconds(400))
            let text = output.standardOutput + output.standardError
            if output.status != 0 {
                #expect(output.status == 1, "\(text)")
                #expect(text.contains("failed"), "\(text)")
                if let host = each.fault.host { #expect(text.contains(host), "\(text)") }
            }
            try await expectWritable(bed, but: each.fault.host)
            try await each.fault.mend(bed)
            try await expectWritable(bed, but: nil)
            try await awaitMesh(bed)
            if output.status != 0 { try await run.succeeds(["resume", try run.name]) }
            try await expectMesh(of: bed, writers)
        }
    }

    /// With a host gone for good, everything else is undone, and the rest when it is back.
    @Test("with a host gone, it is undone in part, and wholly later", arguments: isWhole ? [Fault.newNodeOff, .sourceOff, .newNodeCut, .newNodeFrozen, .peerCut] : [])
    func faultAndUndo(_ fault: Fault) async throws {
        try await withLoad("\(fault.testDescription) in subscriptions: undo, and undo again") { bed, writers, run in
            let before = try await Snapshot(of: bed)
            try await run.killed(at: KillPoint(step: "subscriptions", moment: .done), self.run(run))
            try await fault.strike(bed)
            let output = try await run.someone.start(["undo", "--purge-data", try run.name]).wait(within: .seconds(600))
            #expect(output.status == 1, "\(output.standardOutput)\(output.standardError)")
            #expect(output.standardOutput.contains(fault.host ?? ""), "\(output.standardOutput)")
            for node in Bed.meshNodes where node != fault.host {
                let slots = try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%n4'")
                #expect(slots == "0", "slots for n4 on \(node)\n\(output.standardOutput)")
            }
            try await fault.mend(bed)
            try await awaitMesh(bed)
            try await run.succeeds(["undo", "--purge-data", try run.name])
            try await expectNothingRunning(bed)
            let differences = try await Snapshot(of: bed).differences(from: before)
            #expect(differences.isEmpty, "\(differences)")
            let verification = try await writers.stop().verify(of: bed)
            #expect(verification.isClean, "\(verification)")
        }
    }
}
