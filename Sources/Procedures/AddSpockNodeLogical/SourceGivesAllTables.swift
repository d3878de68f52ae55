import EventLoop
import ProcedureKit
import Report
import Run
import Spock

/// What the source gets from its peers it gives on: the rows that were there before come to the new node from the source alone.
struct SourceGivesAllTables: Requirement {
    let name = "tables"
    let mesh: SpockMesh
    let members: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(LeaveSource.self) else { return [] }
        try await members.requireSource()
        let states = await members.states, source = mesh.source, nodes = mesh.members.filter { states[$0] != nil }
        let tables = try await onEach(nodes) { try await mesh.spock($0).replicatedTables(deadline: .after(.seconds(60))) }
        let given = SourceGivesAllTables.sets(from: source, on: nodes.filter { $0 != source }, states)
        let missing = nodes.filter { $0 != source }.flatMap { peer in
            SourceGivesAllTables.missing(
                of: tables[peer] ?? [], read: SourceGivesAllTables.sets(from: peer, on: [source], states), from: tables[source] ?? [], given: given
            ).map { (peer, $0) }
        }
        return missing.map { peer, table in
            Finding(
                name, on: source, "\(table), which it gets from \(peer), is in none of its sets that others read: its rows would not come to \(mesh.newNode)",
                .notMet(hint: "put it into a set on \(source) as on \(peer) (spock.repset_add_table), or let source be \(peer)"))
        }
    }

    /// The sets of `provider` that `subscribers` read.
    private static func sets(from provider: String, on subscribers: [String], _ states: [String: SpockNodeState]) -> Set<ReplicationSetName> {
        Set(
            subscribers.flatMap { node in
                (states[node]?.subscriptions ?? []).filter { $0.provider.rawValue == provider && $0.subscriber.rawValue == node }.flatMap(\.settings.replicationSets)
            })
    }

    /// The tables of a peer that the source reads and does not give.
    static func missing(
        of peer: [ReplicatedTable], read: Set<ReplicationSetName>, from source: [ReplicatedTable], given: Set<ReplicationSetName>
    ) -> [RelationName] {
        let there = Set(source.filter { !given.isDisjoint(with: $0.memberships.map(\.set)) }.map(\.relation))
        return peer.filter { !$0.isPartitioned && !read.isDisjoint(with: $0.memberships.map(\.set)) && !there.contains($0.relation) }.map(\.relation).sorted { "\($0)" < "\($1)" }
    }
}
