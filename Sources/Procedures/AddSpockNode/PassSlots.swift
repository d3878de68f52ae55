import EventLoop
import ProcedureKit
import Report
import Run

/// Wait, with everybody writing, until the new node has everything that is in none of its slots.
struct PassSlots: LeavesNothing {
    static let name = "pass-slots"
    let mesh: SpockMesh
    let node: JoiningNode
    let sessions: HandoverSessions
    let patience: Patience
    var title: String { "Wait until \(mesh.source), and \(node.name) with it, have everything from before the slots" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted { return .done("\(node.name) has left its source") }
        return .needed([
            Change("\(list(mesh.peers)): spock.sync_event() behind the slots, then wait for pg_replication_origin_progress on \(mesh.source)"),
            Change("\(node.name): wait until it has replayed what \(mesh.source) has written by then"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let target = try await mesh.drainIntoSource(after: await sessions.takeEvents(), with: patience) { run.note($0) }
        try await node.standby.waitReplayed(to: target, deadline: .after(patience.limit))
        return "\(mesh.source) has applied what its peers wrote before their slots; \(node.name) has replayed \(target)"
    }
}
