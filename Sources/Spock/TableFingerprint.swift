public import EventLoop
internal import PostgresClient
import Report
public import Server

/// What of a table is looked at: the columns, in the same order on every node, and the rows.
public struct TablePart: Sendable, Hashable {
    /// As the source has it.
    public var table: ReplicatedTable
    public var columns: [String]
    /// Which rows, as the catalog of replication sets gives it; `nil` for all.
    public var rowFilter: String?
    /// Which of them by their key.
    public var range: KeyRange

    public init(of table: ReplicatedTable, columns: [String], rowFilter: String? = nil, range: KeyRange = .whole) {
        (self.table, self.columns, self.rowFilter, self.range) = (table, columns, rowFilter, range)
    }
}

/// Rows of a table as two numbers that do not depend on their order.
public struct TableFingerprint: Sendable, Hashable, Codable, CustomStringConvertible {
    public var rows: Int64
    /// The sum of one 64-bit hash per row.
    public var hash: String

    public init(rows: Int64, hash: String) {
        self.rows = rows
        self.hash = hash
    }

    public var description: String { "\(rows) rows, hash \(hash)" }

    /// By how much two differ: stays the same as long as both get the same rows.
    public struct Offset: Sendable, Hashable {
        var rows: Int64
        var hash: Int128
    }

    /// `nil` where a hash is no number.
    public func offset(from other: TableFingerprint) -> Offset? {
        guard let own = Int128(hash), let others = Int128(other.hash) else { return nil }
        return Offset(rows: rows - other.rows, hash: own - others)
    }

    /// Counts and hashes the rows of `part` by their text form, those that were committed before `moment`; the younger ones are only counted. A row
    /// bears the time of its commit on the node that it was written on, whichever node is asked.
    static func of(_ part: TablePart, before moment: ServerMoment?) -> SQL {
        """
        SELECT count(*) FILTER (WHERE settled) AS rows, coalesce(sum(hash) FILTER (WHERE settled), 0)::text AS hash, \
        count(*) FILTER (WHERE NOT settled) AS younger FROM (SELECT \(hash(part)) AS hash, \(settled(moment)) AS settled\(part.rows)) r
        """
    }

    /// Each row of `part` that was committed before `moment`, in the key's order.
    static func each(of part: TablePart, before moment: ServerMoment?, atMost limit: Int) -> SQL {
        "SELECT \(part.key) AS key, \(hash(part))::text AS hash\(part.rows(and: [settled(moment)])) ORDER BY \(KeyRange.columns(part.table.key)) LIMIT \(limit)"
    }

    /// The key of the row `rows` behind the beginning of `part`'s range.
    static func boundary(of part: TablePart, after rows: Int) -> SQL {
        "SELECT \(part.key) AS key\(part.rows) ORDER BY \(KeyRange.columns(part.table.key)) OFFSET \(rows - 1) LIMIT 1"
    }

    /// The keys of some rows from all over the table: the same ones for the same `seed`, while nobody writes to it.
    static func sample(of part: TablePart, rows: Int, seed: Int) -> SQL {
        let share = min(100, 100 * Double(rows) * 8192 / Double(max(part.table.bytes, 1)))
        return """
            SELECT key FROM (SELECT \(part.key) AS key, row_number() OVER (PARTITION BY (ctid::text::point)[0]) AS place \
            FROM ONLY \(part.table.relation.sql) TABLESAMPLE SYSTEM (\(SQL(stringLiteral: "\(share)"))) REPEATABLE (\(seed))) s WHERE place = 1 LIMIT \(rows)
            """
    }

    private static func hash(_ part: TablePart) -> SQL {
        "hashtextextended(ROW(\(SQL.joined(part.columns.map { "\(identifier: $0)" }, separator: ", ")))::text, 0)"
    }

    static func now() -> SQL {
        """
        SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS moment, current_setting('track_commit_timestamp')::boolean AS tracked
        """
    }

    /// What the server has forgotten the time of was committed long ago.
    private static func settled(_ moment: ServerMoment?) -> SQL {
        guard let moment else { return "true" }
        return "coalesce(pg_xact_commit_timestamp(xmin) <= to_timestamp(\(literal: "\(moment.microseconds)")::float8 / 1000000), true)"
    }
}

