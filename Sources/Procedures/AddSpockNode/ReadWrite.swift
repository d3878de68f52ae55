import EventLoop
import Report
import Run
import Spock

/// Step 14: lift read-only, the peers first.
struct MakeReadWrite: Step {
    static let name = "read-write"
    /// How long the window lasted, and where the time went.
    static let windowLasted = Fact<String>("window")

    let seed: Seed
    var title: String { "Remove read-only mode from \(list(seed.peers)), then \(seed.source)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) == .subscribed, await seed.window == nil, try await seed.stillClosed(memory).isEmpty {
            return .done("no window is open")
        }
        return .needed([Change("\(list(seed.peers)), then \(seed.source): spock.readonly as it was before, reload, read back")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let problems = await seed.openAll(run.memory, inOrder: true)
        await seed.book("read-write")
        await seed.closeWindow()
        if let first = problems.first { throw problems.count == 1 ? first : Blocked(problems: problems) as any Error }
        let summary = await seed.windowSummary ?? ""
        try run.remember(Self.windowLasted, summary)
        return "the read-only window lasted \(summary)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

extension Seed {
    /// The existing nodes that are not as they were before the run closed them.
    func stillClosed(_ memory: Memory) async throws -> [String] {
        let before: [String: ReadOnlyState] = try memory.recall(ReadOnlyBefore.fact) ?? [:]
        var closed: [String] = []
        for (node, state) in before {
            if try await spock(node).readOnlyState(deadline: .after(.seconds(10))).inForce != state.inForce { closed.append(node) }
        }
        return closed.sorted()
    }
}
