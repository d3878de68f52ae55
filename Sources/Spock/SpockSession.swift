public import EventLoop
public import PostgresClient

/// What one can do to Spock through one connection to one node's database.
///
/// ```swift
/// let session = try await SpockSession.open(connection, deadline: .after(.seconds(5)))
/// let state = try await session.state(deadline: .after(.seconds(10)))
/// ```
/// Sessions may be shared by tasks: each operation is one statement or one transaction, and they queue on the connection.
public struct SpockSession: Sendable {
    public let connection: PostgresConnection

    /// Takes the connection and gives it settings that do not depend on the server, the database or the role:
    /// every text form is then the same on every node, names are never found through a search path, and none of our own DDL is replicated.
    public static func open(_ connection: PostgresConnection, deadline: Deadline) async throws -> SpockSession {
        let session = SpockSession(connection: connection)
        for statement in settings() { try await session.query(statement, deadline) }
        return session
    }

    private init(connection: PostgresConnection) { self.connection = connection }

    /// The name the connection was given: it stands in every error.
    public var name: String { connection.node }

    static func settings() -> [SQL] {
        [
            """
            SELECT pg_catalog.set_config(setting.name, setting.value, false) FROM (VALUES \
            ('search_path', 'pg_catalog'), ('datestyle', 'ISO, YMD'), ('intervalstyle', 'postgres'), ('timezone', 'UTC'), \
            ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('lc_monetary', 'C'), ('xmloption', 'content'), \
            ('row_security', 'off'), ('statement_timeout', '0'), ('lock_timeout', '0'), ('default_transaction_isolation', 'read committed'), \
            ('default_transaction_read_only', 'off'), ('idle_in_transaction_session_timeout', '0')) AS setting(name, value)
            """,
            """
            SELECT pg_catalog.set_config(name, 'off', false) FROM pg_catalog.pg_settings \
            WHERE name IN ('spock.enable_ddl_replication', 'spock.include_ddl_repset')
            """,
            "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name = 'idle_session_timeout'",
        ]
    }

    @discardableResult
    func query(_ sql: SQL, _ deadline: Deadline) async throws -> Rows {
        try await connection.query(sql, deadline: deadline)
    }
}

extension Deadline {
    /// For one look of a wait: the look after the last moment still gets its answer, so that the wait can say what it saw.
    var forLook: Deadline { .after(max(remaining, .seconds(2))) }
}

extension Row {
    /// The value of `column` as `type`, or `nil` where it is NULL or this version of Spock has no such column.
    func ifPresent<Value: PostgresDecodable>(_ column: String, as type: Value.Type = Value.self) throws -> Value? {
        columns.contains(column) ? try optional(column, as: type) : nil
    }
}
