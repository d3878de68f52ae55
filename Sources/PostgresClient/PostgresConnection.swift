public import EventLoop
import Logging

/// A connection to one server.
///
/// Callers queue: a statement starts when the one before it has its answer; looks are sent at once, however many there are. Every
/// statement has a deadline, and a deadline or the cancellation of the calling task cancels the statement on the server too.
///
/// ```swift
/// let n1 = try await PostgresConnection.connect(to: dsn, node: "n1", deadline: .after(.seconds(10)))
/// let lsn: LSN = try await n1.query("SELECT pg_current_wal_insert_lsn() AS lsn", deadline: .after(.seconds(5))).one().get("lsn")
/// ```
///
/// ## Topics
/// - Connecting: ``connect(to:node:deadline:)``, ``close()``
/// - Statements: ``look(_:deadline:)``, ``query(_:deadline:)``, ``query(together:deadline:)``, ``script(_:deadline:)``,
///   ``transaction(_:deadline:_:)``, ``takeNotices()``
/// - The server: ``serverVersion``, ``backendPID``, ``isTLS``, ``parameterStatus(_:)``
public actor PostgresConnection {
    /// The node's name; errors begin with it.
    public nonisolated let node: String
    nonisolated let loop = EventLoop.next()
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    public internal(set) var serverVersion = ServerVersion(number: 0)
    /// The server process of this connection, as `pg_stat_activity.pid`.
    public internal(set) var backendPID: Int32 = 0
    public internal(set) var isTLS = false

    /// `nil` before the connection is made, and again once it is lost or closed.
    var handle: Handle?
    var whyLost: PostgresError?

    // What wakes a waiting caller: PostgresConnection+Waiting.swift.
    var sleepers: [Int: Sleeper] = [:]
    var lastNumber = 0

    // Whose turn it is: PostgresConnection+Turns.swift.
    var running: Turn?
    var turns = 0
    var reservedFor: Int?
    var line: [Waiting] = []
    var firstTransactionError: (any Error)?
    /// Of the reserved transaction, until it is sent with its first statement.
    var unsentBegin: SQL?

    // Looks that were sent, oldest first: PostgresConnection+Looks.swift.
    var looks: [SentLook] = []

    nonisolated let log: Logger

    init(node: String, log: Logger) {
        self.node = node
        self.log = log
    }

    /// Runs one statement; its parameters go beside the text, never into it.
    ///
    /// - Throws: ``PostgresError``; `DeadlineExceeded` and `CancellationError` after the statement was cancelled on the
    ///   server, or, where that fails within five seconds, the connection closed; ``UnexpectedAnswer``.
    @discardableResult
    public func query(_ sql: SQL, deadline: Deadline) async throws -> Rows {
        try await inTurn(for: nil, sql, deadline: deadline) {
            try await self.run(sql, deadline: deadline).last ?? Rows(columns: [], values: [], node: self.node)
        }
    }

    /// Runs a text of several statements, all in one transaction unless the text itself says otherwise. Names and
    /// literals may be interpolated, parameters may not.
    ///
    /// - Returns: the answers, one for each statement.
    /// - Throws: as ``query(_:deadline:)``.
    @discardableResult
    public func script(_ sql: SQL, deadline: Deadline) async throws -> [Rows] {
        guard sql.parameters.isEmpty else {
            throw PostgresError.cannotSend(node: node, message: "a script takes no parameters: \(excerpt(sql.shownText))")
        }
        return try await inTurn(for: nil, sql, deadline: deadline) { try await self.run(sql, asScript: true, deadline: deadline) }
    }

    /// Runs several statements that are sent together: one round trip. Each is a transaction of its own, and is run whatever became of the
    /// one before it.
    ///
    /// - Returns: the answers, one for each statement.
    /// - Throws: the first error, once all are answered; as ``query(_:deadline:)``.
    @discardableResult
    public func query(together statements: [SQL], deadline: Deadline) async throws -> [Rows] {
        try await query(together: statements, in: nil, deadline: deadline)
    }

    /// The notices and warnings since the last call, oldest first; at most the last thousand.
    public func takeNotices() -> [Notice] { handle?.takeNotices() ?? [] }

    /// A setting the server reports by itself, such as `in_hot_standby` (from 14) or `server_encoding`; `nil` for others.
    public func parameterStatus(_ name: String) -> String? { handle.flatMap { $0.parameterStatus(name) } }

    /// Ends the connection. A statement under way, and every later one, fails with ``PostgresError/connectionLost(node:message:code:)``.
    public func close() { lose("closed by pggraft") }

    /// Forgets the connection; whoever waits for its answer wakes and finds it gone.
    @discardableResult
    func lose(_ message: String, code: String? = nil) -> PostgresError {
        if handle != nil {
            whyLost = .connectionLost(node: node, message: message, code: code)
            wakeWatchers()
            handle = nil
            loseLooks()
        }
        return lost
    }

    var lost: PostgresError { whyLost ?? .connectionLost(node: node, message: "never made") }
}

extension PostgresConnection {
    /// Whether the connection was neither closed nor seen lost.
    public var isOpen: Bool { handle != nil }
}
