public import EventLoop
public import PostgresClient
public import Server

/// What one node of a mesh has of another one, which leaves it: everything that must be gone afterwards.
///
/// Nothing in it belongs to another pair: a slot or an origin that a subscription of a node which stays has is none of these.
public struct NodeTraces: Sendable, Hashable {
    /// Whether its catalog has a node of that name, or an interface of its id.
    public var isKnown: Bool
    /// Its subscriptions to the node that leaves.
    public var subscriptions: [Subscription]
    /// Where those stand: up to where the node that leaves is applied here.
    public var applied: [SubscriptionName: LSN]
    /// The slots here that the node that leaves reads, or has read.
    public var slots: [ReplicationSlot]
    /// Origins that no subscription has any more.
    public var origins: [OriginName]
    /// Slots of Spock here of which nobody knows whose they are: nobody who stays reads them, and nothing says that they belong to the node that leaves.
    public var unknownSlots: [ReplicationSlot]

    /// - Parameters:
    ///   - node: that leaves.
    ///   - state: of the node that stays, whose traces these are.
    ///   - staying: the slots here that subscriptions of the others which stay read.
    ///   - read: the slots here that the node that leaves reads, as its own catalog says, or said.
    ///   - expected: the slot here that it would read if its subscription were named as the mesh names them, as the server generates it.
    ///   - origins: those of subscriptions to it that are gone by now, or would be named as the mesh names them.
    public init(of node: NodeName, in state: SpockNodeState, staying: Set<SlotName>, read: Set<SlotName>, expected: SlotName?, origins: Set<OriginName>) {
        let found = state.subscriptions.filter { $0.provider == node && $0.subscriber == state.local?.name }
        let theirs = state.slots.filter { $0.plugin == ReplicationSlot.spockPlugin && $0.database == state.database && !staying.contains($0.name) }
        let used = Set(state.subscriptions.map(\.origin)), positions = Dictionary(state.origins.map { ($0.name, $0.remoteLSN) }) { first, _ in first }
        isKnown = state.nodes.contains { $0.name == node }
        subscriptions = found
        applied = found.reduce(into: [:]) { $0[$1.name] = positions[$1.origin] ?? nil }
        slots = theirs.filter { read.contains($0.name) || $0.name == expected }
        self.origins = state.origins.compactMap(\.name).filter { origins.contains($0) && !used.contains($0) }
        unknownSlots = theirs.filter { slot in !slot.isActive && !(read.contains(slot.name) || slot.name == expected) }
    }

    /// Whether there is nothing of it.
    public var isEmpty: Bool { !isKnown && subscriptions.isEmpty && slots.isEmpty && origins.isEmpty }
}

/// What `spock.progress` has of a node.
public struct NodeProgress: Sendable, Hashable {
    public var rows: Int
    /// Whether they can be deleted: Spock 6 shows what its memory holds, until the server is restarted.
    public var isTable: Bool

    static func look(_ id: NodeID) -> SQL {
        """
        SELECT (SELECT count(*) FROM spock.progress WHERE remote_node_id = \(id)::oid) AS rows, \
        (SELECT relkind = 'r' FROM pg_class WHERE oid = 'spock.progress'::regclass) AS is_table
        """
    }

    static func delete(_ id: NodeID) -> SQL { "DELETE FROM spock.progress WHERE remote_node_id = \(id)::oid" }
}

/// The statements by which a node leaves.
enum NodeRemoval {
    static func dropNode(_ node: NodeName) -> SQL { "SELECT spock.node_drop(node_name := \(node), ifexists := true) AS dropped" }

    /// An interface that leads nowhere, in no time.
    static let nowhere = "pggraft_nowhere"

    static func addNowhere(to node: NodeName) -> SQL {
        """
        SELECT spock.node_add_interface(node_name := \(node), interface_name := \(nowhere), dsn := 'host=/nonexistent') WHERE NOT EXISTS (\
        SELECT FROM spock.node_interface i JOIN spock.node n ON n.node_id = i.if_nodeid WHERE n.node_name = \(node) AND i.if_name = \(nowhere))
        """
    }

    static func lead(_ subscription: SubscriptionName) -> SQL {
        "SELECT spock.sub_alter_interface(subscription_name := \(subscription), interface_name := \(nowhere))"
    }

