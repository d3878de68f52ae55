import EventLoop
import ProcedureKit
import Report
import Run
import Server
import Spock

/// On the node itself: drop its subscriptions, its replication sets and the node.
struct DropLeavingNode: Step {
    static let name = "drop-node"
    let leaving: LeavingNode
    let window: ClosedWindow
    private var node: String { leaving.name }
    var title: String { "Drop the subscriptions, the replication sets and the node \(node) on \(node) itself" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let look = try await leaving.look(memory)
        switch look.leaving {
        case .silent: return .done("\(node) gives no answer")
        case .stranger(let what): return .done("\(node): \(what): nothing there is touched")
        case .node(let state):
            if let problem = leaving.contested(look) { return .blocked([problem]) }
            return .needed(
                look.own.map { Change("\(node): sub_drop \($0.name), with its origin and its slot \($0.slot) on \($0.provider)") }
                    + [
                        Change("\(node): node_drop \(node), with its \(state.replicationSets.count) replication sets; the extension and all data stay"),
                        Change("\(node): spock.readonly, which is the whole instance's, as it was; database \(leaving.database) goes on taking no connections, but superusers'"),
                    ])
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let look = try await leaving.look(run.memory), session = try await leaving.spock(node), name = try leaving.name(node)
        guard let state = look.leaving.node else { throw Problem("\(node) gives no answer any more", hint: "resume when it does, or, if it is gone for good, with --node-is-gone") }
        if let problem = leaving.contested(look) { throw problem }
        try leaving.remember(look, run)
        for subscription in look.own { try await session.dropSubscription(subscription.name, deadline: .after(.seconds(180))) }
        // A sender that had not ended yet keeps its slot from being dropped with the subscription: Spock only warns.
        for slot in state.slots where look.provided.contains(slot.name) { try await session.server.dropSlotOfStoppedReader(slot.name) }
        try await session.dropNode(name, deadline: .after(.seconds(60)))
        // Nobody reads it any more, and it reads nobody: its database alone stays closed. What other clusters replicate into this instance would be refused
        // for as long as the others are compared. What cannot be opened now is opened in the end.
        for problem in await window.open(run.memory) { run.note(problem.fact) }
        return "\(look.own.count) subscriptions and the node are dropped; the extension and the data are as they were"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try await leaving.state().node == nil else { return .undone([]) }
        return .left([leaving.noWayBack(from: leaving.members)])
    }
}

extension LeavingNode {
    /// Why nothing of its own may be dropped: it reads slots which are those of others, or nodes that nobody here knows.
    func contested(_ look: Look) -> Problem? {
        for subscription in look.own {
            let provider = subscription.provider.rawValue
            guard members.contains(provider) else {
                return Problem(
                    "\(name) also reads \(provider), which is none of cluster.nodes",
                    hint: "name it there if it stays; or drop that subscription on \(name) first: SELECT spock.sub_drop('\(subscription.name)')")
            }
            if look.staying[provider]?.contains(subscription.slot) == true {
                return Problem(
                    "\(name) reads the slot \(subscription.slot) on \(provider), which is that of a node that stays: it is a copy which has not lost its source's identity",
                    hint: "stop it, and keep it from starting; then run this again with --node-is-gone")
            }
        }
        return nil
    }
}
