public import EventLoop
internal import PostgresClient
public import Server

/// A table of pggraft's own through which every node says a word and hears those of the others.
///
/// Its DDL is run on every node by itself and kept out of Spock's DDL replication by the session's settings. Order: ``SpockSession/createCanary(in:deadline:)``
/// on every node, then ``SpockSession/singCanary(node:run:deadline:)`` and ``SpockSession/hearCanary(from:run:deadline:)``, and only when all
/// have heard all ``SpockSession/dropCanary(deadline:)`` everywhere: a row that comes to a node without the table would be an exception there.
enum Canary {
    static let table = RelationName(schema: "pggraft", name: "canary")

    static func create() -> [SQL] {
        [
            "CREATE SCHEMA IF NOT EXISTS pggraft",
            "CREATE TABLE IF NOT EXISTS pggraft.canary (node text, run text, PRIMARY KEY (run, node))",
        ]
    }

    static func isReplicated(in set: ReplicationSetName) -> SQL {
        """
        SELECT EXISTS (SELECT FROM spock.replication_set_table t JOIN spock.replication_set s ON s.set_id = t.set_id \
        JOIN spock.local_node l ON l.node_id = s.set_nodeid WHERE s.set_name = \(set) AND t.set_reloid = 'pggraft.canary'::regclass) AS there
        """
    }

    static func sing(node: NodeName, run: String) -> SQL {
        "INSERT INTO pggraft.canary (node, run) VALUES (\(node), \(run)) ON CONFLICT DO NOTHING"
    }

    static func hear(run: String) -> SQL { "SELECT node FROM pggraft.canary WHERE run = \(run)" }

    static func memberships() -> SQL {
        """
        SELECT spock.repset_remove_table(set_name := s.set_name, relation := t.set_reloid, include_partitions := false) \
        FROM spock.replication_set_table t JOIN spock.replication_set s ON s.set_id = t.set_id \
        JOIN spock.local_node l ON l.node_id = s.set_nodeid WHERE t.set_reloid = to_regclass('pggraft.canary')
        """
    }

    static func isThere() -> SQL { "SELECT to_regnamespace('pggraft') IS NOT NULL AS there" }

    static func drop() -> [SQL] { ["DROP TABLE IF EXISTS pggraft.canary", "DROP SCHEMA IF EXISTS pggraft"] }
}

extension SpockSession {
    /// Creates the canary's table on this node and puts it into `sets`, of which every subscription to this node names one.
    public func createCanary(in sets: [ReplicationSetName] = ["default"], deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in
            let made = Canary.create(), answers = try await transaction.query(together: made + sets.map(Canary.isReplicated(in:)))
            let missing = try zip(sets, answers.dropFirst(made.count)).filter { try !$0.1.one().get("there", as: Bool.self) }.map(\.0)
            try await transaction.query(together: missing.map { ReplicationSet.add(ReplicationSet.Table(relation: Canary.table), to: $0) })
        }
    }

    /// Writes this node's row.
    public func singCanary(node: NodeName, run: String, deadline: Deadline) async throws {
        try await query(Canary.sing(node: node, run: run), deadline)
    }

    /// Waits until the rows of all `nodes` are here.
    /// - Throws: `DeadlineExceeded`, which names the nodes not heard of.
    public func hearCanary(from nodes: [NodeName], run: String, deadline: Deadline) async throws {
        try await wait(for: "the canary rows of \(nodes.count) nodes on \(name)", until: deadline) {
            let heard = try await canaryHeard(run: run, deadline: deadline.forLook)
            let missing = nodes.filter { !heard.contains($0) }
            return missing.isEmpty ? .found(()) : .notYet("nothing from \(missing.map(\.rawValue).joined(separator: ", "))")
        }
    }

    /// The nodes whose rows are here.
    public func canaryHeard(run: String, deadline: Deadline) async throws -> Set<NodeName> {
        Set(try await look(Canary.hear(run: run), deadline).map { try $0.get("node", as: NodeName.self) })
    }

    /// Whether anything of the canary is on this node.
    public func hasCanary(deadline: Deadline) async throws -> Bool { try await look(Canary.isThere(), deadline).one().get("there") }

    /// Removes the canary's table and schema from this node; what is not there is no error.
    public func dropCanary(deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in
            try await transaction.query(together: [Canary.memberships()] + Canary.drop())
        }
    }
}

/// In which replication sets of a provider the canary must be, so that it reaches everybody who reads from there.
public struct CanarySets: Sendable, Hashable {
    public var sets: [ReplicationSetName] = []
    /// Those who read no set that takes rows.
    public var deaf: [NodeName] = []

    /// - Parameters:
    ///   - readers: the subscriptions to the provider.
    ///   - sets: the provider's replication sets.
    public init(for readers: [Subscription], of sets: [ReplicationSet]) {
        let usable = sets.filter { $0.actions.insert && $0.name != "ddl_sql" }.map(\.name)
        for reader in readers {
            let named = reader.settings.replicationSets.filter(usable.contains)
            guard let set = named.first(where: { $0 == "default" }) ?? named.first(where: self.sets.contains) ?? named.first else {
                deaf.append(reader.subscriber)
                continue
            }
            if !self.sets.contains(set) { self.sets.append(set) }
        }
    }
}
