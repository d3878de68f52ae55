import EventLoop
import Instance
import ProcedureKit
import Run

/// Promote the new node.
struct PromoteNewNode: Step {
    static let name = "promote"
    let node: JoiningNode
    let window: ClosedWindow
    var title: String { "Promote \(node.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await node.state(memory)
        var isDone = state >= .cleaned
        if state == .promoted { isDone = try await node.copy.isRunning() }
        if isDone { return .done("\(node.name) is \(state)") }
        return .needed([Change("\(node.name): pg_ctl promote, then see pg_is_in_recovery() = f and the new timeline's history file")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = await window.deadline(otherwise: .seconds(120))
        let promotion: Promotion
        if try await node.state(run.memory) >= .promoted {
            // Promoted by an earlier attempt, and stopped since.
            try await node.copy.instance().start(deadline: deadline)
            promotion = try await node.standby.promotion(deadline: deadline)
        } else {
            promotion = try await node.standby.promote(deadline: deadline)
        }
        await node.reached(.promoted)
        await window.book("promote")
        return "on timeline \(promotion.timeline), which left timeline \(promotion.previousTimeline) at \(promotion.switchpoint)"
    }

    // Before its slots are dropped, which it reads.
    func undo(_ run: StepRun) async throws -> UndoOutcome { try await node.copy.stop(run.memory) }
}
