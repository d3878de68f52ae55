public import EventLoop
public import PostgresClient
internal import Server

/// A table that is in a replication set, and that Spock would not put there today: the set cannot be made again on a new node.
public struct RefusedTable: Sendable, Hashable, CustomStringConvertible {
    public var relation: RelationName
    public var set: ReplicationSetName
    public var reason: Reason

    public enum Reason: String, Sendable, Hashable, PostgresDecodable {
        /// It became UNLOGGED.
        case unlogged
        /// The set replicates UPDATE or DELETE, and the table lost its primary key, or has REPLICA IDENTITY FULL or NOTHING.
        case identity
        /// The column list leaves out a column of the replica identity, or names one that is gone.
        case columns

        public init?(postgresText: String) { self.init(rawValue: postgresText) }
    }

    public var description: String {
        let why =
            switch reason {
            case .unlogged: "is unlogged"
            case .identity: "has no primary key, or another replica identity"
            case .columns: "has a column list that does not fit its columns any more"
            }
        return "\(relation) in \(set) \(why)"
    }

    static func all() -> SQL {
        """
        SELECT * FROM (SELECT s.set_name, n.nspname, c.relname, CASE WHEN c.relpersistence <> 'p' THEN 'unlogged' \
        WHEN (s.replicate_update OR s.replicate_delete) AND i.indexrelid IS NULL THEN 'identity' \
        WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey) AND a.attname::text <> ALL (t.set_att_list)) \
        OR EXISTS (SELECT FROM unnest(t.set_att_list) listed WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid \
        AND a.attname = listed AND NOT a.attisdropped)) THEN 'columns' END AS reason FROM spock.replication_set_table t \
        JOIN spock.replication_set s ON s.set_id = t.set_id JOIN spock.local_node l ON l.node_id = s.set_nodeid \
        JOIN pg_class c ON c.oid = t.set_reloid JOIN pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisvalid AND i.indisunique AND i.indimmediate AND i.indpred IS NULL \
        AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) tables \
        WHERE reason IS NOT NULL ORDER BY nspname, relname, set_name
        """
    }

}

extension RefusedTable {
    init(row: Row) throws {
        self.init(relation: try RelationName(row: row), set: try row.get("set_name"), reason: try row.get("reason"))
    }
}

extension SpockSession {
    /// The tables of this node's replication sets that could not be put into them again.
    public func refusedTables(deadline: Deadline) async throws -> [RefusedTable] {
        try await look(RefusedTable.all(), deadline).map(RefusedTable.init(row:))
    }
}
