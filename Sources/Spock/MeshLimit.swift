internal import Server

/// One setting that limits a node, what it must be with the new node in the mesh, and what it is.
public struct MeshLimit: Sendable, Hashable {
    public var node: NodeName
    public var setting: String
    public var needed: Int
    public var found: Int
    /// What `needed` is made of: `3 slots in use + 1 for n4`.
    public var sum: String

    public var isSufficient: Bool { found >= needed }

    /// Every limit of every node, the new one included; it inherits the source's settings.
    public static func all(of mesh: MeshView, adding new: NewNode) -> [MeshLimit] {
        mesh.names.flatMap { name in mesh.states[name].map { existing(name, $0, in: mesh, adding: new) } ?? [] }
            + (new.state.map { arriving(new, $0, in: mesh) } ?? mesh.states[new.source].map { joining(new, source: $0, in: mesh) } ?? [])
    }

    /// Every limit of the nodes that are there, with one node more, whoever that will be.
    public static func ofMembers(of mesh: MeshView) -> [MeshLimit] {
        mesh.names.flatMap { name in mesh.states[name].map { existing(name, $0, in: mesh, adding: NewNode(name: "the next node", id: 0, source: "the next node")) } ?? [] }
    }

    /// One slot, one sender and one worker more on each node that is there; the source also feeds the copy until it joins.
    private static func existing(_ name: NodeName, _ state: SpockNodeState, in mesh: MeshView, adding new: NewNode) -> [MeshLimit] {
        let feeds = name == new.source ? 1 : 0
        let feedsText = feeds == 1 ? " + 1 to feed the copy" : ""
        // Spock's own copy has a slot beside the one that stays; the one of a standby comes and goes before that.
        let copies = new.state == nil ? 0 : feeds
        let named = state.origins.count { $0.name != nil }
        // A crash recovery counts every remote node once more, by its node id.
        let origins = named + 1 + mesh.names.count
        return limits(
            [
                (
                    name, "max_replication_slots", state.slots.count + 1 + copies, "\(state.slots.count) slots there + 1 for \(new.name)\(copies == 1 ? feedsText : "")"
                ),
                (name, originLimit(state), origins, "\(named) origins there + 1 for \(new.name) + 1 for each of \(mesh.names.count) other nodes in a crash recovery"),
                (name, "max_wal_senders", state.usage.walSenders + 1 + feeds, "\(state.usage.walSenders) senders there + 1 for \(new.name)\(feedsText)"),
                (name, "max_worker_processes", state.usage.backgroundWorkers + 1, "\(state.usage.backgroundWorkers) workers there + 1 to apply \(new.name)"),
            ], state)
    }

    /// The copy recovers with the source's origins and one state per remote node; then it is provider and subscriber of all.
    private static func joining(_ new: NewNode, source: SpockNodeState, in mesh: MeshView) -> [MeshLimit] {
        let peers = mesh.names.count
        let carried = source.origins.count { $0.name != nil }
        let databases = source.otherDatabases.count { !$0.isTemplate && $0.spock != .closed } + 1
        // Of each node that another mesh of the instance reads, too.
        let others = source.otherDatabases.map { if case .nodes(let nodes) = $0.spock { max(0, nodes.count - 1) } else { 0 } }.reduce(0, +)
        // Supervisor, failover slots worker and the launcher of logical replication.
        let standing = 3
        return limits(
            [
                (new.name, "max_replication_slots", peers, "1 slot for each of \(peers) peers"),
                (
                    new.name, originLimit(source), max(carried + peers - 1 + others, 2 * peers),
                    "\(carried) origins of \(new.source) + 1 for each of its \(peers - 1) peers\(others == 0 ? "" : " and of \(others) nodes of other meshes") while it recovers, then 2 for each of \(peers) peers"
                ),
                (new.name, "max_wal_senders", peers, "1 sender for each of \(peers) peers"),
                (
                    new.name, "max_worker_processes", standing + databases + peers,
                    "\(standing) that are always there + 1 manager for each of \(databases) databases + 1 to apply each of \(peers) peers"
                ),
            ], source)
    }

    /// A server that runs already: provider and subscriber of all, and of the source once more while it is filled.
    private static func arriving(_ new: NewNode, _ state: SpockNodeState, in mesh: MeshView) -> [MeshLimit] {
        let peers = mesh.names.count, named = state.origins.count { $0.name != nil }
        return limits(
            [
                (new.name, "max_replication_slots", state.slots.count + peers, "\(state.slots.count) slots there + 1 for each of \(peers) nodes"),
                (new.name, originLimit(state), named + 2 * peers + 1, "\(named) origins there + 2 for each of \(peers) nodes + 1 while it is filled"),
                (new.name, "max_wal_senders", state.usage.walSenders + peers, "\(state.usage.walSenders) senders there + 1 for each of \(peers) nodes"),
                (
                    new.name, "max_worker_processes", state.usage.backgroundWorkers + 2 + peers,
                    "\(state.usage.backgroundWorkers) workers there + 1 manager + 1 to apply each of \(peers) nodes + 1 while it is filled"
                ),
            ], state)
    }

    /// Origins have a limit of their own from PostgreSQL 18 on.
    public static func originLimit(_ state: SpockNodeState) -> String {
        state.settings["max_active_replication_origins"] == nil ? "max_replication_slots" : "max_active_replication_origins"
    }

    private static func limits(_ needs: [(node: NodeName, setting: String, needed: Int, sum: String)], _ state: SpockNodeState) -> [MeshLimit] {
        needs.compactMap { need in
            state.limit(need.setting).map { MeshLimit(node: need.node, setting: need.setting, needed: need.needed, found: $0, sum: need.sum) }
        }
    }
}
