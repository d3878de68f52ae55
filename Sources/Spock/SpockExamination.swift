public import EventLoop
internal import PostgresClient
public import Server

/// What of a node may be wrong though nothing says so, besides what its ``SpockNodeState`` has.
public struct SpockExamination: Sendable, Hashable {
    /// Tables of users that are in no replication set of this node. Unlogged and temporary ones, and those of extensions, are none.
    public var tablesInNoSet: [RelationName]
    /// The sequences that number the rows of replicated tables.
    public var keySequences: [KeySequence]
    public var newestException: Exception?
    /// Origins of who else subscribes in this instance: by PostgreSQL's own logical replication, or in this database by another extension.
    public var otherOrigins: [OriginName]

    /// A row of `spock.exception_log`.
    public struct Exception: Sendable, Hashable {
        /// As the server writes it.
        public var at: String
        public var table: RelationName?
        public var message: String

        public init(at: String, table: RelationName?, message: String) { (self.at, self.table, self.message) = (at, table, message) }
    }

    public init(tablesInNoSet: [RelationName] = [], keySequences: [KeySequence] = [], newestException: Exception? = nil, otherOrigins: [OriginName] = []) {
        (self.tablesInNoSet, self.keySequences, self.newestException, self.otherOrigins) = (tablesInNoSet, keySequences, newestException, otherOrigins)
    }

    private static let ownSets: SQL = "spock.replication_set s JOIN spock.local_node l ON l.node_id = s.set_nodeid"

    static func tablesInNoSet() -> SQL {
        """
        SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence = 'p' \
        AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'spock', 'pgedge_ace', 'pglogical', 'pggraft') AND n.nspname !~ '^pg_(toast|temp)' \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
        AND NOT EXISTS (SELECT FROM spock.replication_set_table t JOIN \(ownSets) ON s.set_id = t.set_id WHERE t.set_reloid = c.oid) ORDER BY 1, 2
        """
    }

    /// With what a column has by itself that is a key alone: in a key of several columns the others may tell the nodes apart. A function of another extension that makes
    /// numbers of a sequence has its own way to do so.
    static func keySequences() -> SQL {
        """
        SELECT DISTINCT tn.nspname AS table_schema, c.relname AS table_name, a.attname AS column_name, sn.nspname, q.relname, p.seqincrement AS increment, p.seqmin AS minimum, \
        p.seqmax AS maximum, p.seqstart AS start FROM pg_class c JOIN pg_namespace tn ON tn.oid = c.relnamespace \
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_attrdef e ON e.adrelid = c.oid AND e.adnum = a.attnum \
        JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass AND pg_get_expr(e.adbin, e.adrelid) LIKE 'nextval(%' \
        OR d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'i' AND a.attidentity <> '' \
        JOIN pg_class q ON q.relkind = 'S' AND q.oid = CASE WHEN d.classid = 'pg_attrdef'::regclass THEN d.refobjid ELSE d.objid END \
        JOIN pg_namespace sn ON sn.oid = q.relnamespace JOIN pg_sequence p ON p.seqrelid = q.oid \
        WHERE EXISTS (SELECT FROM spock.replication_set_table t JOIN \(ownSets) ON s.set_id = t.set_id WHERE t.set_reloid = c.oid AND s.replicate_insert) \
        AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) ORDER BY 1, 2, 3
        """
    }

    static func newestException() -> SQL {
        "SELECT retry_errored_at::text AS at, table_schema, table_name, error_message AS message FROM spock.exception_log ORDER BY retry_errored_at DESC LIMIT 1"
    }

    /// - Parameters:
    ///   - native: the answer to ``nativeOrigins()``.
    ///   - there: that to ``OtherSubscriptions/there()``.
    fileprivate static func otherOrigins(native: Rows, there: Rows, in connection: PostgresConnection, deadline: Deadline) async throws -> [OriginName] {
        try await native.map { try $0.get("origin") } + OtherSubscriptions.origins(there, in: connection, deadline: deadline)
    }

    static func nativeOrigins() -> SQL {
        "SELECT o.roname AS origin FROM pg_replication_origin o JOIN pg_subscription s ON o.roname = 'pg_' || s.oid OR o.roname LIKE 'pg\\_' || s.oid || '\\_%'"
    }
}

/// A sequence that numbers the rows of a replicated table, by its default or as its identity.
public struct KeySequence: Sendable, Hashable {
    public var name: RelationName
    public var table: RelationName
    public var column: String
    public var increment: Int64
    public var minimum: Int64
    public var maximum: Int64
    public var start: Int64
    /// The number that this node makes next.
    public var next: Int64

