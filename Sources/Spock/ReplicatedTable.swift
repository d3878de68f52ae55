public import EventLoop
internal import PostgresClient
public import Server

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

    /// Counts and hashes the rows of one table over `columns`, in this order, by their text form, and says whether the table still is the one
    /// that the snapshot shows: its file, and its columns' types. To be asked in a transaction, whose lock keeps it so.
    ///
    /// A statement finds a table by its name as it is now, with the columns it has now, and then reads those of its rows that the snapshot
    /// shows: none at all, where the table was rewritten, truncated or made since.
    /// - Parameters:
    ///   - all: every column that the snapshot shows, whether it is hashed or not.
    ///   - rowFilter: what `pg_get_expr` gave for a row filter of the same table: it goes into the text as it stands.
    static func of(_ relation: RelationName, columns: [String], of all: [String], rowFilter: String? = nil) -> SQL {
        let list = SQL.joined(columns.map { "\(identifier: $0)" }, separator: ", ")
        let condition: SQL = rowFilter.map { " WHERE \(SQL(stringLiteral: $0))" } ?? ""
        let table: SQL = "\(identifier: relation.schema).\(identifier: relation.name)"
        let now = SQL.joined(all.map { "pg_typeof((SELECT \(identifier: $0) FROM ONLY \(table) LIMIT 0))::oid" }, separator: ", ")
        let names = SQL.joined(all.map { "\(literal: $0)" }, separator: ", ")
        return """
            SELECT t.rows, t.hash, coalesce(c.relfilenode = pg_relation_filenode(c.oid) AND ARRAY[\(now)]::oid[] = ARRAY(SELECT a.atttypid \
            FROM unnest(ARRAY[\(names)]::text[]) WITH ORDINALITY wanted(name, place) LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = wanted.name \
            AND NOT a.attisdropped ORDER BY place), false) AS unchanged \
            FROM (SELECT count(*) AS rows, coalesce(sum(hashtextextended(ROW(\(list))::text, 0)), 0)::text AS hash FROM ONLY \(table)\(condition)) t \
            LEFT JOIN (pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace) \
            ON n.nspname = \(literal: relation.schema) AND c.relname = \(literal: relation.name) AND c.oid = \(literal: table.text)::regclass
            """
    }
}

/// What a look at one table at an earlier moment gave.
public enum TableLook: Sendable, Hashable {
    case seen(TableFingerprint)
    /// The table was rewritten, truncated, dropped or made since, or its columns were changed: nobody can tell any more what it held then.
    case changedSince
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
        return try await look(ReplicatedTable.all(), deadline).map { row in
            let relation = try RelationName(row: row)
            return ReplicatedTable(
                relation: relation, isPartitioned: try row.get("partitioned"),
                columns: try row.get("columns", as: [String].self).sorted(), memberships: memberships[relation] ?? [])
        }.sorted { $0.relation < $1.relation }
    }

    /// The fingerprint of one table as it was when `snapshot` was taken. Equal rows give equal fingerprints on every node, whatever their settings and
    /// locale. The table's lock is gone with the answer.
    /// - Parameters:
    ///   - table: as the source had it then.
    ///   - columns: what to look at, in the same order on every node.
    ///   - rowFilter: which rows to look at, as the catalog of replication sets gives it.
    public func fingerprint(
        of table: ReplicatedTable, columns: [String], rowFilter: String? = nil, at snapshot: HeldSnapshot, deadline: Deadline
    ) async throws -> TableLook {
        let statement = TableFingerprint.of(table.relation, columns: columns, of: table.columns, rowFilter: rowFilter)
        do {
            let row = try await server.answer(to: statement, seeing: snapshot, deadline: deadline).one()
            guard try row.get("unchanged") else { return .changedSince }
            return .seen(TableFingerprint(rows: try row.get("rows"), hash: try row.get("hash")))
        } catch let error as PostgresError where TableLook.isGone(error.code) {
            return .changedSince
        }
    }
}

extension TableLook {
    /// Whether a statement failed because the table, its schema, a column or a function of its row filter is not there any more.
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    static func isGone(_ code: String?) -> Bool { ["42P01", "3F000", "42703", "42883", "42804", "42809"].contains(code) }
}
