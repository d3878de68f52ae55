public import EventLoop
import PostgresClient

/// A sequence of users, and where it stands.
struct UserSequence: Sendable, Hashable {
    var schema: String
    var name: String
    var increment: Int64
    /// The number that it has made last; that which it makes next as long as it `isCalled` not.
    var last: Int64
    var isCalled: Bool

    /// So many in one statement: each takes locks.
    static let batch = 200

    private static func relation(_ schema: String, _ name: String) -> SQL { "\(identifier: schema).\(identifier: name)" }

    /// Those of users, but the ones in `schemas` and those of extensions. One that has made no number yet does not say here where it stands.
    static func all(outside schemas: [String]) -> SQL {
        """
        SELECT n.nspname AS schema, c.relname AS name, s.seqincrement AS increment, s.seqstart AS start, pg_sequence_last_value(c.oid) AS last FROM pg_sequence s \
        JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't' AND n.nspname !~ '^pg_' \
        AND n.nspname <> 'information_schema' AND n.nspname <> ALL (\(schemas)::text[]) \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2
        """
    }

    /// Where each of `sequences` stands.
    static func positions(of sequences: [UserSequence]) -> SQL {
        SQL.joined(
            sequences.enumerated().map { "SELECT \($0.offset)::integer AS place, last_value AS last, is_called FROM \(relation($0.element.schema, $0.element.name))" },
            separator: " UNION ALL ")
    }

    /// Sets each of `sequences` to where it is to stand, if it is behind in the direction in which it counts: a row for each that was.
    static func advance(_ sequences: [UserSequence]) -> SQL {
        SQL.joined(
            sequences.map { sequence in
                let isBehind: SQL = sequence.increment < 0 ? "s.last_value > \(sequence.last)::bigint" : "s.last_value < \(sequence.last)::bigint"
                return """
                    SELECT setval(s.tableoid::regclass, \(sequence.last)::bigint, \(sequence.isCalled)::boolean) FROM \(relation(sequence.schema, sequence.name)) s \
                    WHERE \(isBehind) OR s.last_value = \(sequence.last)::bigint AND s.is_called < \(sequence.isCalled)::boolean
                    """
            }, separator: " UNION ALL ")
    }
}

extension ServerSession {
    /// Sets the sequences of users in this database, but those in `schemas`, to where those of the same names stand on `source`: each that is behind.
    /// - Returns: how many both have, and how many of them were behind.
    public func bringSequences(to source: ServerSession, except schemas: [String], deadline: Deadline) async throws -> (common: Int, behind: Int) {
        async let own = look(UserSequence.all(outside: schemas), deadline).map { [try $0.get("schema", as: String.self), try $0.get("name", as: String.self)] }
        let rows = try await source.look(UserSequence.all(outside: schemas), deadline), there = Set(try await own)
        var moved: [UserSequence] = [], unmoved: [UserSequence] = []
        for row in rows {
            let last: Int64? = try row.optional("last")
            let sequence = UserSequence(
                schema: try row.get("schema"), name: try row.get("name"), increment: try row.get("increment"), last: try last ?? row.get("start"), isCalled: last != nil)
            guard there.contains([sequence.schema, sequence.name]) else { continue }
            if last == nil { unmoved.append(sequence) } else { moved.append(sequence) }
        }
        for start in stride(from: 0, to: unmoved.count, by: UserSequence.batch) {
            let end = min(start + UserSequence.batch, unmoved.count)
            for row in try await source.look(UserSequence.positions(of: Array(unmoved[start..<end])), deadline) {
                let place = start + (try row.get("place", as: Int.self))
                unmoved[place].last = try row.get("last")
                unmoved[place].isCalled = try row.get("is_called")
            }
        }
        let all = moved + unmoved
        var behind = 0
        for start in stride(from: 0, to: all.count, by: UserSequence.batch) {
            behind += try await query(UserSequence.advance(Array(all[start..<min(start + UserSequence.batch, all.count)])), deadline).count
        }
        return (all.count, behind)
    }
}
