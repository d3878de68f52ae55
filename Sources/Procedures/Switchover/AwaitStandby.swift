import EventLoop
import ProcedureKit
import Run
import Server

/// Wait until the standby has everything that was written.
struct AwaitStandby: LeavesNothing {
    static let name = "receive"
    let group: SwitchedGroup
    var title: String { "Wait until \(group.new) has everything that was written on the primary" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        if SwitchedGroup.goesForward(memory) { return .done("\(roles.new) was told to take its place") }
        return .needed([Change("\(roles.new): replay what \(roles.old) has written")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), access = group.access, deadline = try await group.window.deadline()
        let target = try await access.server(roles.old).insertLSN(deadline: deadline)
        try await access.server(roles.new).waitReplayed(to: target, of: roles.old, deadline: deadline)
        await group.window.book("receive")
        return "replayed up to \(target)"
    }
}
