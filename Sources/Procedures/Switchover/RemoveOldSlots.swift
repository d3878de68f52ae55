import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// Remove the slots on the old primary that nobody reads any more: they would keep WAL for ever.
struct RemoveOldSlots: LeavesNothing {
    static let name = "slots"
    let group: SwitchedGroup
    var title: String { "Remove the slots on the old primary that nobody reads any more" }
    var leavesNothing: String { group.keeps }

    private func left(_ roles: Roles) async throws -> [SlotName] {
        let there = try await group.access.server(roles.old).slots(deadline: .after(.seconds(20)))
        return roles.slots.filter { slot in there.contains { $0.name == slot && !$0.isActive } }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        guard try await group.isPromoted() else { return .needed(roles.slots.map { Change("\(roles.old): drop the slot \($0)") }) }
        let left = try await left(roles)
        return left.isEmpty ? .done("none is left") : .needed(left.map { Change("\(roles.old): drop the slot \($0)") })
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), server = try await group.access.server(roles.old), left = try await left(roles)
        for slot in left { try await server.dropSlot(slot, deadline: .after(.seconds(60))) }
        return left.isEmpty ? "there were none" : "dropped \(list(left.map(\.rawValue)))"
    }
}
