import EventLoop
public import PostgresClient
import Report
public import Run
import Server

/// The lock of a whole cluster, on its source: an advisory lock, held by a connection that does nothing else, and gone
/// with it. Its `application_name` says who has it.
public struct ClusterLock: Sendable {
    private let session: ServerSession

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
        let deadline = Deadline.after(.seconds(20)), key = AdvisoryLockKey("pggraft " + name)
        do {
            let session = try await ServerSession.open(connection, deadline: deadline)
            try await wait(for: "the lock \(name) on \(session.name)", until: deadline) { () -> Look<Void> in
                if try await session.tryAdvisoryLock(key, deadline: deadline) { return .found(()) }
                guard let other = try await session.holder(of: key, deadline: deadline) else { return .notYet("whoever had it has just ended") }
                if let run = holder.run, other.application.hasPrefix("pggraft run \(run),") {
                    try await session.terminate(other.pid, deadline: deadline)
                    return .notYet("an earlier process of this run still had it")
                }
                throw LockTaken("\(session.name): another pggraft \(work) (\(other.application), since \(other.since))")
            }
            return ClusterLock(session: session)
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Says who has the lock now.
    public func describe(_ holder: Holder) async throws {
        try await session.setApplicationName(Self.words(for: holder), deadline: .after(.seconds(10)))
    }

    /// What fits into an application_name: the run comes first.
    private static func words(for holder: Holder) -> String {
        String("pggraft\(holder.run.map { " run \($0)" } ?? ""), pid \(holder.pid), \(holder.name)".prefix(63))
    }

    /// Whether it is held still: the server may have been restarted, or the connection lost.
    public var isHeld: Bool { get async { await session.isAlive(deadline: .after(.seconds(5))) } }

    public func release() async { await session.connection.close() }
}