    /// Apply workers of a subscription that are in the middle of a transaction. Spock names them for the database and the subscription's id.
    static func busyWorkers(_ subscription: UInt32) -> SQL {
        """
        SELECT count(*)::integer AS busy FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL \
        AND application_name LIKE '% apply %:' || \(subscription)::text
        """
    }

    /// Sessions of pggraft, this one left out, that are dropping a subscription: their process may be gone, and they go on.
    static func drops() -> SQL {
        """
        SELECT count(*)::integer AS drops FROM pg_stat_activity WHERE datname = current_database() AND application_name = \(ClientTransaction.ownApplicationName) \
        AND pid <> pg_backend_pid() AND state <> 'idle' AND query LIKE \(dropPattern)
        """
    }

    private static let dropPattern = "%spock.sub_drop(%"

    /// Who streams without a slot: a standby, or a program.
    static func slotlessReaders() -> SQL {
        """
        SELECT concat_ws(' ', r.application_name, host(r.client_addr)) AS reader FROM pg_stat_replication r \
        WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid) ORDER BY 1
        """
    }

    /// Tables with rows in no replication set, the greatest first.
    static func unreplicated() -> SQL {
        """
        SELECT DISTINCT t.nspname || '.' || t.relname AS name, pg_relation_size(t.relid) AS size FROM spock.tables t \
        WHERE t.set_name IS NULL AND pg_relation_size(t.relid) > 0 ORDER BY 2 DESC, 1
        """
    }
}

extension SpockSession {
    /// What `spock.progress` has of the node called `name`, whether or not this catalog still has that.
    public func progress(of name: NodeName, deadline: Deadline) async throws -> NodeProgress {
        let row = try await look(NodeProgress.look(try await nodeID(of: name, deadline: deadline)), deadline).one()
        return NodeProgress(rows: try row.get("rows"), isTable: try row.get("is_table"))
    }

    /// Deletes what `spock.progress` has of the node called `name`, where that is a table.
    public func deleteProgress(of name: NodeName, deadline: Deadline) async throws {
        guard try await progress(of: name, deadline: deadline).isTable else { return }
        try await query(NodeProgress.delete(try await nodeID(of: name, deadline: deadline)), deadline)
    }

    /// Drops a node that nobody subscribes to; one that is not there is no error.
    ///
    /// Of the local node this also drops its replication sets, and every slot of Spock in this database that is named as Spock names them: whoever reads
    /// one of those must be gone.
    public func dropNode(_ node: NodeName, deadline: Deadline) async throws { try await query(NodeRemoval.dropNode(node), deadline) }

    /// Drops a subscription whose provider cannot be reached, and does not try to reach it.
    ///
    /// `sub_drop` connects to the provider to drop the slot there: half a minute where that has lost power. Led nowhere first, in the same
    /// transaction, it warns at once.
    public func dropSubscription(_ subscription: SubscriptionName, ofLost provider: NodeName, deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in
            _ = try await transaction.query(together: [
                NodeRemoval.addNowhere(to: provider), NodeRemoval.lead(subscription), NewSubscription.drop(subscription),
            ])
        }
    }

    /// Whether an apply worker of `subscription` is in the middle of a transaction.
    public func isApplying(_ subscription: Subscription, deadline: Deadline) async throws -> Bool {
        try await look(NodeRemoval.busyWorkers(subscription.id), deadline).one().get("busy", as: Int.self) > 0
    }

    /// Waits until no other session of pggraft is dropping a subscription here: one whose process was killed comes to its end by itself.
    public func awaitDrops(deadline: Deadline) async throws {
        try await wait(for: "subscriptions to be dropped on \(name), which a process that was killed has begun", until: deadline, every: .milliseconds(50)) {
            try await look(NodeRemoval.drops(), deadline.forLook).one().get("drops", as: Int.self) == 0 ? .found(()) : .notYet("they are not yet")
        }
    }

    /// Who streams from here without a slot, as `application address`.
    public func slotlessReaders(deadline: Deadline) async throws -> [String] {
        try await look(NodeRemoval.slotlessReaders(), deadline).map { try $0.get("reader") }
    }

    /// The tables here that have rows and are in no replication set: no other node has them.
    public func unreplicatedTables(deadline: Deadline) async throws -> [String] {
        try await look(NodeRemoval.unreplicated(), deadline).map { try $0.get("name") }
    }
}
