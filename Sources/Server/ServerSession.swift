public import EventLoop
public import PostgresClient
public import PostgresConfig

/// What one can do to any PostgreSQL from 9.1 on through one connection.
///
/// ```swift
/// let n1 = try await ServerSession.open(connection, deadline: .after(.seconds(5)))
/// let written = try await n1.currentLSN(deadline: .after(.seconds(10)))
/// ```
/// Sessions may be shared by tasks: each operation is one statement or one transaction. Those that
/// only look are sent together, the others queue on the connection.
///
/// ## Topics
/// - The session: ``open(_:settings:deadline:)``, ``setApplicationName(_:deadline:)``, ``terminateEarlierSessions(named:deadline:)``
/// - Clients: ``endClientTransactions(begunBefore:grace:sparing:deadline:)``, ``preparedTransactions(deadline:)``
/// - Positions: ``currentLSN(deadline:)``, ``recovery(deadline:)``, ``waitReplayed(to:of:deadline:)``, ``standbys(deadline:)``
/// - Replication: ``slots(deadline:)``, ``createPhysicalSlot(_:deadline:)``, ``origins(deadline:)``
/// - Settings: ``settings(_:deadline:)``, ``alterSystem(_:to:expecting:deadline:)``, ``synchronousStandbyNames(deadline:)``
/// - Holding: ``tryAdvisoryLock(_:deadline:)``
public struct ServerSession: Sendable {
    public let connection: PostgresConnection
    public let features: ServerFeatures

    /// Takes the connection and gives it settings that do not depend on the server, the database or the role: every text form is then
    /// the same everywhere, names are never found through a search path, nothing is timed out but by us, and our own commits wait for no standby.
    /// - Parameter settings: what the caller's layer wants besides; those that the server does not have are passed over.
    public static func open(_ connection: PostgresConnection, settings: [SessionSetting] = [], deadline: Deadline) async throws -> ServerSession {
        let session = await ServerSession(asItIs: connection)
        try await session.query(SessionSetting.apply(SessionSetting.own + settings), deadline)
        return session
    }

    /// Takes the connection with the settings its role and database give it, for who wants to see just those.
    public init(asItIs connection: PostgresConnection) async {
        self.connection = connection
        features = ServerFeatures(MajorVersion(serverVersionNumber: await connection.serverVersion.number))
    }

    /// The name the connection was given: it stands in every error.
    public var name: String { connection.node }

    /// This session's own process on the server, to be spared by another one.
    public var backendPID: Int { get async { Int(await connection.backendPID) } }

    @discardableResult
    func query(_ sql: SQL, _ deadline: Deadline) async throws -> Rows {
        try await connection.query(sql, deadline: deadline)
    }

    /// For what changes nothing and waits for nothing: it is sent together with the looks of others.
    @discardableResult
    func look(_ sql: SQL, _ deadline: Deadline) async throws -> Rows {
        try await connection.look(sql, deadline: deadline)
    }
}

/// A setting of a session of ours.
public struct SessionSetting: Sendable, Hashable {
    public var name: String
    public var value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    static let own: [SessionSetting] = [
        SessionSetting("search_path", "pg_catalog"), SessionSetting("datestyle", "ISO, YMD"), SessionSetting("intervalstyle", "postgres"),
        SessionSetting("timezone", "UTC"), SessionSetting("extra_float_digits", "3"), SessionSetting("bytea_output", "hex"),
        SessionSetting("lc_monetary", "C"), SessionSetting("xmloption", "content"), SessionSetting("row_security", "off"),
        SessionSetting("quote_all_identifiers", "off"),
        SessionSetting("statement_timeout", "0"), SessionSetting("lock_timeout", "0"), SessionSetting("transaction_timeout", "0"),
        SessionSetting("idle_in_transaction_session_timeout", "0"), SessionSetting("idle_session_timeout", "0"),
        SessionSetting("default_transaction_isolation", "read committed"), SessionSetting("default_transaction_read_only", "off"),
        SessionSetting("default_transaction_deferrable", "off"),
        // Or a commit of ours hangs on a synchronous standby that is not there.
        SessionSetting("synchronous_commit", "local"),
    ]

    /// What a session must have from its first statement on, as libpq's `options`: a standby runs no statement at all as `serializable`, and
    /// a timeout may be shorter than the statement that takes it away.
    public static let startupOptions = #"-c default_transaction_isolation=read\ committed \#(oldStartupOptions)"#
    /// The same for a server that takes no value with a space in it there (before 9.5), and refuses the others with ``refusesStartupOptions``.
    public static let oldStartupOptions = "-c statement_timeout=0 -c search_path=pg_catalog"
    /// SQLSTATE of a login whose options hold a value that the server cannot use.
    public static let refusesStartupOptions = "22023"

    /// The servers spell the names of some settings with capitals (`TimeZone`).
    static func apply(_ settings: [SessionSetting]) -> SQL {
        let values = SQL.joined(settings.map { "(\(literal: $0.name), \(literal: $0.value))" }, separator: ", ")
        return """
            SELECT pg_catalog.set_config(known.name, wanted.value, false) FROM (VALUES \(values)) AS wanted(name, value) \
            JOIN pg_catalog.pg_settings known ON pg_catalog.lower(known.name) OPERATOR(pg_catalog.=) wanted.name
            """
    }
}
