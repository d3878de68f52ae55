import EventLoop
import Foundation
import ProcedureKit
import Report
import Run
import Spock

/// List all nodes from every node, and prove that nothing was lost.
struct Verify: Step {
    static let name = "verify"
    /// What the proof has said.
    static let said = Fact<String>("proof")
    /// How many tables were changed while it was made, and could not be compared.
    static let notCompared = Fact<Int>("tables not compared")

    let proof: Proof
    let window: ClosedWindow
    let point: DrainedPoint
    let grace: Duration
    private var mesh: SpockMesh { proof.mesh }
    var title: String { "List all nodes from \(list(mesh.nodes)), and prove that nothing was lost" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let said = try memory.recall(Self.said) { return .done(said) }
        return .needed([
            Change("every node: the node table, all subscriptions replicating with their slots read, spock.exception_log not grown"),
            Change("every node: a canary row from every other one (a table pggraft.canary, removed afterwards)"),
            Change("every node: " + (proof.compares ? "row counts and hashes" : "row counts") + " of every replicated table at one drained point"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        // Killed while it made a drained point of its own, an earlier attempt has left them closed.
        if await !window.isOpen, try await !window.stillClosed(run.memory).isEmpty {
            let problems = await window.openDetached(run.memory)
            guard problems.isEmpty else { throw NotOpened(problems) }
        }
        let deadline = Deadline.after(.seconds(60)), isHeld = await point.isHeld()
        // Side by side with what the nodes say of each other; what stands first is told first.
        async let compared = isHeld ? compare(run) : nil
        async let exceptions: Void = proof.checkExceptions(run.memory)
        let table = try await proof.nodeTable(deadline: deadline) { run.note($0) }
        try await exceptions
        for node in mesh.nodes { try run.creating(Created("table", on: node, "pggraft.canary")) }
        for silence in try await proof.canary(token: UUID().uuidString, deadline: deadline) { run.note(silence) }
        if !isHeld {
            run.note("the drained point of the handover is gone: all nodes are read-only for a moment to make another")
            run.note("they were read-only for \(try await makeDrainedPoint(run).inSeconds)")
        }
        let early = try await compared, said = if let early { early } else { try await compare(run) }
        await point.drop()
        // Once more: a change that was discarded after the canary counts too.
        try await proof.checkExceptions(run.memory)
        let carried = try run.memory.recall(CopiedDatabases.carried) ?? []
        let text = ([table, said.text] + carried.words(on: mesh.newNode, copyOf: mesh.source, mesh: mesh.database)).joined(separator: "\n")
        try run.remember(Self.notCompared, said.notCompared.count)
        try run.remember(Self.said, text)
        return text
    }

    private func compare(_ run: StepRun) async throws -> Comparison {
        try await proof.compare(await point.snapshots, tell: { run.note($0) }) { run.progress($0, fraction: $1) }
    }

    /// Makes a drained point after the window of the handover is gone: all nodes are read-only for as long as it takes to
    /// drain them and to take a snapshot, and are opened again in any case.
    /// - Returns: for how long they were.
    private func makeDrainedPoint(_ run: StepRun) async throws -> Duration {
        try await window.remember(mesh.nodes, run)
        let memory = run.memory
        return try await window.closed(mesh.nodes, memory) { [mesh, point, window, grace] moments, deadline in
            _ = try await mesh.endClientTransactions(on: mesh.nodes, begunBefore: moments, grace: grace, deadline: deadline)
            _ = try await mesh.drain(mesh.nodes, deadline: deadline)
            await point.drop()
            guard try await point.hold(closed: mesh.nodes, in: window, memory, deadline: deadline) else {
                throw Problem("nodes that were closed for the proof took writes again before it had seen them all", hint: "resume the run: it makes another drained point")
            }
        }
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        // That of the new node goes with its data.
        let canaries = try run.created.filter { $0.place != mesh.newNode }
        // Killed while it made a drained point of its own, the run has left the nodes closed, and nothing can be dropped there.
        let problems = await window.open(run.memory)
        let outcome = await takeBack(canaries) { [mesh] thing in
            let session = try await mesh.spock(thing.place), deadline = Deadline.after(.seconds(20))
            guard try await session.hasCanary(deadline: deadline) else { return .absent }
            try await session.dropCanary(deadline: deadline)
            return .gone("\(thing) is dropped")
        }
        return problems.isEmpty ? outcome : UndoOutcome.left(problems).and(outcome)
    }
}
