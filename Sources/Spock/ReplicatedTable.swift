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
    /// About how many bytes its rows take, as the file system says it (up to 1 GB of them): whether a look at it takes long.
    public var bytes: Int64

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
        ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns, \
        \(bytes("c.oid")) + \(bytes("c.reltoastrelid")) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (SELECT t.set_reloid FROM spock.replication_set_table t \
        JOIN spock.replication_set s ON s.set_id = t.set_id JOIN spock.local_node l ON l.node_id = s.set_nodeid)
        """
    }

    /// Of the first segment of a relation's file. Unlike `pg_relation_size` it waits for nobody's lock.
    private static func bytes(_ relation: SQL) -> SQL { "coalesce((pg_stat_file(pg_relation_filepath(\(relation)), true)).size, 0)" }
}

extension ReplicatedTable {
    private static let bytesAtOnce: Int64 = 8_000_000, tablesAtOnce = 100

    /// `tables` in their order, in parts that are looked at together: a large one by itself, of small ones as many as take a moment.
    public static func batches(_ tables: [ReplicatedTable]) -> [[ReplicatedTable]] {
        var batches: [[ReplicatedTable]] = [], bytes: Int64 = 0
        for table in tables {
            bytes += table.bytes
            if let last = batches.last, bytes <= bytesAtOnce, last.count < tablesAtOnce {
                batches[batches.count - 1].append(table)
            } else {
                batches.append([table])
                bytes = table.bytes
            }
        }
        return batches
    }
}

/// What of a table is looked at: the columns, in the same order on every node, and the rows.
public struct TablePart: Sendable, Hashable {
    /// As the source had it.
    public var table: ReplicatedTable
    public var columns: [String]
    /// Which rows, as the catalog of replication sets gives it; `nil` for all.
    public var rowFilter: String?

    public init(of table: ReplicatedTable, columns: [String], rowFilter: String? = nil) {
        (self.table, self.columns, self.rowFilter) = (table, columns, rowFilter)
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
                columns: try row.get("columns", as: [String].self).sorted(), memberships: memberships[relation] ?? [],
                bytes: try row.get("bytes"))
        }.sorted { $0.relation < $1.relation }
    }

    /// The fingerprint of each of `parts` as it was when `snapshot` was taken. Equal rows give equal fingerprints on every node, whatever their
    /// settings and locale. The tables' locks are gone with the answer; where there are several, no other table stays locked while somebody keeps one of
    /// them: each is looked at by itself then.
    public func fingerprints(of parts: [TablePart], at snapshot: HeldSnapshot, deadline: Deadline) async throws -> [TableLook] {
        let statements = parts.map { TableFingerprint.of($0.table.relation, columns: $0.columns, of: $0.table.columns, rowFilter: $0.rowFilter) }
        do {
            let patience: Duration? = parts.count > 1 ? .milliseconds(100) : nil
            return try await server.answers(to: statements, seeing: snapshot, waiting: patience, deadline: deadline).map { try TableLook(row: $0.one()) }
        } catch let error as PostgresError where TableLook.isGone(error.code) || error.code == "55P03" {
            guard parts.count > 1 else {
                guard TableLook.isGone(error.code) else { throw error }
                return [.changedSince]
            }
            var looks: [TableLook] = []
            for part in parts { looks += try await fingerprints(of: [part], at: snapshot, deadline: deadline) }
            return looks
        }
    }
}

extension TableLook {
    init(row: Row) throws {
        self = try row.get("unchanged") ? .seen(TableFingerprint(rows: row.get("rows"), hash: row.get("hash"))) : .changedSince
    }

    /// Whether a statement failed because the table, its schema, a column or a function of its row filter is not there any more.
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    static func isGone(_ code: String?) -> Bool { ["42P01", "3F000", "42703", "42883", "42804", "42809"].contains(code) }
}
