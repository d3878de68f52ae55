import EventLoop
import ProcedureKit
import Run
import Server

/// Write a checkpoint, so that the stop of the primary has little left to write.
struct CheckpointPrimary: LeavesNothing {
    static let name = "checkpoint"
    let group: SwitchedGroup
    var title: String { "Write a checkpoint on the primary" }
    var leavesNothing: String { "a checkpoint is written at any time" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        if SwitchedGroup.goesForward(memory) { return .done("\(roles.new) was told to take its place") }
        return .needed([Change("\(roles.old), and \(roles.new): CHECKPOINT")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), access = group.access
        // As long as the storage takes: nobody waits for it.
        _ = try await onEach([roles.old, roles.new]) { try await access.server($0).checkpoint(deadline: .after(.seconds(3600))) }
        return "written"
    }
}
