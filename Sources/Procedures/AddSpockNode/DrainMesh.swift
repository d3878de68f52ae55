import ProcedureKit
import Report
import Run

/// Wait until everything written anywhere is applied everywhere.
struct DrainMesh: LeavesNothing {
    static let name = "drain"
    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    var title: String { "Drain \(list(mesh.members)) in every direction" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted { return .done("\(node.name) has left its source") }
        return .needed([Change("\(list(mesh.members)): spock.sync_event(), then wait for pg_replication_origin_status on every other node")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let drained = try await mesh.drain(mesh.members, deadline: try await window.deadline())
        await window.book("drain")
        return "\(drained.count) directions are drained"
    }
}
