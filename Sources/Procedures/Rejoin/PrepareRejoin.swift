import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Allow the node to stream from the primary, and make its slot there.
struct PrepareRejoin: Step {
    static let name = "prepare"
    let node: RejoiningNode
    var title: String { "Allow \(node.name) to connect to the primary for replication, and make its slot there" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let follower = try await node.follower(memory), view = try await node.group.look()
        if view.follows(follower), try memory.recall(RejoiningNode.follower) == nil { return .done("\(node.name) streams from \(follower.upstream)") }
        let changes = try await node.admission(follower, view).wants().changes(on: follower.upstream)
        if changes.isEmpty, try memory.recall(RejoiningNode.follower) != nil { return .done("it may connect, and its slot is there") }
        return .needed(changes.isEmpty ? [Change("\(follower.upstream): nothing is missing")] : changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let follower = try await node.follower(run.memory)
        try run.remember(RejoiningNode.follower, follower)
        try await node.admission(follower, try await node.group.look()).perform(run)
        return "\(node.name) may stream from \(follower.upstream)\(follower.slot.map { " by the slot \($0)" } ?? "")"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let follower = try run.memory.recall(RejoiningNode.follower) else { return .undone([]) }
        return try await FollowerAdmission.undo(run, on: follower.upstream, node.access)
    }
}
