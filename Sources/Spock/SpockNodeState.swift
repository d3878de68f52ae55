public import EventLoop
public import PostgresClient
import Report
public import Server

/// Everything about one node that a decision of pggraft rests on, read from its catalogs at one look.
public struct SpockNodeState: Sendable, Hashable {
    /// The database it was read in.
    public var database: String
    /// Of the extension in the database; `nil` where there is none.
    public var extensionVersion: SpockVersion?
    /// Of the library that is loaded; `nil` where none is.
    public var libraryVersion: SpockVersion?
    public var isSuperuser: Bool
    public var isInRecovery: Bool
    /// `nil` where this database is no node.
    public var local: SpockNode?
    /// Every node this node knows, itself included.
    public var nodes: [SpockNode]
    public var subscriptions: [Subscription]
    /// Empty where Spock is not loaded.
    public var statuses: [SubscriptionName: SubscriptionStatus]
    public var replicationSets: [ReplicationSet]
    public var refusedTables: [RefusedTable]
    /// `spock.*`, and what limits workers, slots and senders; only those the server has.
    public var settings: [String: String]
    /// Roles or databases that have a `spock.readonly` of their own, as `role app` or `database app`: they escape the server's.
    public var readOnlyOverrides: [String]
    public var exceptionCount: Int
    public var origins: [ReplicationOrigin]
    public var slots: [ReplicationSlot]
    public var preparedTransactions: [PreparedTransaction]
    /// See ``SpockSession/extensionDependents(deadline:)``.
    public var extensionDependents: [String]
    public var usage: Usage
    /// The other databases of the instance, but for `template0`.
    public var otherDatabases: [OtherDatabase]
    /// What a copy of this database brings along; `nil` where it was not asked for.
    public var carried: CopiedDatabase? = nil
    /// Superusers that are connected to this database, as `role (application)`; pggraft itself is left out.
    public var superuserClients: [String] = []

    /// How much of the instance's limited things is taken, whoever takes it.
    public struct Usage: Sendable, Hashable {
        /// Rows of `pg_stat_replication`, and whoever else has a `walsender`.
        public var walSenders: Int
        /// Background workers other than those of parallel queries, which do without when there are none.
        public var backgroundWorkers: Int

        public init(walSenders: Int, backgroundWorkers: Int) {
            self.walSenders = walSenders
            self.backgroundWorkers = backgroundWorkers
        }
    }

    /// Another database of the same instance.
    public struct OtherDatabase: Sendable, Hashable {
        public var name: String
        public var spock: Spock

        public enum Spock: Sendable, Hashable {
            /// No extension there.
            case absent
            /// The nodes its catalog has; the mesh there is none of ours.
            case nodes([NodeID: NodeName])
            /// It takes no connections: nothing runs there, and nobody can look.
            case closed
            /// It was not looked into, or could not be.
            case unknown(String)
        }

        public var isTemplate: Bool
        /// What a copy brings along; `nil` where it could not be looked into.
        public var carried: CopiedDatabase?
        /// Those of its subscriptions by Spock or pglogical.
        public var origins: [OriginName]

        public init(name: String, spock: Spock, isTemplate: Bool = false, carried: CopiedDatabase? = nil, origins: [OriginName] = []) {
            (self.name, self.spock, self.isTemplate, self.carried, self.origins) = (name, spock, isTemplate, carried, origins)
        }
    }

    public var isLoaded: Bool { libraryVersion != nil }
    public var version: SpockVersion? { libraryVersion ?? extensionVersion }
    /// The integer setting `name`, if the server has it.
    public func limit(_ name: String) -> Int? { settings[name].flatMap { Int($0) } }

    static func overview() -> SQL {
        """
        SELECT current_database() AS database, (SELECT extversion FROM pg_extension WHERE extname = 'spock') AS extension, \
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser, pg_is_in_recovery() AS in_recovery, \
        EXISTS (SELECT FROM pg_settings WHERE name = 'spock.readonly') AS loaded, to_regclass('spock.node') IS NOT NULL AS has_catalog, \
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender') AS wal_senders, \
        (SELECT count(*) FROM pg_stat_activity WHERE backend_type <> ALL (\(SpockNodeState.noWorkers)::text[])) AS workers, \
        ARRAY(SELECT DISTINCT concat_ws(' ', a.usename, '(' || nullif(a.application_name, '') || ')') FROM pg_stat_activity a \
        JOIN pg_roles r ON r.oid = a.usesysid WHERE r.rolsuper AND a.backend_type = 'client backend' AND a.datname = current_database() \
        AND a.pid <> pg_backend_pid() AND a.application_name <> \(ClientTransaction.ownApplicationName) ORDER BY 1) AS superusers
        """
    }

