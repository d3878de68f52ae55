public import EventLoop
internal import PostgresClient
import Report

/// A client's transaction that can still write although the server is read-only.
public struct ClientTransaction: Sendable, Hashable, CustomStringConvertible {
    public var pid: Int
    public var role: String
    public var application: String
    /// The client's address; `nil` for a Unix socket.
    public var client: String?
    /// `active`, `idle in transaction` …
    public var state: String
    /// Whether it has written, or locked rows, already.
    public var hasTransactionID: Bool
    /// Since it began.
    public var age: Duration

    public var description: String {
        "pid \(pid) (\(role)" + (application.isEmpty ? "" : ", \(application)") + (client.map { ", \($0)" } ?? "")
            + ", \(state)\(hasTransactionID ? ", has written" : "")) since \(age.inSeconds)"
    }
}

/// A transaction prepared for two-phase commit. Read-only mode does not keep it from being committed.
public struct PreparedTransaction: Sendable, Hashable, CustomStringConvertible {
    public var identifier: String
    public var owner: String
    public var database: String
    /// Since it was prepared.
    public var age: Duration

    public init(identifier: String, owner: String, database: String, age: Duration) {
        self.identifier = identifier
        self.owner = owner
        self.database = database
        self.age = age
    }

    public var description: String { "'\(identifier)' (\(owner), database \(database)) since \(age.inSeconds)" }
}

extension ClientTransaction {
    /// pggraft's own connections say this as their `application_name`; they are waited for, but never ended.
    public static let ownApplicationName = "pggraft"

    /// Backends of clients in this database that hold a transaction id, or run a statement from before the flip.
    ///
    /// 50 ms are added to the flip: the postmaster tells its backends of the new setting one after the other.
    /// Apply workers are no client backends; `disabled` is a backend without `track_activities`. A transaction without an id and without a statement running cannot write any more.
    private static func writers(flip: ServerMoment, sparing: [Int]) -> SQL {
        """
        FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = current_database() AND pid <> pg_backend_pid() \
        AND pid <> ALL (\(sparing.map { "\($0)" })::int[]) AND (backend_xid IS NOT NULL OR (state NOT LIKE 'idle%' \
        AND (state <> 'disabled' OR backend_xmin IS NOT NULL) AND coalesce(query_start, '-infinity') \
        < to_timestamp(\(flip.microseconds)::float8 / 1000000) + interval '50 milliseconds'))
        """
    }

    static func list(begunBefore flip: ServerMoment, sparing: [Int]) -> SQL {
        """
        SELECT pid, coalesce(usename, '') AS role, coalesce(application_name, '') AS application, host(client_addr) AS client, coalesce(state, '') AS state, \
        backend_xid IS NOT NULL AS has_xid, (extract(epoch FROM clock_timestamp() - coalesce(xact_start, query_start)) * 1000)::bigint AS age_ms \
        \(writers(flip: flip, sparing: sparing)) ORDER BY pid
        """
    }

    static func terminate(begunBefore flip: ServerMoment, sparing: [Int]) -> SQL {
        """
        SELECT pid, pg_terminate_backend(pid) AS terminated \(writers(flip: flip, sparing: sparing)) \
        AND application_name IS DISTINCT FROM \(ownApplicationName)
        """
    }

    init(row: Row) throws {
        pid = try row.get("pid")
        role = try row.get("role")
        application = try row.get("application")
        client = try row.optional("client")
        state = try row.get("state")
        hasTransactionID = try row.get("has_xid")
        age = .milliseconds(try row.get("age_ms", as: Int64.self))
    }
}

extension PreparedTransaction {
    static func all() -> SQL {
        """
        SELECT gid, owner, database, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint AS age_ms \
        FROM pg_prepared_xacts ORDER BY prepared
        """
    }

    init(row: Row) throws {
        identifier = try row.get("gid")
        owner = try row.get("owner")
        database = try row.get("database")
        age = .milliseconds(try row.get("age_ms", as: Int64.self))
    }
}

extension SpockSession {
    /// This session's own process on the server, to be spared by another one.
    public var backendPID: Int { get async { Int(await connection.backendPID) } }

    /// The clients' transactions of this database that can still write although new statements are refused since `flip`.
    public func clientTransactions(begunBefore flip: ServerMoment, sparing: [Int] = [], deadline: Deadline) async throws -> [ClientTransaction] {
        try await query(ClientTransaction.list(begunBefore: flip, sparing: sparing), deadline).map(ClientTransaction.init(row:))
    }

    /// Prepared transactions of the whole instance.
    public func preparedTransactions(deadline: Deadline) async throws -> [PreparedTransaction] {
        try await query(PreparedTransaction.all(), deadline).map(PreparedTransaction.init(row:))
    }

    /// Waits until no client and no prepared transaction of this database can write any more; clients that have not come to
    /// their end after `grace` are terminated. Apply workers are never touched: interrupting one discards what it applies.
    /// - Parameter sparing: processes that are left out of account altogether.
    /// - Returns: the processes that were terminated.
    /// - Throws: `DeadlineExceeded`, which names who is left.
    @discardableResult
    public func endClientTransactions(
        begunBefore flip: ServerMoment, grace: Duration, sparing: [Int] = [], deadline: Deadline
    ) async throws -> [ClientTransaction] {
        let graceEnds = Deadline.after(grace)
        let database: String = try await query("SELECT current_database() AS name", deadline).one().get("name")
        var ended: [ClientTransaction] = []
        try await wait(for: "client transactions on \(name) to end", until: deadline, every: .milliseconds(20)) {
            let clients = try await clientTransactions(begunBefore: flip, sparing: sparing, deadline: deadline.forLook)
            let prepared = try await preparedTransactions(deadline: deadline.forLook).filter { $0.database == database }
            if clients.isEmpty, prepared.isEmpty { return .found(()) }
            if !clients.isEmpty, graceEnds.hasPassed {
                let pids = try await query(ClientTransaction.terminate(begunBefore: flip, sparing: sparing), deadline.forLook)
                    .map { try $0.get("pid", as: Int.self) }
                ended += clients.filter { client in pids.contains(client.pid) && !ended.contains { $0.pid == client.pid } }
            }
            return .notYet((clients.map(\.description) + prepared.map { "prepared \($0)" }).joined(separator: "; "))
        }
        return ended
    }
}
