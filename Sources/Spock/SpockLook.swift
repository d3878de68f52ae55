public import EventLoop
public import PostgresClient
public import Server

/// What a node says of itself, of what it reads from others and of who reads from it, of one moment: one round trip.
///
/// Much less than a ``SpockNodeState``, and so quick that it can be asked again every second.
public struct SpockLook: Sendable, Hashable {
    public var database: String
    public var isInRecovery: Bool
    /// What it has written; `nil` on a standby. Read before the slots: one that is there has everything.
    public var written: LSN?
    /// The moment of the look, by its own clock.
    public var at: ServerMoment
    /// `spock.readonly`; `nil` where Spock is not loaded.
    public var readOnly: String?
    /// `nil` where this database is no node.
    public var local: NodeName?
    /// Every node it knows, itself included.
    public var known: [NodeName]
    /// Those over which it reads.
    public var subscriptions: [Subscription]
    public var statuses: [SubscriptionName: SubscriptionStatus]
    /// When what it has applied last of each provider was committed there, by the provider's clock; nothing where Spock does not say.
    public var lastCommits: [NodeName: ServerMoment]
    public var slots: [ReplicationSlot]
    /// Rows of `spock.exception_log`; `nil` where there is none.
    public var exceptions: Int?

    public init(
        database: String, isInRecovery: Bool = false, written: LSN?, at: ServerMoment, readOnly: String? = "off", local: NodeName?, known: [NodeName] = [],
        subscriptions: [Subscription] = [], statuses: [SubscriptionName: SubscriptionStatus] = [:], lastCommits: [NodeName: ServerMoment] = [:],
        slots: [ReplicationSlot] = [], exceptions: Int? = 0
    ) {
        (self.database, self.isInRecovery, self.written, self.at, self.readOnly) = (database, isInRecovery, written, at, readOnly)
        (self.local, self.known, self.subscriptions, self.statuses) = (local, known, subscriptions, statuses)
        (self.lastCommits, self.slots, self.exceptions) = (lastCommits, slots, exceptions)
    }

    static func overview() -> SQL {
        """
        SELECT current_database() AS database, pg_is_in_recovery() AS in_recovery, \
        CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END AS written, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS moment, \
        current_setting(\(ReadOnlyMode.setting), true) AS readonly
        """
    }

    static func known() -> SQL {
        "SELECT n.node_name, l.node_id IS NOT NULL AS is_local FROM spock.node n LEFT JOIN spock.local_node l ON l.node_id = n.node_id ORDER BY n.node_name"
    }

    static func lastCommits() -> SQL {
        """
        SELECT n.node_name, (extract(epoch FROM max(p.remote_commit_ts)) * 1000000)::bigint AS moment FROM spock.progress p \
        JOIN spock.local_node l ON l.node_id = p.node_id JOIN spock.node n ON n.node_id = p.remote_node_id WHERE p.remote_commit_ts IS NOT NULL GROUP BY n.node_name
        """
    }
}

extension SpockSession {
    /// Looks at this node. What of Spock is not there is left out.
    public func status(deadline: Deadline) async throws -> SpockLook {
        async let slots = server.slots(deadline: deadline)
        async let known = ifThere(SpockLook.known(), deadline), subscriptions = ifThere(Subscription.all(), deadline), statuses = ifThere(Subscription.statuses(), deadline)
        async let commits = ifThere(SpockLook.lastCommits(), deadline), exceptions = ifThere(SpockNodeState.exceptionCount(), deadline)
        let overview = try await look(SpockLook.overview(), deadline).one(), nodes = try await known.map(Array.init) ?? []
        let local: NodeName? = try nodes.first { try $0.get("is_local") }?.get("node_name")
        return try await SpockLook(
            database: try overview.get("database"), isInRecovery: try overview.get("in_recovery"), written: try overview.optional("written"),
            at: ServerMoment(microseconds: try overview.get("moment")), readOnly: try overview.optional("readonly"), local: local,
            known: try nodes.map { try $0.get("node_name") },
            subscriptions: (subscriptions.map(Array.init) ?? []).map(Subscription.init(row:)).filter { $0.subscriber == local },
            statuses: (statuses.map(Array.init) ?? []).reduce(into: [:]) { $0[try $1.get("subscription_name")] = try $1.get("status", as: SubscriptionStatus.self) },
            lastCommits: (commits.map(Array.init) ?? []).reduce(into: [:]) { $0[try $1.get("node_name")] = ServerMoment(microseconds: try $1.get("moment")) },
            slots: slots, exceptions: exceptions?.one().get("rows"))
    }

    /// The answer to a statement that the server may refuse because Spock, or a part of it, is not there; `nil` then.
    private func ifThere(_ sql: SQL, _ deadline: Deadline) async throws -> Rows? {
        do { return try await look(sql, deadline) } catch let error as PostgresError where error.code.map(Self.isOfAbsence) ?? false { return nil }
    }

    /// No such table, schema or function; no node; a library that is not loaded.
    private static func isOfAbsence(_ code: String) -> Bool { ["42P01", "3F000", "42883", "42703", "55000", "58P01", "XX000"].contains(code) }
}
