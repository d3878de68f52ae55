import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Remove the slots on the node that it had as a primary.
struct RemoveStaleSlots: LeavesNothing {
    static let name = "slots"
    let node: RejoiningNode
    var title: String { "Remove the slots that \(node.name) had as a primary, and that nobody reads" }
    var leavesNothing: String { "they were of no use" }

    /// Those that bear the names of the standbys' slots.
    private func stale(_ view: GroupView) -> [SlotName] {
        let names = Set(view.nodes.flatMap { [$0.slot, SlotName(ofStandby: $0.name)].compactMap(\.self) })
        return view[node.name]?.look?.slots.filter { $0.plugin == nil && !$0.isActive && names.contains($0.name) }.map(\.name) ?? []
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let view = try await node.group.look()
        guard view[node.name]?.isStandby == true else { return .needed([Change("\(node.name): drop physical slots of the group's standbys that nobody reads")]) }
        let stale = stale(view)
        return stale.isEmpty ? .done("there are none") : .needed(stale.map { Change("\(node.name): drop the slot \($0)") })
    }

    func perform(_ run: StepRun) async throws -> String {
        let stale = stale(try await node.group.look()), server = try await node.access.server(node.name)
        for slot in stale { try await server.dropSlot(slot, deadline: .after(.seconds(60))) }
        return stale.isEmpty ? "there were none" : "dropped \(list(stale.map(\.rawValue)))"
    }
}
