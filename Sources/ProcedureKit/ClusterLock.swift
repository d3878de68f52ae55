import EventLoop
public import PostgresClient
import Report
public import Run

/// The lock of a whole cluster, on its source: an advisory lock, held by a connection that does nothing else, and gone
/// with it. Its `application_name` says who has it.
public struct ClusterLock: Sendable {
    private let connection: PostgresConnection

    /// Takes the lock. A session that an earlier process of the same run has left on the server, because its machine is gone
    /// and nobody has told the server, is ended.
    /// - Parameters:
    ///   - name: of the lock: the cluster's.
    ///   - work: what whoever has it does, as it reads after "another pggraft".
    /// - Throws: ``LockTaken`` that says who has the lock and since when.
    public static func take(
        _ name: String, saying work: String, holder: Holder, connecting connect: (_ applicationName: String) async throws -> PostgresConnection
    ) async throws -> ClusterLock {
        let connection = try await connect(words(for: holder))
        let deadline = Deadline.after(.seconds(20)), key: SQL = "hashtextextended(\("pggraft " + name), 0)"
        do {
            // It waits for hours without a word. Before 14 there is no such limit.
            try await connection.query("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'", deadline: deadline)
            try await wait(for: "the lock \(name) on \(connection.node)", until: deadline) { () -> Look<Void> in
                if try await connection.query("SELECT pg_try_advisory_lock(\(key)) AS taken", deadline: deadline).one().get("taken") { return .found(()) }
                let other = try await connection.query(
                    """
                    SELECT pid, application_name AS name, date_trunc('second', backend_start)::text AS since FROM pg_stat_activity WHERE pid IN (SELECT pid \
                    FROM pg_locks WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = \(key))
                    """, deadline: deadline
                ).first
                guard let other else { return .notYet("whoever had it has just ended") }
                let who = try other.get("name", as: String.self)
                if let run = holder.run, who.hasPrefix("pggraft run \(run),") {
                    try await connection.query("SELECT pg_terminate_backend(\(try other.get("pid", as: Int.self)))", deadline: deadline)
                    return .notYet("an earlier process of this run still had it")
                }
                throw LockTaken("\(connection.node): another pggraft \(work) (\(who), since \(try other.get("since", as: String.self)))")
            }
            return ClusterLock(connection: connection)
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Says who has the lock now.
    public func describe(_ holder: Holder) async throws {
        try await connection.query("SELECT set_config('application_name', \(Self.words(for: holder)), false)", deadline: .after(.seconds(10)))
    }

    /// What fits into an application_name: the run comes first.
    private static func words(for holder: Holder) -> String {
        String("pggraft\(holder.run.map { " run \($0)" } ?? ""), pid \(holder.pid), \(holder.name)".prefix(63))
    }

    /// Whether it is held still: the server may have been restarted, or the connection lost.
    public var isHeld: Bool {
        get async {
            do {
                try await connection.query("SELECT", deadline: .after(.seconds(5)))
                return true
            } catch {
                return false
            }
        }
    }

    public func release() async { await connection.close() }
}
