internal import EventLoop
public import PostgresClient
public import Server

/// What one can do to Spock through one connection to one node's database.
///
/// ```swift
/// let server = try await ServerSession.open(connection, settings: SpockSession.settings, deadline: .after(.seconds(5)))
/// let state = try await SpockSession(server).state(deadline: .after(.seconds(10)))
/// ```
/// What is no matter of Spock is asked of ``server``.
public struct SpockSession: Sendable {
    public let server: ServerSession

    /// - Parameter server: opened with ``settings``.
    public init(_ server: ServerSession) { self.server = server }

    /// With these none of our own DDL is replicated.
    public static let settings = [SessionSetting("spock.enable_ddl_replication", "off"), SessionSetting("spock.include_ddl_repset", "off")]

    public var connection: PostgresConnection { server.connection }

    /// The name the connection was given: it stands in every error.
    public var name: String { server.name }

    @discardableResult
    func query(_ sql: SQL, _ deadline: Deadline) async throws -> Rows {
        try await connection.query(sql, deadline: deadline)
    }

    @discardableResult
    func look(_ sql: SQL, _ deadline: Deadline) async throws -> Rows {
        try await connection.look(sql, deadline: deadline)
    }
}

extension Row {
    /// The value of `column` as `type`, or `nil` where it is NULL or this version of Spock has no such column.
    func ifPresent<Value: PostgresDecodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value? {
        columns.contains(column) ? try optional(column, as: type) : nil
    }
}
