public import EventLoop
import PostgresClient
import PostgresConfig

enum Database {
    static func sizes() -> SQL { "SELECT datname, pg_database_size(oid) AS bytes FROM pg_database" }

    static func sorted() -> SQL {
        #"SELECT datname, datcollate FROM pg_database WHERE datallowconn AND datcollate !~ '^(C|POSIX)([.]|$)' ORDER BY datname"#
    }

    static func all(_ features: ServerFeatures) -> SQL {
        let subscriptions: SQL = features.hasSubscriptions ? "ARRAY(SELECT s.subname::text FROM pg_subscription s WHERE s.subdbid = d.oid ORDER BY 1)" : "'{}'::text[]"
        return """
            SELECT d.datname, d.datname = current_database() AS own, d.datallowconn, d.datistemplate, \(subscriptions) AS subscriptions \
            FROM pg_database d ORDER BY d.datname
            """
    }

    static func connectionLimit() -> SQL { "SELECT datname, datconnlimit FROM pg_database WHERE datname = current_database()" }

    static func limitConnections(of database: String, to limit: Int) -> SQL {
        "ALTER DATABASE \(identifier: database) CONNECTION LIMIT \(SQL(stringLiteral: "\(limit)"))"
    }
}

/// A database as its instance knows it.
public struct InstanceDatabase: Sendable, Hashable {
    public var name: String
    /// It is the one that was asked.
    public var isOwn: Bool
    public var takesConnections: Bool
    public var isTemplate: Bool
    /// Its subscriptions of PostgreSQL's own logical replication, enabled or not. None before 10.
    public var subscriptions: [String]

    init(row: Row) throws {
        name = try row.get("datname")
        isOwn = try row.get("own")
        takesConnections = try row.get("datallowconn")
        isTemplate = try row.get("datistemplate")
        subscriptions = try row.get("subscriptions")
    }
}

extension ServerSession {
    /// Bytes of every database of the instance.
    public func databaseSizes(deadline: Deadline) async throws -> [String: UInt64] {
        try await look(Database.sizes(), deadline).reduce(into: [:]) {
            $0[try $1.get("datname")] = UInt64(max(0, try $1.get("bytes", as: Int64.self)))
        }
    }

    /// The databases that take connections and do not sort by the numbers of characters, with what they sort by: those to which another C library
    /// or ICU makes a difference.
    public func sortedDatabases(deadline: Deadline) async throws -> [(name: String, collation: String)] {
        try await look(Database.sorted(), deadline).map { (name: try $0.get("datname"), collation: try $0.get("datcollate")) }
    }

    /// The databases of the instance, in order of name.
    public func databases(deadline: Deadline) async throws -> [InstanceDatabase] {
        try await look(Database.all(features), deadline).map(InstanceDatabase.init(row:))
    }

    /// How many connections this database takes, superusers' left out of account; -1 for any number.
    public func connectionLimit(deadline: Deadline) async throws -> Int { try await look(Database.connectionLimit(), deadline).one().get("datconnlimit") }

    /// Has this database take so many connections, superusers' left out of account; -1 for any number. Where it is so already, nothing is changed.
    public func limitConnections(to limit: Int, deadline: Deadline) async throws {
        let row = try await look(Database.connectionLimit(), deadline).one()
        guard try row.get("datconnlimit", as: Int.self) != limit else { return }
        try await query(Database.limitConnections(of: try row.get("datname"), to: limit), deadline)
    }
}
