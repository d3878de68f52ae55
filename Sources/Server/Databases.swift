public import EventLoop
import PostgresClient

enum Database {
    static func sizes() -> SQL { "SELECT datname, pg_database_size(oid) AS bytes FROM pg_database" }

    static func others() -> SQL {
        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> current_database() ORDER BY datname"
    }

    static func connectionLimit() -> SQL { "SELECT datname, datconnlimit FROM pg_database WHERE datname = current_database()" }

    static func limitConnections(of database: String, to limit: Int) -> SQL {
        "ALTER DATABASE \(identifier: database) CONNECTION LIMIT \(SQL(stringLiteral: "\(limit)"))"
    }
}

extension ServerSession {
    /// Bytes of every database of the instance.
    public func databaseSizes(deadline: Deadline) async throws -> [String: UInt64] {
        try await query(Database.sizes(), deadline).reduce(into: [:]) {
            $0[try $1.get("datname")] = UInt64(max(0, try $1.get("bytes", as: Int64.self)))
        }
    }

    /// The other databases of the instance that take connections and are no templates, in order of name.
    public func otherDatabases(deadline: Deadline) async throws -> [String] {
        try await query(Database.others(), deadline).map { try $0.get("datname") }
    }

    /// Has this database take so many connections, superusers' left out of account; -1 for any number. Where it is so already, nothing is changed.
    public func limitConnections(to limit: Int, deadline: Deadline) async throws {
        let row = try await query(Database.connectionLimit(), deadline).one()
        guard try row.get("datconnlimit", as: Int.self) != limit else { return }
        try await query(Database.limitConnections(of: try row.get("datname"), to: limit), deadline)
    }
}
