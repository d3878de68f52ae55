public import EventLoop
internal import PostgresClient

/// A table that belongs to at least one replication set of the local node.
public struct ReplicatedTable: Sendable, Hashable {
    public var relation: RelationName
    /// A partitioned table has no rows of its own; its partitions stand in the sets by themselves.
    public var isPartitioned: Bool
    /// Every column, in order of name: the same order on every node whatever happened to the table there.
    public var columns: [String]
    /// The columns of its primary key, in the key's order; none where it has no key.
    public var key: [KeyColumn]
    public var memberships: [Membership]
    /// About how many bytes its rows take: whether a look at it takes long.
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
        ARRAY(SELECT a.attname::text FROM \(key) ORDER BY k.place) AS key, \
        ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM \(key) ORDER BY k.place) AS key_types, \
        \(bytes("c.oid")) + \(bytes("c.reltoastrelid")) AS bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN (SELECT t.set_reloid FROM spock.replication_set_table t \
        JOIN spock.replication_set s ON s.set_id = t.set_id JOIN spock.local_node l ON l.node_id = s.set_nodeid)
        """
    }

    private static let key: SQL = """
        pg_index i, unnest(i.indkey::smallint[]) WITH ORDINALITY k(attnum, place), pg_attribute a \
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.attnum
        """

    /// Of the first segment of a relation's file, or what it had when it was last analyzed. Unlike `pg_relation_size` it waits for nobody's lock.
    private static func bytes(_ relation: SQL) -> SQL {
        """
        greatest(coalesce((pg_stat_file(pg_relation_filepath(\(relation)), true)).size, 0), \
        coalesce((SELECT r.relpages::bigint * current_setting('block_size')::bigint FROM pg_class r WHERE r.oid = \(relation)), 0))
        """
    }
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
                relation: relation, isPartitioned: try row.get("partitioned"), columns: try row.get("columns", as: [String].self).sorted(),
                key: zip(try row.get("key", as: [String].self), try row.get("key_types", as: [String].self)).map(KeyColumn.init), memberships: memberships[relation] ?? [],
                bytes: try row.get("bytes"))
        }.sorted { $0.relation < $1.relation }
    }
}
