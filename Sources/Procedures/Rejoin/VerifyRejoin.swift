import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Verification of replication: the node streams, on the primary's timeline, and replays what that writes.
struct VerifyRejoin: LeavesNothing {
    static let name = "verify"
    static let words = Fact<[String]>("who is what")
    let node: RejoiningNode
    var title: String { "Verify replication: \(node.name) streams on the timeline of the primary" }
    var leavesNothing: String { "it only looked" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try memory.recall(Self.words) != nil { return .done("seen") }
        let follower = try await node.follower(memory)
        if try memory.recall(RejoiningNode.follower) == nil, try await node.group.look().follows(follower) { return .done("\(node.name) streams from \(follower.upstream)") }
        return .needed([Change("every node: role, timeline, positions")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let follower = try run.recall(RejoiningNode.follower), name = node.name, deadline = Deadline.after(.seconds(120))
        // Before 9.6 a standby does not say on which timeline it is; what the primary has written since only its own one has.
        let written = try await node.access.server(follower.upstream).currentLSN(deadline: .after(.seconds(20)))
        _ = try await wait(for: "\(name) to stream on the timeline of \(follower.upstream)", until: deadline, every: .milliseconds(200)) {
            () -> Look<GroupView> in
            let view = try await node.group.look(), primary = try view.primary()
            guard let standby = view[name], let look = standby.look, view.follows(follower) else { return .notYet(view[name].map { view.description(of: $0) } ?? "") }
            let isThere = look.timeline.map { $0 == primary.look?.timeline } ?? ((look.recovery.replayedLSN ?? .zero) >= written)
            return isThere ? .found(view) : .notYet(view.description(of: standby))
        }
        try await node.access.awaitReplay(by: [name], of: follower.upstream, deadline: deadline, run)
        let view = try await node.group.look(), words = view.nodes.map { "\($0.name): \(view.description(of: $0))" }
        try run.remember(Self.words, words)
        return words.joined(separator: "; ")
    }
}