    /// `backend_type` of what is no background worker, up to PostgreSQL 18, and of parallel workers.
    private static let noWorkers = [
        "archiver", "autovacuum launcher", "autovacuum worker", "background writer", "checkpointer", "client backend", "io worker",
        "logger", "parallel worker", "slotsync worker", "standalone backend", "startup", "walreceiver", "walsender", "walsummarizer",
        "walwriter",
    ]

    static func settingsRead() -> SQL {
        """
        SELECT name, setting FROM pg_settings WHERE name LIKE 'spock.%' OR name IN ('max_replication_slots', \
        'max_active_replication_origins', 'max_wal_senders', 'max_worker_processes', 'max_logical_replication_workers', \
        'max_prepared_transactions', 'shared_preload_libraries', 'wal_level', 'track_commit_timestamp', 'server_version_num')
        """
    }

    static func overrides() -> SQL {
        """
        SELECT concat_ws(' ', 'role ' || r.rolname, 'database ' || d.datname) AS who FROM pg_db_role_setting s \
        LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase \
        WHERE EXISTS (SELECT FROM unnest(s.setconfig) c WHERE c LIKE 'spock.readonly=%') ORDER BY 1
        """
    }

    static func exceptionCount() -> SQL { "SELECT count(*) AS rows FROM spock.exception_log" }

    /// Those that came after the newest subscription.
    static func exceptionsSinceJoin() -> SQL {
        "SELECT count(*) AS rows FROM spock.exception_log WHERE retry_errored_at > (SELECT max(sub_created_at) FROM spock.subscription)"
    }

    static func hasCatalog() -> SQL { "SELECT to_regclass('spock.node') IS NOT NULL AS there" }
    static func nodeIDs() -> SQL { "SELECT node_id, node_name FROM spock.node" }
}

extension SpockSession {
    /// Reads the state of this node. Plain catalog reads only where Spock is not loaded, as on a promoted clone.
    /// - Parameter connect: makes a connection to another database of the same instance, to see whether Spock is there too.
    public func state(
        connectingTo connect: (@Sendable (_ database: String) async throws -> PostgresConnection)? = nil, deadline: Deadline
    ) async throws -> SpockNodeState {
        // All of it travels together but for what needs the catalog: it is not asked where there is none.
        async let others = otherDatabases(connectingTo: connect, deadline: deadline), carried = connect == nil ? nil : copiedDatabase(deadline: deadline)
        async let settings = look(SpockNodeState.settingsRead(), deadline), overrides = look(SpockNodeState.overrides(), deadline)
        async let origins = server.origins(deadline: deadline), slots = server.slots(deadline: deadline)
        async let prepared = server.preparedTransactions(deadline: deadline), dependents = extensionDependents(deadline: deadline)
        let overview = try await look(SpockNodeState.overview(), deadline).one()
        let isLoaded: Bool = try overview.get("loaded"), hasCatalog: Bool = try overview.get("has_catalog")
        async let catalog = hasCatalog ? self.catalog(isLoaded: isLoaded, deadline: deadline) : Catalog()
        let known = try await catalog
        return try await SpockNodeState(
            database: try overview.get("database"),
            extensionVersion: try overview.optional("extension"),
            libraryVersion: known.libraryVersion,
            isSuperuser: try overview.get("is_superuser"),
            isInRecovery: try overview.get("in_recovery"),
            local: known.nodes.first { $0.id == known.localID },
            nodes: known.nodes,
            subscriptions: known.subscriptions,
            statuses: known.statuses,
            replicationSets: known.replicationSets,
            refusedTables: known.refusedTables,
            settings: settings.reduce(into: [:]) { $0[try $1.get("name", as: String.self)] = try $1.get("setting", as: String.self) },
            readOnlyOverrides: overrides.map { try $0.get("who") },
            exceptionCount: known.exceptionCount,
            origins: origins,
            slots: slots,
            preparedTransactions: prepared,
            extensionDependents: dependents,
            usage: SpockNodeState.Usage(walSenders: try overview.get("wal_senders"), backgroundWorkers: try overview.get("workers")),
            otherDatabases: others,
            carried: carried,
            superuserClients: try overview.get("superusers"))
    }

