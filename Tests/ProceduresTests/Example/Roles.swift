import EventLoop
import PostgresClient
import Server

/// Roles, as a server has them. A procedure of pggraft itself would have this in Sources/Server.
enum Roles {
    static func connectionLimit(_ role: String) -> SQL { "SELECT rolconnlimit FROM pg_roles WHERE rolname = \(role)" }
    static func create(_ role: String) -> SQL { "CREATE ROLE \(identifier: role) LOGIN" }
    static func limit(_ role: String, to limit: Int) -> SQL { "ALTER ROLE \(identifier: role) CONNECTION LIMIT \(SQL(stringLiteral: "\(limit)"))" }
    static func drop(_ role: String) -> SQL { "DROP ROLE \(identifier: role)" }
}

extension ServerSession {
    /// How many connections `role` may have, -1 for any number; `nil` where there is no such role.
    func connectionLimit(of role: String) async throws -> Int? {
        try await connection.query(Roles.connectionLimit(role), deadline: .after(.seconds(10))).first?.get("rolconnlimit")
    }

    func change(_ statement: SQL) async throws { _ = try await connection.query(statement, deadline: .after(.seconds(10))) }
}
