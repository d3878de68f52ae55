public import EventLoop
public import PostgresClient
internal import Server

/// A replication set of the local node, with all that belongs to it: what must be the same on the new node as on the source.
public struct ReplicationSet: Sendable, Hashable, Codable {
    public var name: ReplicationSetName
    public var actions: Actions
    /// In order of schema and name.
    public var tables: [Table]
    /// In order of schema and name.
    public var sequences: [RelationName]

    /// Which changes of its tables the set replicates.
    public struct Actions: Sendable, Hashable, Codable {
        public var insert: Bool
        public var update: Bool
        public var delete: Bool
        public var truncate: Bool

        public init(insert: Bool = true, update: Bool = true, delete: Bool = true, truncate: Bool = true) {
            self.insert = insert
            self.update = update
            self.delete = delete
            self.truncate = truncate
        }
    }

    /// A table in the set. Partitions stand in the catalog one by one, each with its own columns and filter.
    public struct Table: Sendable, Hashable, Codable {
        public var relation: RelationName
        /// The replicated columns, in the catalog's order; `nil` for all of them.
        public var columns: [String]?
        /// The row filter as `pg_get_expr` writes it with an empty search path; `nil` for all rows.
        public var rowFilter: String?

        public init(relation: RelationName, columns: [String]? = nil, rowFilter: String? = nil) {
            self.relation = relation
            self.columns = columns
            self.rowFilter = rowFilter
        }
    }

    public init(name: ReplicationSetName, actions: Actions = Actions(), tables: [Table] = [], sequences: [RelationName] = []) {
        self.name = name
        self.actions = actions
        self.tables = tables
        self.sequences = sequences
    }
}

/// A table or a sequence by schema and name.
public struct RelationName: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    public let schema: String
    public let name: String

    public init(schema: String, name: String) {
        self.schema = schema
        self.name = name
    }

    public var description: String { "\(schema).\(name)" }
    /// Both names as identifiers.
    public var sql: SQL { "\(identifier: schema).\(identifier: name)" }

    public static func < (left: RelationName, right: RelationName) -> Bool {
        (left.schema, left.name) < (right.schema, right.name)
    }
}

extension ReplicationSet {
    static func all() -> SQL {
        """
        SELECT s.* FROM spock.replication_set s JOIN spock.local_node l ON l.node_id = s.set_nodeid ORDER BY s.set_name
        """
    }

    static func allTables() -> SQL {
        """
        SELECT s.set_name, n.nspname, c.relname, t.set_att_list, pg_get_expr(t.set_row_filter, t.set_reloid) AS row_filter \
        FROM spock.replication_set_table t JOIN spock.replication_set s ON s.set_id = t.set_id \
        JOIN spock.local_node l ON l.node_id = s.set_nodeid JOIN pg_class c ON c.oid = t.set_reloid \
        JOIN pg_namespace n ON n.oid = c.relnamespace
        """
    }

    static func allSequences() -> SQL {
        """
        SELECT s.set_name, n.nspname, c.relname FROM spock.replication_set_seq q JOIN spock.replication_set s ON s.set_id = q.set_id \
        JOIN spock.local_node l ON l.node_id = s.set_nodeid JOIN pg_class c ON c.oid = q.set_seqoid \
        JOIN pg_namespace n ON n.oid = c.relnamespace
        """
    }

    static func create(_ set: ReplicationSet) -> SQL {
        """
        SELECT spock.repset_create(set_name := \(set.name), replicate_insert := \(set.actions.insert), \
        replicate_update := \(set.actions.update), replicate_delete := \(set.actions.delete), \
        replicate_truncate := \(set.actions.truncate))
        """
    }

    static func alter(_ set: ReplicationSet) -> SQL {
        """
        SELECT spock.repset_alter(set_name := \(set.name), replicate_insert := \(set.actions.insert), \
        replicate_update := \(set.actions.update), replicate_delete := \(set.actions.delete), \
        replicate_truncate := \(set.actions.truncate))
        """
    }

