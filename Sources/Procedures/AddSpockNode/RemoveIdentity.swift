import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Take the source's identity off the promoted copy.
///
/// `sub_drop` and `node_drop` are never called here: on a copy that still is the source they would drop the source's own
/// slots on its peers. The extension goes as a whole while its library is not loaded.
struct RemoveIdentity: LeavesNothing {
    static let name = "remove-identity"
    /// The replication sets of the source, as its copy had them.
    static let sets = Fact<[ReplicationSet]>("replication sets")
    /// The version of Spock that the copy had: the mesh's.
    static let version = Fact<SpockVersion>("version of Spock")
    /// The origins the copy inherited.
    static let origins = Fact<[OriginName]>("inherited origins")
    /// Where the new node goes on reading from each node.
    static let positions = Fact<[ResumePosition]>("resume positions")

    let mesh: SpockMesh
    let node: JoiningNode
    let databases: CopiedDatabases
    var title: String { "Remove the identity of \(mesh.source) from \(node.name): replication sets, nodes, origins" }
    var leavesNothing: String { "it is all in the data directory of \(node.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .cleaned { return .done("\(node.name) carries nobody else's identity") }
        return .needed(
            [
                Change("\(node.name): read the replication sets and the positions up to which each node is applied"),
                Change("\(node.name): DROP EXTENSION spock (not CASCADE)"),
                Change(
                    "\(node.name): the same in every other database that has Spock or pglogical, and DROP SUBSCRIPTION, without its slot, where there is one: they stay as plain databases"
                ),
                Change("\(node.name): pg_replication_origin_drop for each origin inherited from \(mesh.source)"),
            ] + (node.copy.existing == .adopted ? [Change("\(node.name): pg_drop_replication_slot for each logical slot that it has kept in step with \(mesh.source)")] : []))
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(60)), clone = try await mesh.spock(node.name)
        // Asked side by side, what of it is needed only where the extension is there still, too.
        async let loaded = clone.isLoaded(deadline: deadline), inherited = clone.server.origins(deadline: deadline)
        async let others = databases.there(deadline: deadline), reached = positionsReached(deadline: deadline)
        if let version = try await clone.extensionVersion(deadline: deadline) {
            let sets = try await clone.captureReplicationSets(deadline: deadline)
            guard try await !loaded else {
                throw Problem(
                    "\(node.name) has Spock loaded while it still is \(mesh.source)",
                    hint: "stop it at once, and look whether the slots of \(mesh.source) on its peers are read by the right server; then undo this run")
            }
            let origins = try await inherited
            try run.remember(Self.version, version)
            try run.remember(Self.sets, sets)
            // Whoever made them, they say how far the source has read.
            try run.remember(Self.origins, origins.compactMap(\.name))
            let positions = try resumePositions(origins, try await reached, run)
            try run.remember(Self.positions, positions)
            for position in positions where position.lsn > position.slotLSN {
                run.note("\(position.peer): goes on at \(position.lsn), \(position.lsn.bytes(since: position.slotLSN)) bytes after its slot")
            }
        }
        for (database, things) in try await databases.removeIdentities(of: try await others, deadline: deadline).sorted(by: { $0.key < $1.key }) where database != mesh.database {
            run.note("database \(database) of \(node.name) is a plain one now: \(list(things)) of \(mesh.source) \(things.count == 1 ? "is" : "are") taken off it")
        }
        let origins = try run.recall(Self.origins), sets = try run.recall(Self.sets)
        try await clone.server.dropOrigins(origins, deadline: deadline)
        // A standby that loads Spock, or has them synchronised, keeps copies of its source's slots; it has none of its own yet.
        if node.copy.existing == .adopted {
            for slot in try await clone.server.slots(deadline: deadline) where slot.plugin != nil { try await clone.server.dropSlot(slot.name, deadline: deadline) }
        }
        await node.reached(.cleaned)
        return "\(sets.count) replication sets with \(sets.map(\.tables.count).reduce(0, +)) tables captured, extensions and \(origins.count) origins dropped"
    }

    /// How far the members and the copy have come, as they are asked.
    private struct Reached: Sendable {
        /// Where the copy left the source's timeline.
        var switchpoint: LSN
        /// Of each member.
        var written: [String: LSN]
        var subscriptions: [Subscription]
        var nodes: [SpockNode]
        /// Of the source.
        var origins: [ReplicationOrigin]
        /// When the source was started.
        var started: ServerMoment
        /// When the copy left it, by a clock that is less than a second apart.
        var left: ServerMoment
    }

    private func positionsReached(deadline: Deadline) async throws -> Reached {
        async let promotion = node.standby.promotion(deadline: deadline)
        async let written = onEach(mesh.members) { try await mesh.access.server($0).insertLSN(deadline: deadline) }
        let original = try await mesh.spock(mesh.source)
        async let started = original.server.started(deadline: deadline)
        async let nodes = original.nodes(deadline: deadline), origins = original.server.origins(deadline: deadline)
        let left = try await promotion
        return Reached(
            switchpoint: left.switchpoint, written: try await written, subscriptions: try await original.subscriptions(deadline: deadline),
            nodes: try await nodes, origins: try await origins, started: try await started,
            left: try await mesh.access.server(node.name).began(timeline: left.timeline, deadline: deadline))
    }

    /// Where the new node goes on reading from each node, exact whether or not anything was written since the slots were
    /// made: the source up to the point where the copy left its timeline, a peer up to what the copy has replayed of it.
    /// - Parameter origins: of the copy.
    private func resumePositions(_ origins: [ReplicationOrigin], _ reached: Reached, _ run: StepRun) throws -> [ResumePosition] {
        let slots = try run.recall(CreateSlots.positions), source = mesh.source
        let (subscriptions, nodes, ofSource) = (reached.subscriptions, reached.nodes, reached.origins)
        let (written, switchpoint) = (reached.written, reached.switchpoint)
        var positions: [ResumePosition] = []
        for member in mesh.members {
            guard let slotLSN = slots[member], let peerLSN = written[member] else { throw UnknownNode(name: member) }
            if member == source {
                positions.append(
                    ResumePosition(
                        peer: try mesh.name(member), slotLSN: slotLSN, lsn: max(switchpoint, slotLSN), sourceOrigin: nil, peerLSN: max(switchpoint, peerLSN)))
                continue
            }
            let (origin, sourceOrigin) = try mesh.applied(member, subscriptions, ofSource, anew: node.anew)
            guard let name = origin.name, let peer = nodes.first(where: { $0.name.rawValue == member }) else { throw UnknownNode(name: member) }
            let resume = origins.resumePosition(peer: peer.id, origin: name, slotLSN: slotLSN)
            positions.append(
                ResumePosition(peer: try mesh.name(member), slotLSN: slotLSN, lsn: resume, sourceOrigin: sourceOrigin, peerLSN: peerLSN))
        }
        for position in positions { try position.check() }
        let before = try run.memory.recall(CreateSlots.sourceStarted)
        if let before, before != reached.started, reached.started.microseconds < reached.left.microseconds + 2_000_000 {
            throw Problem(
                "\(source) was restarted while \(node.name) left it: after a crash Spock applies again what it has applied, and \(node.name) may have such rows twice",
                hint: "nothing has joined. See with `pggraft verify` whether \(source) is like its peers, and put it right; then \(node.anew)")
        }
        return positions
    }
}
