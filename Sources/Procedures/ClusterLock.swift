import EventLoop
import PostgresClient
import Run

/// The lock of a whole cluster, on its source: an advisory lock, held by a connection that does nothing else, and gone
/// with it. Its `application_name` says who has it.
struct ClusterLock: Sendable {
    private let connection: PostgresConnection

    /// - Throws: ``Problem`` that says who has the lock and since when.
    static func take(
        cluster: String, holder: String, connecting connect: (_ applicationName: String) async throws -> PostgresConnection
    ) async throws -> ClusterLock {
        let connection = try await connect(String("pggraft: \(holder)".prefix(63)))
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

    func release() async { await connection.close() }
}
