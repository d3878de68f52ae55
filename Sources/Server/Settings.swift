public import EventLoop
import PostgresClient
import PostgresConfig

enum ServerSettings {
    static func read(_ names: [String]) -> SQL { "SELECT name, setting FROM pg_settings WHERE name = ANY (\(names)::text[]) AND setting IS NOT NULL" }

    static func build(_ names: [String]) -> SQL { "SELECT name, setting FROM pg_config WHERE name = ANY (\(names)::text[])" }
}

extension ServerSession {
    /// The values of `names` as `pg_settings` has them, numbers in the setting's base unit; those that the server does not have are left out.
    public func settings(_ names: [String], deadline: Deadline) async throws -> [String: String] {
        try await values(ServerSettings.read(names), deadline)
    }

    /// What the server's programs were built with, by the names of `pg_config`: `PKGLIBDIR`, `SHAREDIR` … Empty before 9.6.
    public func build(_ names: [String], deadline: Deadline) async throws -> [String: String] {
        features.hasBuildView ? try await values(ServerSettings.build(names), deadline) : [:]
    }

    /// Whether this session's role is a superuser.
    public var isSuperuser: Bool { get async { await connection.parameterStatus("is_superuser") == "on" } }

    private func values(_ sql: SQL, _ deadline: Deadline) async throws -> [String: String] {
        try await look(sql, deadline).reduce(into: [:]) { $0[try $1.get("name")] = try $1.get("setting", as: String.self) }
    }
}
