public import EventLoop
internal import PostgresClient
internal import Server

/// A table that belongs to at least one replication set of the local node.
public struct ReplicatedTable: Sendable, Hashable {
    public var relation: RelationName
    /// A partitioned table has no rows of its own; its partitions stand in the sets by themselves.
    public var isPartitioned: Bool
    /// Every column, in order of name: the same order on every node whatever happened to the table there.
    public var columns: [String]
    public var memberships: [Membership]

    /// The table in one set.
    public struct Membership: Sendable, Hashable {
        public var set: ReplicationSetName
        /// `nil` for all columns.
        public var columns: [String]?
        /// `nil` for all rows.
        public var rowFilter: String?
    }

    static func all() -> SQL {
        """
        SELECT n.nspname, c.relname, c.relkind = 'p' AS partitioned, \
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns \
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (SELECT t.set_reloid FROM spock.replication_set_table t \
        JOIN spock.replication_set s ON s.set_id = t.set_id JOIN spock.local_node l ON l.node_id = s.set_nodeid)
        """
    }
}

/// The rows of a table as two numbers that do not depend on their order.
public struct TableFingerprint: Sendable, Hashable, Codable, CustomStringConvertible {
    public var rows: Int64
    /// The sum of one 64-bit hash per row.
    public var hash: String

    public init(rows: Int64, hash: String) {
        self.rows = rows
        self.hash = hash
    }

    public var description: String { "\(rows) rows, hash \(hash)" }

    /// Counts and hashes the rows of one table over `columns`, in this order, by their text form.
    ///
    /// `rowFilter` is what `pg_get_expr` gave for a row filter of the same table: it goes into the text as it stands.
    static func of(_ relation: RelationName, columns: [String], rowFilter: String? = nil) -> SQL {
        let list = SQL.joined(columns.map { "\(identifier: $0)" }, separator: ", ")
        let condition: SQL = rowFilter.map { " WHERE \(SQL(stringLiteral: $0))" } ?? ""
        return
            "SELECT count(*) AS rows, coalesce(sum(hashtextextended(ROW(\(list))::text, 0)), 0)::text AS hash FROM ONLY \(identifier: relation.schema).\(identifier: relation.name)\(condition)"
    }
}

extension SpockSession {
    /// Every replicated table of the local node with its sets, in order of schema and name.
    public func replicatedTables(deadline: Deadline) async throws -> [ReplicatedTable] {
        var memberships: [RelationName: [ReplicatedTable.Membership]] = [:]
        for set in try await captureReplicationSets(deadline: deadline) {
            for table in set.tables {
                memberships[table.relation, default: []].append(.init(set: set.name, columns: table.columns, rowFilter: table.rowFilter))
            }
        }
        return try await query(ReplicatedTable.all(), deadline).map { row in
            let relation = try RelationName(row: row)
            return ReplicatedTable(
                relation: relation, isPartitioned: try row.get("partitioned"),
                columns: try row.get("columns", as: [String].self).sorted(), memberships: memberships[relation] ?? [])
        }.sorted { $0.relation < $1.relation }
    }

    /// The fingerprint of one table. Equal rows give equal fingerprints on every node, whatever their settings and locale.
    /// - Parameters:
    ///   - columns: what to look at, in the same order on every node.
    ///   - rowFilter: which rows to look at, as the catalog of replication sets gives it.
    public func fingerprint(
        of relation: RelationName, columns: [String], rowFilter: String? = nil, deadline: Deadline
    ) async throws -> TableFingerprint {
        let row = try await query(
            TableFingerprint.of(relation, columns: columns, rowFilter: rowFilter), deadline
        ).one()
        return TableFingerprint(rows: try row.get("rows"), hash: try row.get("hash"))
    }
}
