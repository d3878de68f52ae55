import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Have the new node stop following the source, and find where it goes on reading every member.
///
/// Its server is restarted for that: a stop is what ends an apply worker between two transactions, and loses none. What it has of each peer is then what the
/// source had applied of that peer by the position up to which the new node has followed: the source's log says it, commit by commit.
struct LeaveSource: Step {
    static let name = "leave-source"
    /// From where the source's log is read, and how far it had applied each peer a moment later.
    static let base = Fact<Base>("base of the positions")

    struct Base: Sendable, Codable {
        var from: LSN
        var applied: [String: LSN]
        /// Up to where the new node has followed the source when it left; `nil` as long as it has not.
        var left: LSN?
    }

    let node: LogicalNode
    let patience: Patience
    private var mesh: SpockMesh { node.mesh }
    var title: String { "Check how far \(node.name) has come with each node, and stop it from following \(mesh.source)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) > .standby, try memory.recall(RemoveIdentity.positions) != nil { return .done("\(node.name) has left \(mesh.source)") }
        return .needed([
            Change("\(list(mesh.members)): spock.sync_event(), then wait until \(mesh.source), and \(node.name) with it, has applied it"),
            Change("\(node.name): restart its server, which ends the apply worker between two transactions; drop the slot of \(node.copyName) on \(mesh.source) meanwhile"),
            Change("\(mesh.source): read the last commit of each peer from its log (pg_waldump), up to where \(node.name) has come"),
            Change("\(node.name): spock.sub_drop('\(node.copyName)')"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let slot = try await node.copySlot(deadline: .after(.seconds(20)))
        let isThere = try await mesh.access.server(mesh.source).slot(slot, deadline: .after(.seconds(20))) != nil
        var base = try run.memory.recall(Self.base)
        if isThere {
            if try await node.instance(run.memory).status(deadline: .after(.seconds(30))).isRunning { base = try await follow(run) }
            try await stop(slot, run.memory)
        }
        guard var base else {
            throw Problem("\(mesh.source) has no slot \(slot) any more, by which \(node.name) follows it", hint: node.anew)
        }
        let instance = try await node.instance(run.memory)
        try await instance.start(deadline: .after(.seconds(300)))
        try await node.awaitServer(deadline: .after(.seconds(60)))
        if base.left == nil {
            base.left = try await left(slot, since: try run.recall(CreateNewNode.before).nameless ?? [])
            try run.remember(Self.base, base)
        }
        let positions = try await positions(base, run)
        try run.remember(RemoveIdentity.positions, positions)
        let own = try await mesh.spock(node.name), deadline = Deadline.after(.seconds(180))
        try await own.dropSubscription(node.copyName, deadline: deadline)
        // Spock 6 makes some for what was forwarded.
        try await node.dropOrigins(except: try run.recall(CreateNewNode.before).origins, deadline: deadline)
        await node.reached(.cleaned)
        return positions.map { "\($0.peer) at \($0.lsn)" }.joined(separator: ", ")
    }

    /// Brings the source to its peers, and the new node to the source, once more.
    private func follow(_ run: StepRun) async throws -> Base {
        try await refuseRestarted(run.memory)
        let deadline = Deadline.after(.seconds(60)), source = try await mesh.spock(mesh.source)
        // Before the wait: by its end the worker that had made a commit before this has gone on from it.
        let from = try await source.server.insertLSN(deadline: deadline)
        _ = try await mesh.drainIntoSource(after: [:], with: patience) { run.note($0) }
        async let looked = source.server.origins(deadline: deadline)
        let subscriptions = try await source.subscriptions(deadline: deadline), origins = try await looked
        let applied = try mesh.peers.reduce(into: [String: LSN]()) { $0[$1] = try mesh.applied($1, subscriptions, origins, anew: node.anew).lsn }
        // What the source had applied by then, the new node has.
        _ = try await node.follow(with: patience) { run.note($0) }
        let base = Base(from: from, applied: applied)
        try run.remember(Self.base, base)
        return base
    }

    /// After a crash Spock applies again what it has applied.
    private func refuseRestarted(_ memory: Memory) async throws {
        let before = try memory.recall(CopyData.started) ?? [:]
        let now = try await onEach(before.keys.sorted()) { try await mesh.access.server($0).started(deadline: .after(.seconds(20))) }
        if let name = before.keys.sorted().first(where: { now[$0] != before[$0] }) {
            throw Problem(
                "\(name) was restarted while \(node.name) was filled: after a crash Spock applies again what it has applied, and rows may be there twice",
                hint: "nothing has joined: \(node.anew)")
        }
    }

    /// Stops the new node's server, and takes away what it followed by.
    private func stop(_ slot: SlotName, _ memory: Memory) async throws {
        let instance = try await node.instance(memory)
        await mesh.access.forgetServer(node.name)
        try await instance.stop(mode: .fast, deadline: .after(.seconds(300)))
        _ = try await mesh.access.server(mesh.source).dropSlotOfStoppedReader(slot)
    }

    /// Up to where the new node has followed the source, which had `kept` of a former life of its server.
    private func left(_ slot: SlotName, since kept: [ReplicationOrigin]) async throws -> LSN {
        let deadline = Deadline.after(.seconds(20)), source = try await mesh.spock(mesh.source)
        async let known = source.nodes(deadline: deadline), flushed = source.server.flushedLSN(deadline: deadline)
        let origins = try await mesh.access.server(node.name).origins(deadline: deadline)
        guard let left = Self.followed(OriginName(slot), by: origins, of: Set(try await known.map(\.id)), since: kept, upTo: try await flushed) else {
            throw Problem(
                "\(node.name) does not say how far it has followed \(mesh.source): its origin \(slot) is gone, or stands nowhere",
                hint: "nothing has joined: \(node.anew)")
        }
        return left
    }

    /// Up to where a node has followed another: by its named origin, and by the commits that its server has replayed where that was not stopped cleanly, as
    /// Spock 6.0.0-beta.1 has it. They bear the number of the node that they come from, and the source's position.
    /// - Parameters:
    ///   - kept: the rows without a name that were there before, with positions of another WAL: one that has not moved says nothing.
    ///   - flushed: what the source has written; a position beyond that is of another WAL.
    static func followed(_ name: OriginName, by origins: [ReplicationOrigin], of nodes: Set<NodeID>, since kept: [ReplicationOrigin], upTo flushed: LSN?) -> LSN? {
        guard let named = origins.first(where: { $0.name == name })?.remoteLSN else { return nil }
        return origins.filter { $0.name == nil && nodes.contains($0.localID) && !kept.contains($0) }.compactMap(\.remoteLSN)
            .filter { position in flushed.map { position <= $0 } ?? true }.reduce(named, max)
    }

    private func positions(_ base: Base, _ run: StepRun) async throws -> [ResumePosition] {
        guard let left = base.left else { throw UnknownNode(name: node.name) }
        let deadline = Deadline.after(.seconds(600)), source = try await mesh.spock(mesh.source)
        async let commits = mesh.access.instance(mesh.source).originCommits(from: base.from, to: left, deadline: deadline)
        async let origins = source.server.origins(deadline: deadline), nodes = source.nodes(deadline: deadline), subscriptions = source.subscriptions(deadline: deadline)
        async let written = onEach(mesh.members) { try await mesh.access.server($0).insertLSN(deadline: deadline) }
        let slots = try run.recall(CreateSlots.positions)
        let (last, now, known, read, ends) = (try await commits.last, try await origins, try await nodes, try await subscriptions, try await written)
        return try mesh.members.map { member in
            guard let slot = slots[member], let end = ends[member] else { throw UnknownNode(name: member) }
            let position: ResumePosition
            if member == mesh.source {
                position = ResumePosition(peer: try mesh.name(member), slotLSN: slot, lsn: max(left, slot), sourceOrigin: nil, peerLSN: end)
            } else {
                let (own, reached) = try mesh.applied(member, read, now, anew: node.anew)
                guard let id = known.first(where: { $0.name.rawValue == member })?.id, let applied = base.applied[member] else { throw UnknownNode(name: member) }
                // Commits bear the number of the node; those of the stand-in that of the origin.
                let commit = [last[id], last[own.localID]].compactMap(\.self).max() ?? .zero
                position = ResumePosition(peer: try mesh.name(member), slotLSN: slot, lsn: max(slot, applied, commit), sourceOrigin: reached, peerLSN: end)
            }
            try position.check()
            return position
        }
    }

    // What it followed by goes with the copy; its server runs again.
    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try run.memory.recall(Self.base) != nil else { return .undone([]) }
        let instance = try await node.instance(run.memory)
        guard try await !instance.status(deadline: .after(.seconds(30))).isRunning else { return .undone([]) }
        try await instance.start(deadline: .after(.seconds(300)))
        try await node.awaitServer(deadline: .after(.seconds(60)))
        return .undone(["\(node.name) runs again"])
    }
}
