import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Spock

/// Make the new node a Spock node of its own, with the source's replication sets.
struct AddNode: LeavesNothing {
    static let name = "add-node"
    let mesh: SpockMesh
    let node: any MeshJoiner
    var title: String { "Make \(node.name) a Spock node, with the replication sets of \(mesh.source)" }
    var leavesNothing: String { "it is all in the data directory of \(node.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await node.state(memory)
        if state == .subscribed { return .done("\(node.name) is a member of the mesh") }
        if state == .node, let captured = try memory.recall(RemoveIdentity.sets) {
            let sets = try await mesh.spock(node.name).captureReplicationSets(deadline: .after(.seconds(20)))
            if Set(sets) == Set(captured) { return .done("\(node.name) is a node with \(captured.count) replication sets") }
        }
        return .needed([
            Change("\(node.name): CREATE EXTENSION spock, node_create '\(node.name)' (\(try mesh.newNodeDSN))"),
            Change("\(node.name): the replication sets with their parameters, tables, column lists, row filters and sequences"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(300)), captured = try run.recall(RemoveIdentity.sets)
        let clone = try await mesh.spock(node.name)
        let version: SpockVersion
        if await node.hasJustReached(.cleaned), let captured = try run.memory.recall(RemoveIdentity.version) {
            version = captured
        } else {
            version = try await clear(clone, deadline: deadline)
        }
        let id = try await clone.createNode(try mesh.name(node.name), dsn: try mesh.newNodeDSN, withExtension: version, deadline: deadline)
        try await clone.recreateReplicationSets(captured, deadline: deadline)
        await node.reached(.node)
        return "node \(node.name) with id \(id), Spock \(version), \(captured.count) replication sets"
    }
    /// Takes away what an earlier attempt has left half done; it has nothing of anybody else.
    /// - Returns: the mesh's version of Spock.
    private func clear(_ clone: SpockSession, deadline: Deadline) async throws -> SpockVersion {
        async let found = clone.extensionVersion(deadline: deadline)
        guard let version = try await mesh.spock(mesh.source).extensionVersion(deadline: deadline) else {
            throw Problem("\(mesh.source) has no extension spock any more")
        }
        guard try await found != nil else { return version }
        let subscriptions = try await clone.subscriptions(deadline: deadline)
        guard subscriptions.isEmpty else {
            throw Problem(
                "\(node.name) subscribes to \(list(subscriptions.map(\.provider.rawValue))) already, and its replication sets are not those of \(mesh.source)",
                hint: "make them alike by hand, then resume; or undo this run")
        }
        try await clone.dropExtension(deadline: deadline)
        return version
    }
}