    /// What Spock's own tables and functions say.
    private struct Catalog {
        var libraryVersion: SpockVersion?
        var localID: NodeID?
        var nodes: [SpockNode] = []
        var subscriptions: [Subscription] = []
        var statuses: [SubscriptionName: SubscriptionStatus] = [:]
        var replicationSets: [ReplicationSet] = []
        var refusedTables: [RefusedTable] = []
        var exceptionCount = 0
    }

    private func catalog(isLoaded: Bool, deadline: Deadline) async throws -> Catalog {
        async let local = look(SpockNode.local(), deadline), nodes = self.nodes(deadline: deadline)
        async let subscriptions = self.subscriptions(deadline: deadline)
        async let version = isLoaded ? look("SELECT spock.spock_version() AS version", deadline).one().get("version", as: SpockVersion.self) : nil
        async let sets = captureReplicationSets(deadline: deadline), refused = refusedTables(deadline: deadline), exceptions = exceptionCount(deadline: deadline)
        let localID: NodeID? = try await local.first?.get("node_id")
        async let statuses = isLoaded && localID != nil ? subscriptionStatuses(deadline: deadline) : [:]
        return try await Catalog(
            libraryVersion: version, localID: localID, nodes: nodes, subscriptions: subscriptions, statuses: statuses, replicationSets: sets,
            refusedTables: refused, exceptionCount: exceptions)
    }

    /// Rows of `spock.exception_log`: each is a change that was discarded. It must not grow while pggraft works.
    public func exceptionCount(deadline: Deadline) async throws -> Int {
        try await look(SpockNodeState.exceptionCount(), deadline).one().get("rows")
    }

    /// Rows of `spock.exception_log` since this node's newest subscription was made.
    public func exceptionsSinceJoin(deadline: Deadline) async throws -> Int { try await look(SpockNodeState.exceptionsSinceJoin(), deadline).one().get("rows") }

    private func otherDatabases(
        connectingTo connect: (@Sendable (_ database: String) async throws -> PostgresConnection)?, deadline: Deadline
    ) async throws -> [SpockNodeState.OtherDatabase] {
        let there = try await server.databases(deadline: deadline).filter { !$0.isOwn && ($0.takesConnections || !$0.isTemplate) }
        let looked = try await onEach(Array(there.indices)) { place in
            let database = there[place]
            var other = SpockNodeState.OtherDatabase(name: database.name, spock: .closed, isTemplate: database.isTemplate)
            if database.takesConnections { try await look(into: &other, connectingTo: connect, deadline: deadline) }
            return other
        }
        return there.indices.compactMap { looked[$0] }
    }

    private func look(
        into database: inout SpockNodeState.OtherDatabase, connectingTo connect: (@Sendable (_ database: String) async throws -> PostgresConnection)?,
        deadline: Deadline
    ) async throws {
        database.spock = .unknown("not looked into")
        guard let connect else { return }
        do {
            let session = SpockSession(await ServerSession(asItIs: try await connect(database.name)))
            async let carried = session.copiedDatabase(deadline: deadline)
            database.spock = try await SpockNodeState.OtherDatabase.Spock(in: session.connection, deadline: deadline)
            database.origins = try await OtherSubscriptions.origins(
                try await session.connection.look(OtherSubscriptions.there(), deadline: deadline), in: session.connection, deadline: deadline)
            database.carried = try await carried
            await session.connection.close()
        } catch let error as PostgresError {
            // Its pg_hba.conf may keep us out: then it is reported as unknown, and a check decides what that means.
            database.spock = .unknown(error.fact)
        }
    }
}

extension SpockNodeState.OtherDatabase.Spock {
    init(in connection: PostgresConnection, deadline: Deadline) async throws {
        guard try await connection.look(SpockNodeState.hasCatalog(), deadline: deadline).one().get("there") else {
            self = .absent
            return
        }
        var nodes: [NodeID: NodeName] = [:]
        for row in try await connection.look(SpockNodeState.nodeIDs(), deadline: deadline) {
            nodes[try row.get("node_id")] = try row.get("node_name")
        }
        self = .nodes(nodes)
    }
}
