import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Step 10: take the source's identity off the promoted copy.
///
/// `sub_drop` and `node_drop` are never called here: on a copy that still is the source they would drop the source's own
/// slots on its peers. The extension goes as a whole while its library is not loaded.
struct RemoveIdentity: Step {
    let seed: Seed
    static let name = "remove-identity"
    var title: String { "Remove the identity of \(seed.source) from \(seed.newNode): replication sets, nodes, origins" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) >= .cleaned { return .done("\(seed.newNode) carries nobody else's identity") }
        return .needed([
            Change("\(seed.newNode): read the replication sets and the positions up to which each node is applied"),
            Change("\(seed.newNode): DROP EXTENSION spock (not CASCADE)"),
            Change("\(seed.newNode): pg_replication_origin_drop for each origin inherited from \(seed.source)"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = await seed.stepDeadline(.seconds(60))
        let clone = try await seed.spock(seed.newNode)
        let isNotLoaded = try await clone.state(deadline: deadline).libraryVersion == nil
        guard isNotLoaded else {
            throw Problem(
                "\(seed.newNode) has Spock loaded while it still is \(seed.source)",
                hint: "stop it at once, and look whether the slots of \(seed.source) on its peers are read by the right server; then undo this run")
        }
        if try await clone.extensionVersion(deadline: deadline) != nil {
            let sets = try await clone.captureReplicationSets(deadline: deadline)
            try run.remember(CapturedSets.fact, sets)
            let inherited = try await clone.subscriptions(deadline: deadline).map(\.origin)
            try run.remember(InheritedOrigins.fact, inherited)
            let positions = try await seed.resumePositions(run, deadline: deadline)
            try run.remember(ResumePositions.fact, positions)
            for position in positions where position.lsn > position.slotLSN {
                run.note("\(position.peer): goes on at \(position.lsn), \(position.lsn.bytes(since: position.slotLSN)) bytes after its slot")
            }
            try await clone.dropExtension(deadline: deadline)
        }
        let inherited: [OriginName] = try run.recall(InheritedOrigins.fact)
        try await clone.server.dropOrigins(inherited, deadline: deadline)
        await seed.reached(.cleaned)
        await seed.book("remove identity")
        let sets: [ReplicationSet] = try run.recall(CapturedSets.fact)
        return "\(sets.count) replication sets with \(sets.map(\.tables.count).reduce(0, +)) tables captured, extension and \(inherited.count) origins dropped"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

/// The replication sets of the source, as its copy had them.
enum CapturedSets { static let fact = Fact<[ReplicationSet]>("replication sets") }
/// The origins the copy inherited.
enum InheritedOrigins { static let fact = Fact<[OriginName]>("inherited origins") }
/// Where the new node goes on reading from each node.
enum ResumePositions { static let fact = Fact<[ResumePosition]>("resume positions") }

extension Seed {
    /// Where the new node goes on reading from each node, exact whether or not anything was written since the slots were
    /// made: the source up to the point where the copy left its timeline, a peer up to what the copy has replayed of it.
    func resumePositions(_ run: StepRun, deadline: Deadline) async throws -> [ResumePosition] {
        let slots: [String: LSN] = try run.recall(SlotPositions.fact)
        let origins = try await spock(newNode).server.origins(deadline: deadline)
        let switchpoint = try await leftTimelineAt(deadline: deadline)
        let sourceState = try await spock(source).state(deadline: deadline)
        var positions: [ResumePosition] = []
        for member in members {
            guard let slotLSN = slots[member] else { throw UnknownNode(name: member) }
            let session = try await spock(member)
            if member == source {
                positions.append(
                    ResumePosition(
                        peer: try name(member), slotLSN: slotLSN, lsn: max(switchpoint, slotLSN), sourceOrigin: nil,
                        peerLSN: max(switchpoint, try await session.server.insertLSN(deadline: deadline))))
                continue
            }
            guard let subscription = sourceState.subscriptions.first(where: { $0.provider.rawValue == member && $0.subscriber.rawValue == source }),
                let peer = sourceState.nodes.first(where: { $0.name.rawValue == member })
            else { throw Problem("\(source) does not subscribe to \(member) any more", hint: "repair the mesh first; then resume") }
            let resume = origins.resumePosition(peer: peer.id, origin: subscription.origin, slotLSN: slotLSN)
            let sourceOrigin = try await spock(source).server.originProgress(subscription.origin, deadline: deadline)
            positions.append(
                ResumePosition(
                    peer: try name(member), slotLSN: slotLSN, lsn: resume, sourceOrigin: sourceOrigin,
                    peerLSN: try await session.server.insertLSN(deadline: deadline)))
        }
        for position in positions { try position.check() }
        return positions
    }
}
