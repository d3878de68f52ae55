public import EventLoop
import PostgresClient
import PostgresConfig

/// What of a server decides whether it can be copied as it is.
public struct CopySource: Sendable, Hashable {
    /// Subscriptions of PostgreSQL's own logical replication, enabled or not, as `legacy (database crm)`. None before 10.
    public var subscriptions: [String]
    /// Whether the role that copies may replicate; `nil` where there is no such role.
    public var mayReplicate: Bool?

    static func read(replicatingAs role: String, _ features: ServerFeatures) -> SQL {
        let subscriptions: SQL =
            features.hasSubscriptions
            ? "ARRAY(SELECT format('%s (database %s)', s.subname, d.datname) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid ORDER BY 1)"
            : "'{}'::text[]"
        return """
            SELECT \(subscriptions) AS subscriptions, (SELECT rolreplication FROM pg_roles WHERE rolname = \(role)) AS replicates
            """
    }

    /// Unsigned, in a `bigint`.
    static func systemIdentifier() -> SQL { "SELECT system_identifier FROM pg_control_system()" }
}

extension ServerSession {
    /// - Parameter role: the role that copies and streams.
    public func copySource(replicatingAs role: String, deadline: Deadline) async throws -> CopySource {
        let row = try await look(CopySource.read(replicatingAs: role, features), deadline).one()
        return CopySource(subscriptions: try row.get("subscriptions"), mayReplicate: try row.optional("replicates"))
    }

    /// The number that all copies of one `initdb` share; `nil` before 9.6, where only `pg_controldata` says it.
    public func systemIdentifier(deadline: Deadline) async throws -> UInt64? {
        guard features.hasControlFunctions else { return nil }
        return UInt64(bitPattern: try await look(CopySource.systemIdentifier(), deadline).one().get("system_identifier", as: Int64.self))
    }
}
