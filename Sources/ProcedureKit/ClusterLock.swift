import EventLoop
import PostgresClient
import Report
public import Run
import Server

/// The lock that other machines see too: an advisory lock on one server, held by a connection that does nothing else, and gone
/// with it. Its `application_name` says who has it.
public actor ClusterLock {
    private let access: ClusterAccess
    private let node: String
    private let name: String
    private let work: String
    private var session: ServerSession?
    private var holder: Holder?

    /// - Parameters:
    ///   - name: of the lock: the cluster's.
    ///   - node: the server that it is on.
    ///   - work: what whoever has it does, as it reads after "another pggraft".
    public init(_ name: String, on node: String, of access: ClusterAccess, saying work: String) {
        (self.access, self.node, self.name, self.work) = (access, node, name, work)
    }

    /// Takes the lock until ``release()``; says who has it where this process has it already. A session that an earlier process
    /// of the same run has left on the server, because its machine is gone and nobody has told the server, is ended.
    /// - Throws: ``LockTaken`` that says who has the lock and since when, what connecting throws.
    public func take(holder: Holder) async throws {
        self.holder = holder
        if let session { return try await session.setApplicationName(words(for: holder), deadline: .after(.seconds(10))) }
        let deadline = Deadline.after(.seconds(20)), key = AdvisoryLockKey("pggraft " + name)
        let connection = try await access.connection(node, applicationName: words(for: holder), deadline: deadline)
        do {
            let session = try await ServerSession.open(connection, deadline: deadline)
            try await wait(for: "the lock \(name) on \(node)", until: deadline) { () -> Look<Void> in
                if try await session.tryAdvisoryLock(key, deadline: deadline) { return .found(()) }
                guard let other = try await session.holder(of: key, deadline: deadline) else { return .notYet("whoever had it has just ended") }
                if let run = holder.run, other.application.hasPrefix("pggraft run \(run),") {
                    try await session.terminate(other.pid, deadline: deadline)
                    return .notYet("an earlier process of this run still had it")
                }
                throw LockTaken("\(node): another pggraft \(work) (\(other.application), since \(other.since))")
            }
            self.session = session
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Takes the lock again where it was lost with its connection: the server may have been restarted.
    /// - Throws: ``LockTaken`` when somebody else has it by now.
    public func keep() async throws {
        guard let holder, let session, await !session.isAlive(deadline: .after(.seconds(5))) else { return }
        await release()
        try await take(holder: holder)
    }

    public func release() async {
        await session?.connection.close()
        session = nil
    }

    /// What fits into an application_name: the run comes first.
    private func words(for holder: Holder) -> String {
        String("pggraft\(holder.run.map { " run \($0)" } ?? ""), pid \(holder.pid), \(holder.name)".prefix(63))
    }
}