extension TablePart {
    fileprivate var rows: SQL { rows(and: []) }

    /// `FROM` and `WHERE`. The row filter is what `pg_get_expr` gave for one of the same table: it goes into the text as it stands.
    fileprivate func rows(and others: [SQL]) -> SQL {
        let conditions = range.conditions(table.key) + [rowFilter.map { SQL(stringLiteral: $0) }].compactMap(\.self) + others
        return " FROM ONLY \(table.relation.sql)\(conditions.isEmpty ? "" : " WHERE \(SQL.joined(conditions, separator: " AND "))" as SQL)"
    }

    fileprivate var key: SQL { "ARRAY[\(SQL.joined(table.key.map { "\(identifier: $0.name)::text" }, separator: ", "))]" }
}

/// What a look at a part of a table gave.
public enum TableLook: Sendable, Hashable {
    /// What was committed before the moment; and how many rows are younger.
    case seen(TableFingerprint, younger: Int64)
    /// There is no such table there, or it has other columns; the server's words.
    case absent(String)
}

extension SpockSession {
    /// Now, by this server's clock, and whether it keeps when each row was committed.
    public func commitMoment(deadline: Deadline) async throws -> (moment: ServerMoment, isTracked: Bool) {
        let row = try await look(TableFingerprint.now(), deadline).one()
        return (ServerMoment(microseconds: try row.get("moment")), try row.get("tracked"))
    }

    /// The fingerprint of each of `parts`: equal rows give equal fingerprints on every node, whatever their settings and locale. Each is looked at by
    /// itself: no lock and no snapshot is kept from one to the next.
    /// - Parameter moment: before which rows must have been committed; `nil` for all.
    public func fingerprints(of parts: [TablePart], before moment: ServerMoment?, deadline: Deadline) async throws -> [TableLook] {
        do {
            return try await connection.query(together: parts.map { TableFingerprint.of($0, before: moment) }, deadline: deadline).map { answer in
                let row = try answer.one()
                return .seen(TableFingerprint(rows: try row.get("rows"), hash: try row.get("hash")), younger: try row.get("younger"))
            }
        } catch let error as PostgresError where TableLook.isAbsent(error.code) {
            guard parts.count > 1 else { return [.absent(Problem(explaining: error).fact)] }
            var looks: [TableLook] = []
            for part in parts { looks += try await fingerprints(of: [part], before: moment, deadline: deadline) }
            return looks
        }
    }

    /// The key of the row `rows` rows behind the beginning of `part`'s range; `nil` where it has not so many.
    public func boundary(of part: TablePart, after rows: Int, deadline: Deadline) async throws -> [String]? {
        try await look(TableFingerprint.boundary(of: part, after: rows), deadline).first?.get("key")
    }

    /// The same of each of `parts`.
    public func boundaries(of parts: [TablePart], after rows: Int, deadline: Deadline) async throws -> [[String]?] {
        try await connection.query(together: parts.map { TableFingerprint.boundary(of: $0, after: rows) }, deadline: deadline).map { try $0.first?.get("key") }
    }

    /// Up to `limit` rows of `part`: the key of each, and its hash.
    public func rows(of part: TablePart, before moment: ServerMoment?, atMost limit: Int, deadline: Deadline) async throws -> [(key: [String], hash: String)] {
        try await look(TableFingerprint.each(of: part, before: moment, atMost: limit), deadline).map { (try $0.get("key"), try $0.get("hash")) }
    }

    /// The keys of about `rows` rows from all over a table.
    public func sample(of part: TablePart, rows: Int, seed: Int, deadline: Deadline) async throws -> [[String]] {
        try await look(TableFingerprint.sample(of: part, rows: rows, seed: seed), deadline).map { try $0.get("key") }
    }
}

extension TableLook {
    /// Whether a statement failed because the table, its schema, a column or a function of its row filter is not there.
    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    static func isAbsent(_ code: String?) -> Bool { ["42P01", "3F000", "42703", "42883", "42804", "42809"].contains(code) }
}
