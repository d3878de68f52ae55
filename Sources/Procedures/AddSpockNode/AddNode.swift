import EventLoop
import PostgresClient
import Report
import Run
import Spock

/// Step 13: make the new node a Spock node of its own, with the source's replication sets.
struct AddNode: Step {
    let seed: Seed
    static let name = "add-node"
    var title: String { "Make \(seed.newNode) a Spock node, with the replication sets of \(seed.source)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        if state == .subscribed { return .done("\(seed.newNode) is a member of the mesh") }
        if state == .node, let captured: [ReplicationSet] = try memory.recall(CapturedSets.fact) {
            let sets = try await seed.spock(seed.newNode).captureReplicationSets(deadline: .after(.seconds(20)))
            if Set(sets) == Set(captured) { return .done("\(seed.newNode) is a node with \(sets.count) replication sets") }
        }
        return .needed([
            Change("\(seed.newNode): CREATE EXTENSION spock, node_create '\(seed.newNode)' (\(try seed.newNodeDSN))"),
            Change("\(seed.newNode): the replication sets with their parameters, tables, column lists, row filters and sequences"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = await seed.stepDeadline(.seconds(60))
        let captured: [ReplicationSet] = try run.recall(CapturedSets.fact)
        let source = try await seed.spock(seed.source)
        guard let version = try await source.extensionVersion(deadline: deadline) else {
            throw Problem("\(seed.source) has no extension spock any more")
        }
        let clone = try await seed.spock(seed.newNode)
        if try await clone.extensionVersion(deadline: deadline) != nil {
            // Left half done by an earlier attempt; it has nothing of anybody else.
            let subscriptions = try await clone.subscriptions(deadline: deadline)
            guard subscriptions.isEmpty else {
                throw Problem(
                    "\(seed.newNode) subscribes to \(list(subscriptions.map(\.provider.rawValue))) already, and its replication sets are not those of \(seed.source)",
                    hint: "make them alike by hand, then resume; or undo this run")
            }
            try await clone.dropExtension(deadline: deadline)
        }
        try await clone.createExtension(version, deadline: deadline)
        let node = try await clone.createNode(try seed.name(seed.newNode), dsn: try seed.newNodeDSN, deadline: deadline)
        try await clone.recreateReplicationSets(captured, deadline: deadline)
        let sets = try await clone.captureReplicationSets(deadline: deadline)
        guard Set(sets) == Set(captured) else {
            throw Problem("the replication sets of \(seed.newNode) are not those of \(seed.source) after they were made", hint: "report this; the window is opened again")
        }
        await seed.reached(.node)
        await seed.book("re-key")
        return "node \(seed.newNode) with id \(node), Spock \(version), \(sets.count) replication sets"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}
