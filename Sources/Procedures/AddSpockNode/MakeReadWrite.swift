import ProcedureKit
import Report
import Run

/// Lift read-only, the peers first. The window closes.
struct MakeReadWrite: LeavesNothing {
    static let name = "read-write"
    /// How long the window lasted, and where the time went.
    static let windowLasted = Fact<String>("window")

    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    var title: String { "Remove read-only mode from \(list(mesh.peers)), then \(mesh.source)" }
    var leavesNothing: String { "the nodes are open" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted, await !window.isOpen, try await window.stillClosed(memory).isEmpty { return .done("no window is open") }
        return .needed([Change("\(list(mesh.peers)), then \(mesh.source): spock.readonly as it was before, reload, read back")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let problems = await window.open(run.memory, last: mesh.source)
        await window.end()
        if let first = problems.first { throw problems.count == 1 ? first : Blocked(problems: problems) as any Error }
        guard let summary = await window.summary else { return "they take writes; the window was an earlier process's" }
        try run.remember(Self.windowLasted, summary)
        return "the read-only window lasted \(summary)"
    }
}