    static func drop(_ set: ReplicationSetName) -> SQL { "SELECT spock.repset_drop(set_name := \(set))" }

    static func add(_ table: Table, to set: ReplicationSetName) -> SQL {
        """
        SELECT spock.repset_add_table(set_name := \(set), relation := \(regclass: table.relation), synchronize_data := false, \
        columns := \(table.columns)::text[], row_filter := \(table.rowFilter), include_partitions := false)
        """
    }

    static func remove(_ table: RelationName, from set: ReplicationSetName) -> SQL {
        "SELECT spock.repset_remove_table(set_name := \(set), relation := \(regclass: table), include_partitions := false)"
    }

    static func add(sequence: RelationName, to set: ReplicationSetName) -> SQL {
        "SELECT spock.repset_add_seq(set_name := \(set), relation := \(regclass: sequence), synchronize_data := false)"
    }

    static func remove(sequence: RelationName, from set: ReplicationSetName) -> SQL {
        "SELECT spock.repset_remove_seq(set_name := \(set), relation := \(regclass: sequence))"
    }

    /// What reads the local node's sets.
    static func reading() -> [SQL] { [all(), allTables(), allSequences()] }

    /// The sets, from the answers to ``reading()``.
    static func captured(_ answers: [Rows]) throws -> [ReplicationSet] {
        guard answers.count == 3 else { throw UnexpectedAnswer(node: answers.first?.node ?? "", text: "\(answers.count) answers to three statements") }
        var tables: [ReplicationSetName: [Table]] = [:], sequences: [ReplicationSetName: [RelationName]] = [:]
        for row in answers[1] {
            let relation = try RelationName(row: row)
            // Ours comes and goes, and a proof that was killed has left it on some nodes.
            guard relation != Canary.table else { continue }
            let table = Table(relation: relation, columns: try row.optional("set_att_list"), rowFilter: try row.optional("row_filter"))
            tables[try row.get("set_name"), default: []].append(table)
        }
        for row in answers[2] {
            sequences[try row.get("set_name"), default: []].append(try RelationName(row: row))
        }
        return try answers[0].map { row in
            let name: ReplicationSetName = try row.get("set_name")
            let actions = Actions(
                insert: try row.get("replicate_insert"), update: try row.get("replicate_update"),
                delete: try row.get("replicate_delete"), truncate: try row.get("replicate_truncate"))
            return ReplicationSet(
                name: name, actions: actions, tables: (tables[name] ?? []).sorted { $0.relation < $1.relation },
                sequences: (sequences[name] ?? []).sorted())
        }
    }

    /// What turns the sets `found` into the sets `wanted`, and no more: nothing at all where they are the same.
    static func changes(from found: [ReplicationSet], to wanted: [ReplicationSet]) -> [SQL] {
        let foundByName = Dictionary(found.map { ($0.name, $0) }) { first, _ in first }
        var statements = found.filter { set in !wanted.contains { $0.name == set.name } }.map { drop($0.name) }
        for set in wanted {
            let before: ReplicationSet
            if let there = foundByName[set.name] {
                before = there
                if there.actions != set.actions { statements.append(alter(set)) }
            } else {
                before = ReplicationSet(name: set.name)
                statements.append(create(set))
            }
            let (tables, tablesBefore) = (Set(set.tables), Set(before.tables)), (sequences, sequencesBefore) = (Set(set.sequences), Set(before.sequences))
            statements += before.tables.filter { !tables.contains($0) }.map { remove($0.relation, from: set.name) }
            statements += set.tables.filter { !tablesBefore.contains($0) }.map { add($0, to: set.name) }
            statements += before.sequences.filter { !sequences.contains($0) }.map { remove(sequence: $0, from: set.name) }
            statements += set.sequences.filter { !sequencesBefore.contains($0) }.map { add(sequence: $0, to: set.name) }
        }
        return statements
    }

