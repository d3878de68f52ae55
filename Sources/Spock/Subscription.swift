public import EventLoop
public import PostgresClient
public import Server

/// A subscription as the subscriber's catalog has it.
public struct Subscription: Sendable, Hashable {
    public var id: UInt32
    public var name: SubscriptionName
    /// The node changes come from.
    public var provider: NodeName
    /// The node they are applied on.
    public var subscriber: NodeName
    public var providerDSN: Conninfo
    public var isEnabled: Bool
    /// The slot on the provider; the origin on the subscriber has the same name.
    public var slot: SlotName
    public var settings: Settings

    /// What one subscription says besides who and where; a new one copies it from those the mesh has.
    public struct Settings: Sendable, Hashable, Codable {
        public var replicationSets: [ReplicationSetName]
        /// `[]` or `["all"]`.
        public var forwardOrigins: [String]
        public var applyDelay: Duration
        public var forceTextTransfer: Bool
        public var skipSchema: [String]

        public init(
            replicationSets: [ReplicationSetName] = ["default", "default_insert_only", "ddl_sql"], forwardOrigins: [String] = [],
            applyDelay: Duration = .zero, forceTextTransfer: Bool = false, skipSchema: [String] = []
        ) {
            self.replicationSets = replicationSets
            self.forwardOrigins = forwardOrigins
            self.applyDelay = applyDelay
            self.forceTextTransfer = forceTextTransfer
            self.skipSchema = skipSchema
        }
    }

    public init(
        id: UInt32, name: SubscriptionName, provider: NodeName, subscriber: NodeName, providerDSN: Conninfo, isEnabled: Bool,
        slot: SlotName, settings: Settings
    ) {
        self.id = id
        self.name = name
        self.provider = provider
        self.subscriber = subscriber
        self.providerDSN = providerDSN
        self.isEnabled = isEnabled
        self.slot = slot
        self.settings = settings
    }

    public var origin: OriginName { OriginName(slot) }
}

/// What `sub_show_status` says of a subscription. It speaks of workers only: it stayed `replicating` through every lost row ever measured.
public enum SubscriptionStatus: Sendable, Hashable, LosslessStringConvertible, PostgresDecodable {
    case replicating, initializing, disabled, down, unknown
    /// A word this version of pggraft does not know.
    case other(String)

    private static let words: [String: SubscriptionStatus] = [
        "replicating": .replicating, "initializing": .initializing, "disabled": .disabled, "down": .down, "unknown": .unknown,
    ]

    public init(_ text: String) { self = SubscriptionStatus.words[text] ?? .other(text) }
    public init(postgresText: String) { self.init(postgresText) }

    public var description: String {
        switch self {
        case .replicating: "replicating"
        case .initializing: "initializing"
        case .disabled: "disabled"
        case .down: "down"
        case .unknown: "unknown"
        case .other(let word): word
        }
    }
}

extension Subscription {
    static func all() -> SQL {
        """
        SELECT s.*, provider.node_name AS provider, subscriber.node_name AS subscriber, i.if_dsn AS provider_dsn, \
        (extract(epoch FROM s.sub_apply_delay) * 1000000)::bigint AS apply_delay_us FROM spock.subscription s \
        JOIN spock.node provider ON provider.node_id = s.sub_origin JOIN spock.node subscriber ON subscriber.node_id = s.sub_target \
        JOIN spock.node_interface i ON i.if_id = s.sub_origin_if ORDER BY s.sub_name
        """
    }

    /// Needs Spock loaded, and a local node.
    /// Gives a row where the manager of the database did not run.
    static func wakeSupervisor(by subscription: SubscriptionName) -> SQL {
        """
        SELECT spock.sub_enable(sub_name) FROM spock.subscription WHERE sub_name = \(subscription) AND sub_enabled \
        AND EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'spock supervisor') AND NOT EXISTS (SELECT FROM pg_stat_activity a \
        JOIN pg_database d ON a.backend_type = 'spock manager ' || d.oid WHERE d.datname = current_database())
        """
    }

    static func statuses() -> SQL { "SELECT subscription_name, status FROM spock.sub_show_status()" }

    init(row: Row) throws {
        id = try row.get("sub_id")
        name = try row.get("sub_name")
        provider = try row.get("provider")
        subscriber = try row.get("subscriber")
        providerDSN = try Conninfo(parsing: row.get("provider_dsn"))
        isEnabled = try row.get("sub_enabled")
        slot = try row.get("sub_slot_name")
        settings = Settings(
            replicationSets: try row.optional("sub_replication_sets", as: [String].self).map(replicationSetNames) ?? [],
            forwardOrigins: try row.optional("sub_forward_origins") ?? [],
            applyDelay: .microseconds(try row.get("apply_delay_us", as: Int64.self)),
            forceTextTransfer: try row.ifPresent("sub_force_text_transfer") ?? false,
            skipSchema: try row.ifPresent("sub_skip_schema") ?? [])
    }
}

private func replicationSetNames(_ texts: [String]) throws -> [ReplicationSetName] {
    try texts.map { text in
        guard let name = ReplicationSetName(rawValue: text) else { throw UnexpectedAnswer(text: "a replication set named \"\(text)\"") }
        return name
    }
}

extension SpockSession {
    /// Every subscription this node's catalog has.
    public func subscriptions(deadline: Deadline) async throws -> [Subscription] {
        try await look(Subscription.all(), deadline).map(Subscription.init(row:))
    }

    /// What Spock says of each subscription of this node.
    public func subscriptionStatuses(deadline: Deadline) async throws -> [SubscriptionName: SubscriptionStatus] {
        var statuses: [SubscriptionName: SubscriptionStatus] = [:]
        for row in try await look(Subscription.statuses(), deadline) {
            statuses[try row.get("subscription_name")] = try row.get("status")
        }
        return statuses
    }

    /// Has Spock's manager look for workers to start now. It misses its wake-up otherwise, and starts one a second.
    public func wakeWorkers(deadline: Deadline) async throws { try await server.reload(deadline: deadline) }

    /// Has Spock's supervisor start the manager of this database, where that does not run, and without it no worker.
    ///
    /// While the supervisor starts managers, a database after the other, it misses what it is told, and then sleeps for three minutes. Any change of a
    /// subscription wakes it; that of one without a manager has no worker that could be ended by the change.
    /// - Parameter subscription: one that is down.
    /// - Returns: whether it was not there.
    public func wakeSupervisor(by subscription: SubscriptionName, deadline: Deadline) async throws -> Bool {
        try await !query(Subscription.wakeSupervisor(by: subscription), deadline).isEmpty
    }
}
