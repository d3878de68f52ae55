import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Write a checkpoint on the primary: until then its control file has the timeline that it was promoted from.
struct CheckpointNewPrimary: LeavesNothing {
    static let name = "checkpoint"
    let node: RejoiningNode
    var title: String { "Write a checkpoint on the primary" }
    var leavesNothing: String { "a checkpoint is written at any time" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let follower = try await node.follower(memory)
        if try await node.group.look().follows(follower) { return .done("\(node.name) streams from \(follower.upstream)") }
        return .needed([Change("\(follower.upstream): CHECKPOINT, without which pg_rewind finds the old timeline in its control file")])
    }

    func perform(_ run: StepRun) async throws -> String {
        try await node.access.server(run.recall(RejoiningNode.follower).upstream).checkpoint(deadline: .after(.seconds(3600)))
        return "written"
    }
}