    /// How `found` differs from `wanted`, one line for each difference.
    public static func differences(of found: [ReplicationSet], from wanted: [ReplicationSet]) -> [String] {
        var lines: [String] = []
        for set in wanted where !found.contains(where: { $0.name == set.name }) { lines.append("replication set \(set.name) is missing") }
        for set in found {
            guard let want = wanted.first(where: { $0.name == set.name }) else {
                lines.append("replication set \(set.name) is one too many")
                continue
            }
            if set.actions != want.actions { lines.append("replication set \(set.name) replicates other actions") }
            let tables = Set(set.tables), relations = Set(set.tables.map(\.relation)), wantedRelations = Set(want.tables.map(\.relation))
            for table in want.tables where !tables.contains(table) {
                let there = relations.contains(table.relation)
                lines.append("\(table.relation) in \(set.name) " + (there ? "has other columns or another row filter" : "is missing"))
            }
            for table in set.tables where !wantedRelations.contains(table.relation) {
                lines.append("\(table.relation) in \(set.name) is one too many")
            }
            for sequence in Set(want.sequences).symmetricDifference(set.sequences).sorted() {
                lines.append("sequence \(sequence) in \(set.name) is " + (want.sequences.contains(sequence) ? "missing" : "one too many"))
            }
        }
        return lines
    }
}

extension SQL.Interpolation {
    /// A relation, looked up by its own schema and name whatever the search path.
    mutating func appendInterpolation(regclass relation: RelationName) {
        appendInterpolation("format('%I.%I', \(relation.schema)::text, \(relation.name)::text)::regclass" as SQL)
    }
}

extension SpockSession {
    /// The local node's replication sets from the catalogs alone, so that it works on a clone that runs without Spock.
    ///
    /// Capture on the promoted clone, just before its extension is dropped: DDL may have changed the sets until then.
    public func captureReplicationSets(deadline: Deadline) async throws -> [ReplicationSet] {
        try ReplicationSet.captured(try await connection.look(together: ReplicationSet.reading(), deadline: deadline))
    }

    /// Makes the local node's replication sets those that were captured, built-in ones included, and compares afterwards.
    ///
    /// In one transaction of three round trips, or in several where there are many tables, each of which stays locked to the end of its
    /// transaction. What is right already is left alone, so it can be run again.
    /// - Throws: ``SpockError/replicationSetsDiffer(node:differences:)`` when the sets are not as captured in the end.
    public func recreateReplicationSets(_ captured: [ReplicationSet], deadline: Deadline) async throws {
        let found = try await captureReplicationSets(deadline: deadline)
        let batches = ReplicationSet.batches(ReplicationSet.changes(from: found, to: captured))
        for batch in batches.dropLast() {
            try await connection.transaction(deadline: deadline) { try await $0.query(together: batch) }
        }
        try await connection.transaction(deadline: deadline) { transaction in
            let answers = try await transaction.query(together: (batches.last ?? []) + ReplicationSet.reading())
            let now = try ReplicationSet.captured(Array(answers.suffix(3)))
            let differences = ReplicationSet.differences(of: now, from: captured)
            guard differences.isEmpty else { throw SpockError.replicationSetsDiffer(node: name, differences: differences) }
        }
    }
}

extension ReplicationSet {
    /// So many tables may be locked in one transaction: with its index and more, each takes a few of the locks that all sessions share,
    /// `max_locks_per_transaction` times `max_connections`, which are 6400 in a server as it comes.
    static let tablesAtOnce = 250

    /// `changes`, in their order, as one transaction after the other.
    static func batches(_ changes: [SQL]) -> [[SQL]] {
        stride(from: 0, to: changes.count, by: tablesAtOnce).map { Array(changes[$0..<min($0 + tablesAtOnce, changes.count)]) }
    }
}

extension RelationName {
    init(row: Row) throws { self.init(schema: try row.get("nspname"), name: try row.get("relname")) }
}
