import EventLoop
import ProcedureKit
import Report
import Run
import Spock

/// Give the new node the replication sets of the source.
struct AddSets: LeavesNothing {
    static let name = "replication-sets"
    let node: LogicalNode
    private var mesh: SpockMesh { node.mesh }
    var title: String { "Give \(node.name) the replication sets of \(mesh.source)" }
    var leavesNothing: String { "they go with the node" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await node.state(memory)
        if state == .subscribed { return .done("\(node.name) is a member of the mesh") }
        if state >= .cleaned {
            async let wanted = captured(mesh.source), found = captured(node.name)
            let sets = try await wanted
            if Set(sets) == Set(try await found) { return .done("\(node.name) has the \(sets.count) replication sets of \(mesh.source)") }
        }
        return .needed([Change("\(node.name): the replication sets with their parameters, tables, column lists, row filters and sequences")])
    }

    private func captured(_ name: String) async throws -> [ReplicationSet] { try await mesh.spock(name).captureReplicationSets(deadline: .after(.seconds(60))) }

    func perform(_ run: StepRun) async throws -> String {
        let sets = try await captured(mesh.source)
        try await mesh.spock(node.name).recreateReplicationSets(sets, deadline: .after(.seconds(300)))
        await node.reached(.node)
        return "\(sets.count) replication sets with \(sets.map(\.tables.count).reduce(0, +)) tables"
    }
}
