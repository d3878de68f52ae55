import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Keep every node visible as it is at the drained point, for the proof.
struct HoldDrainedPoint: Step {
    let seed: Seed
    static let name = "drained-point"
    var title: String { "Hold the drained point on \(list(seed.members + [seed.newNode])) for the proof" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let isOpen = await seed.window != nil
        if try await seed.cloneState(memory) == .subscribed, !isOpen { return .done("the proof makes a drained point of its own") }
        return .needed([Change("\(list(seed.members + [seed.newNode])): BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY, kept open until the proof is done")])
    }

    func perform(_ run: StepRun) async throws -> String {
        try await seed.takeSnapshots(deadline: try await seed.currentWindow().deadline)
        await seed.book("snapshots")
        // A lease that ran out meanwhile lets writers in: then these snapshots are of different moments.
        let open = try await seed.stillClosed(run.memory)
        guard open.count == seed.members.count else {
            await seed.dropSnapshots()
            return "a lease ran out and nodes took writes again: the proof makes a drained point of its own"
        }
        return "what is compared later is what every node holds now"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

extension Seed {
    func takeSnapshots(deadline: Deadline) async throws {
        await dropSnapshots()
        keep(
            try await onEach(members + [newNode]) { node in
                let session = try await self.access.separateSpock(node, deadline: deadline)
                try await session.server.holdSnapshot(deadline: deadline)
                return session
            })
    }

    /// Makes a drained point after the window of the handover is gone: all nodes are read-only for as long as it takes to
    /// drain them and to take a snapshot, and are opened again in any case.
    func makeDrainedPoint(_ run: StepRun) async throws -> String {
        let nodes = members + [newNode]
        var before: [String: ReadOnlyState] = try run.memory.recall(ReadOnlyBefore.fact) ?? [:]
        for node in nodes where before[node] == nil {
            before[node] = try await spock(node).readOnlyState(deadline: .after(.seconds(10)))
        }
        try run.remember(ReadOnlyBefore.fact, before)
        let deadline = Deadline.after(playbook.handover.windowLimit), began = ContinuousClock.Instant.now
        do {
            try await startLeases(nodes, restoring: before)
            try await watched(by: { try await self.watchWindow() }) { try await self.reachDrainedPoint(nodes, deadline: deadline) }
        } catch {
            let problems = await openDetached(run.memory)
            guard problems.isEmpty else { throw NotOpened(problems, after: error) }
            throw error
        }
        let problems = await openDetached(run.memory)
        guard problems.isEmpty else { throw NotOpened(problems) }
        return began.duration(to: .now).inSeconds
    }
    /// Opens every node, cancelled or not.
    func openDetached(_ memory: Memory) async -> [Problem] { await Task.detached { await self.openAll(memory) }.value }

    private func reachDrainedPoint(_ nodes: [String], deadline: Deadline) async throws {
        let flips = try await close(nodes, deadline: deadline)
        _ = try await endClientTransactions(on: nodes, begunBefore: flips, deadline: deadline)
        _ = try await drainMesh(nodes, deadline: deadline)
        try await takeSnapshots(deadline: deadline)
    }
}
