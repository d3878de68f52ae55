public import EventLoop
internal import PostgresClient
internal import Server

/// What a database has that a physical copy of it must not keep, and what the copy has lost.
///
/// Read from plain catalogs: it works where no library is loaded, and on a standby.
public struct CopiedDatabase: Sendable, Hashable, Codable {
    public var database: String
    /// The extensions there that replicate in the node's name, of those that pggraft takes off a copy.
    public var replicators: [String]
    /// Those that it does not know how to take off.
    public var strangers: [String]
    /// The node that the database is to one of ``replicators``.
    public var node: String?
    /// Subscriptions of PostgreSQL's own logical replication, enabled or not.
    public var subscriptions: [String]
    /// What would keep ``replicators`` from being dropped.
    public var dependents: [String]
    /// Tables that are empty on the copy, because their rows are in no WAL.
    public var unlogged: [RelationName]

    public init(
        database: String, replicators: [String] = [], strangers: [String] = [], node: String? = nil, subscriptions: [String] = [],
        dependents: [String] = [], unlogged: [RelationName] = []
    ) {
        (self.database, self.replicators, self.strangers, self.node) = (database, replicators, strangers, node)
        (self.subscriptions, self.dependents, self.unlogged) = (subscriptions, dependents, unlogged)
    }

    /// What acts in the source's name there: `Spock node xn1`, `subscription legacy`; empty where nothing does.
    public var identities: [String] {
        replicators.map { name in
            let title = name == "spock" ? "Spock" : name
            return name == replicators.first ? node.map { "\(title) node \($0)" } ?? "extension \(name)" : "extension \(name)"
        } + subscriptions.map { "subscription \($0)" }
    }

    /// The extensions that replicate in a node's name, and whose libraries do so as soon as they are loaded.
    public static let knownReplicators = ["spock", "pglogical"]
    private static let knownStrangers = ["bdr", "pgactive"]

    static func read() -> SQL {
        """
        SELECT current_database() AS database, \
        ARRAY(SELECT extname::text FROM pg_extension WHERE extname = ANY (\(knownReplicators)::text[]) ORDER BY 1 DESC) AS replicators, \
        ARRAY(SELECT extname::text FROM pg_extension WHERE extname = ANY (\(knownStrangers)::text[]) ORDER BY 1) AS strangers, \
        ARRAY(SELECT s.subname::text FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database() ORDER BY 1) AS subscriptions, \
        to_regclass('spock.local_node') IS NOT NULL AS has_spock, to_regclass('pglogical.local_node') IS NOT NULL AS has_pglogical
        """
    }

    static func unlogged() -> SQL {
        """
        SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relpersistence = 'u' AND c.relkind = 'r' ORDER BY 1, 2
        """
    }

    static func node(of replicator: String) -> SQL {
        "SELECT n.node_name FROM \(identifier: replicator).local_node l JOIN \(identifier: replicator).node n ON n.node_id = l.node_id"
    }

    /// Takes off the database what acts in its source's name, all of it or nothing, and says which extensions there were. Event triggers
    /// of the database's users are not asked.
    static func removal(subscriptions: [String]) -> SQL {
        let names = SQL.joined(knownReplicators.map { "\(literal: $0)" }, separator: ", ")
        let statements: [SQL] =
            ["SELECT set_config('session_replication_role', 'replica', true)", "SELECT extname FROM pg_extension WHERE extname IN (\(names)) ORDER BY 1 DESC"]
            + subscriptions.flatMap(NativeSubscription.removal(of:)) + knownReplicators.map { "DROP EXTENSION IF EXISTS \(identifier: $0)" }
        return SQL.joined(statements, separator: "; ")
    }
}

extension SpockSession {
    /// What this database has that a physical copy must not keep.
    public func copiedDatabase(deadline: Deadline) async throws -> CopiedDatabase {
        async let unlogged = look(CopiedDatabase.unlogged(), deadline), dependents = dependents(on: CopiedDatabase.knownReplicators, deadline: deadline)
        let row = try await look(CopiedDatabase.read(), deadline).one()
        var found = CopiedDatabase(
            database: try row.get("database"), replicators: try row.get("replicators"), strangers: try row.get("strangers"),
            subscriptions: try row.get("subscriptions"))
        for name in found.replicators where found.node == nil {
            guard try row.get("has_" + name) else { continue }
            found.node = try await look(CopiedDatabase.node(of: name), deadline).first?.get("node_name")
        }
        found.dependents = try await dependents
        found.unlogged = try await unlogged.map(RelationName.init(row:))
        return found
    }

    /// Takes the source's identity off this database of a promoted copy that runs without the libraries: the extensions, without CASCADE, and
    /// the subscriptions, without their slots. All of it or nothing. Schemas stay, with what users have in them; so do the
    /// origins, see `ServerSession.dropOrigins`.
    /// - Parameter subscriptions: of PostgreSQL's own logical replication, in this database.
    /// - Returns: the extensions that there were.
    /// - Throws: ``SpockError/identityHasDependents(node:database:dependents:)``; nothing is changed then.
    public func removeIdentity(subscriptions: [String], of database: String, deadline: Deadline) async throws -> [String] {
        let answers: [Rows]
        do {
            answers = try await connection.script(CopiedDatabase.removal(subscriptions: subscriptions), deadline: deadline)
        } catch let error as PostgresError where error.code == "2BP01" {
            let dependents = try await dependents(on: CopiedDatabase.knownReplicators, deadline: deadline)
            throw dependents.isEmpty ? error as any Error : SpockError.identityHasDependents(node: name, database: database, dependents: dependents)
        }
        return try answers.first { $0.first?.columns == ["extname"] }?.map { try $0.get("extname") } ?? []
    }
}