    public init(
        _ name: RelationName, of table: RelationName, column: String, increment: Int64 = 1, minimum: Int64 = 1, maximum: Int64 = .max, start: Int64 = 1, next: Int64? = nil
    ) {
        (self.name, self.table, self.column, self.increment) = (name, table, column, increment)
        (self.minimum, self.maximum, self.start, self.next) = (minimum, maximum, start, next ?? start)
    }

    init(row: Row) throws {
        self.init(
            try RelationName(row: row), of: RelationName(schema: try row.get("table_schema"), name: try row.get("table_name")), column: try row.get("column_name"),
            increment: try row.get("increment"), minimum: try row.get("minimum"), maximum: try row.get("maximum"), start: try row.get("start"))
    }

    /// Whether it can make a number that `other`, on another node, has made or will make.
    ///
    /// It cannot where their ranges are apart, where their steps never meet, and where each has a block of its own that is not used up.
    public func collides(with other: KeySequence) -> Bool {
        if maximum < other.minimum || other.maximum < minimum { return false }
        let step = Self.commonDivisor(increment.magnitude, other.increment.magnitude)
        if step > 1, Self.rest(next, step) != Self.rest(other.next, step) { return false }
        let (lower, upper) = start < other.start ? (self, other) : (other, self)
        // Blocks that are smaller are none that anybody has meant.
        let block = upper.start.subtractingReportingOverflow(lower.start)
        return !(block.overflow || block.partialValue >= 1000) || increment < 0 || other.increment < 0 || lower.next >= upper.start
    }

    /// One that was set to a number has yet to make that.
    static func position(of name: RelationName) -> SQL { "SELECT last_value, is_called FROM \(name.sql)" }

    mutating func stand(at row: Row) throws {
        let last: Int64 = try row.get("last_value")
        next = try row.get("is_called") ? Int64(clamping: Int128(last) + Int128(increment)) : last
    }

    private static func commonDivisor(_ one: UInt64, _ other: UInt64) -> UInt64 { other == 0 ? one : commonDivisor(other, one % other) }
    static func rest(_ value: Int64, _ step: UInt64) -> UInt64 {
        let rest = value.magnitude % step
        return value < 0 && rest > 0 ? step - rest : rest
    }
}

extension SpockSession {
    /// Origins of who else subscribes in this instance: by PostgreSQL's own logical replication, or in this database by another extension.
    public func otherOrigins(deadline: Deadline) async throws -> [OriginName] {
        let answers = try await connection.look(together: [SpockExamination.nativeOrigins(), OtherSubscriptions.there()], deadline: deadline)
        return try await SpockExamination.otherOrigins(native: answers[0], there: answers[1], in: connection, deadline: deadline)
    }

    /// What may be wrong with this node though nothing says so. Of a node only: it reads Spock's catalogs.
    public func examination(deadline: Deadline) async throws -> SpockExamination {
        let answers = try await connection.look(
            together: [
                SpockExamination.tablesInNoSet(), SpockExamination.keySequences(), SpockExamination.newestException(), SpockExamination.nativeOrigins(), OtherSubscriptions.there(),
            ], deadline: deadline)
        let exception = try answers[2].first.map { row in
            let schema: String? = try row.optional("table_schema"), name: String? = try row.optional("table_name")
            let table = schema.flatMap { schema in name.map { RelationName(schema: schema, name: $0) } }
            return SpockExamination.Exception(at: try row.get("at"), table: table, message: try row.get("message"))
        }
        let others = try await SpockExamination.otherOrigins(native: answers[3], there: answers[4], in: connection, deadline: deadline)
        var sequences = try answers[1].map(KeySequence.init(row:))
        let positions = try await connection.look(together: sequences.map { KeySequence.position(of: $0.name) }, deadline: deadline)
        for (place, answer) in positions.enumerated() { try sequences[place].stand(at: answer.one()) }
        return SpockExamination(
            tablesInNoSet: try answers[0].map(RelationName.init(row:)), keySequences: sequences, newestException: exception,
            otherOrigins: others)
    }
}

/// The subscriptions that a database has by Spock or pglogical, whichever is there.
enum OtherSubscriptions {
    static func there() -> SQL {
        """
        SELECT schema FROM unnest('{spock,pglogical}'::text[]) schema WHERE to_regclass(schema || '.subscription') IS NOT NULL
        """
    }

    static func slots(in schema: String) -> SQL { "SELECT sub_slot_name AS origin FROM \(identifier: schema).subscription" }

    /// - Parameter answer: to ``there()``.
    static func origins(_ answer: Rows, in connection: PostgresConnection, deadline: Deadline) async throws -> [OriginName] {
        let schemas: [String] = try answer.map { try $0.get("schema") }
        return try await connection.look(together: schemas.map(slots), deadline: deadline).flatMap { rows in try rows.map { try $0.get("origin") } }
    }
}
