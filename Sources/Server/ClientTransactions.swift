public import EventLoop
import PostgresClient
import PostgresConfig
import Report

/// A client's transaction that can still write although the server takes no new writes.
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
    /// Since it began; of a session without `track_activities`, since that began.
    public var age: Duration

    public var description: String {
        "pid \(pid) (\(role)" + (application.isEmpty ? "" : ", \(application)") + (client.map { ", \($0)" } ?? "")
            + ", \(state)\(hasTransactionID ? ", has written" : "")) since \(age.inSeconds)"
    }
}

extension ClientTransaction {
    /// pggraft's own connections say this as their `application_name`; they are waited for, but never ended.
    public static let ownApplicationName = "pggraft"

    /// Backends of clients in this database, or in all of them, that hold a transaction id, or run a statement from before `moment`.
    ///
    /// 50 ms are added to it: the postmaster tells its backends of a new setting one after the other.
    /// Apply workers are no client backends. A transaction without an id and without a statement running cannot write any more.
    private static func writers(begunBefore moment: ServerMoment, sparing: [Int], everywhere: Bool, _ activity: Activity) -> SQL {
        """
        FROM pg_stat_activity a WHERE \(activity.isClient)\(everywhere ? "" : " AND a.datname = current_database()" as SQL) AND \(activity.pid) <> pg_backend_pid() \
        AND \(activity.pid) <> ALL (\(sparing.map { "\($0)" })::int[]) AND (\(activity.hasTransactionID) OR (\(activity.isRunning) \
        AND coalesce(a.query_start, '-infinity') < to_timestamp(\(moment.microseconds)::float8 / 1000000) + interval '50 milliseconds'))
        """
    }

    static func list(begunBefore moment: ServerMoment, sparing: [Int], everywhere: Bool = false, _ features: ServerFeatures) -> SQL {
        let activity = Activity(features: features)
        return """
            SELECT \(activity.pid) AS pid, coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application, \
            host(a.client_addr) AS client, coalesce(\(activity.state), '') AS state, \(activity.hasTransactionID) AS has_xid, \
            (extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start)) * 1000)::bigint AS age_ms \
            \(writers(begunBefore: moment, sparing: sparing, everywhere: everywhere, activity)) ORDER BY 1
            """
    }

    static func terminate(begunBefore moment: ServerMoment, sparing: [Int], everywhere: Bool = false, _ features: ServerFeatures) -> SQL {
        let activity = Activity(features: features)
        return """
            SELECT \(activity.pid) AS pid, pg_terminate_backend(\(activity.pid)) AS terminated \
            \(writers(begunBefore: moment, sparing: sparing, everywhere: everywhere, activity)) AND a.application_name IS DISTINCT FROM \(ownApplicationName)
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

extension ServerSession {
    /// The clients' transactions of this database that can still write although new statements are refused since `moment`.
    /// - Parameter everywhere: those of the other databases, too.
    public func clientTransactions(begunBefore moment: ServerMoment, sparing: [Int] = [], everywhere: Bool = false, deadline: Deadline) async throws -> [ClientTransaction] {
        try await look(ClientTransaction.list(begunBefore: moment, sparing: sparing, everywhere: everywhere, features), deadline).map(ClientTransaction.init(row:))
    }

    /// Waits until no client and no prepared transaction of this database can write any more; clients that have not come to
    /// their end after `grace` are terminated. Apply workers are never touched: interrupting one discards what it applies.
    /// - Parameters:
    ///   - moment: since when new statements are refused.
    ///   - sparing: processes that are left out of account altogether.
    ///   - everywhere: clients and prepared transactions of the other databases, too.
    /// - Returns: the processes that were terminated.
    /// - Throws: `DeadlineExceeded`, which names who is left.
    @discardableResult
    public func endClientTransactions(
        begunBefore moment: ServerMoment, grace: Duration, sparing: [Int] = [], everywhere: Bool = false, deadline: Deadline
    ) async throws -> [ClientTransaction] {
        let graceEnds = Deadline.after(grace)
        var ended: [ClientTransaction] = []
        try await wait(for: "client transactions on \(name) to end", until: deadline, every: .milliseconds(20)) {
            async let alsoPrepared = look(everywhere ? PreparedTransaction.all() : PreparedTransaction.ofThisDatabase(), deadline.forLook)
            let clients = try await clientTransactions(begunBefore: moment, sparing: sparing, everywhere: everywhere, deadline: deadline.forLook)
            let prepared = try await alsoPrepared.map(PreparedTransaction.init(row:))
            if clients.isEmpty, prepared.isEmpty { return .found(()) }
            if !clients.isEmpty, graceEnds.hasPassed {
                let pids = try await query(ClientTransaction.terminate(begunBefore: moment, sparing: sparing, everywhere: everywhere, features), deadline.forLook)
                    .map { try $0.get("pid", as: Int.self) }
                ended += clients.filter { client in pids.contains(client.pid) && !ended.contains { $0.pid == client.pid } }
            }
            return .notYet((clients.map(\.description) + prepared.map { "prepared \($0)" }).joined(separator: "; "))
        }
        return ended
    }
}
