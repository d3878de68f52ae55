import EventLoop
import PostgresClient
import Run

/// The lock of a whole cluster, on its source: an advisory lock, held by a connection that does nothing else, and gone
/// with it. Its `application_name` says who has it.
struct ClusterLock: Sendable {
    private let connection: PostgresConnection

    /// - Throws: ``Problem`` that says who has the lock and since when.
    static func take(
        cluster: String, holder: Holder, connecting connect: (_ applicationName: String) async throws -> PostgresConnection
    ) async throws -> ClusterLock {
        let connection = try await connect(name(of: holder))
        let deadline = Deadline.after(.seconds(10)), key: SQL = "hashtextextended(\("pggraft " + cluster), 0)"
        do {
            if try await connection.query("SELECT pg_try_advisory_lock(\(key)) AS taken", deadline: deadline).one().get("taken") {
                return ClusterLock(connection: connection)
            }
            let other = try await connection.query(
                """
                SELECT application_name AS name, date_trunc('second', backend_start)::text AS since FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks \
                WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = \(key))
                """, deadline: deadline).first
            let who = try other.map { "\(try $0.get("name", as: String.self)), since \(try $0.get("since", as: String.self))" }
            throw Problem(
                "\(connection.node): another pggraft works on cluster \(cluster)" + (who.map { " (\($0))" } ?? ""),
                hint: "Wait until it has ended, or end it with Ctrl-C where it runs.")
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Says who has the lock now.
    func describe(_ holder: Holder) async throws {
        try await connection.query("SELECT set_config('application_name', \(Self.name(of: holder)), false)", deadline: .after(.seconds(10)))
    }

    /// What fits into an application_name: the run comes first.
    private static func name(of holder: Holder) -> String {
        String("pggraft\(holder.run.map { " run \($0)" } ?? ""), pid \(holder.pid), \(holder.name)".prefix(63))
    }

    func release() async { await connection.close() }
}
