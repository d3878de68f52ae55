public import EventLoop
import PostgresClient
import PostgresConfig

/// A commit that waits for a synchronous standby.
public struct WaitingCommit: Sendable, Hashable {
    public var pid: Int
    /// When its statement began, in the server's own form: with ``pid`` it tells one commit from another.
    public var begun: String

    public init(pid: Int, begun: String) { (self.pid, self.begun) = (pid, begun) }

    static func all() -> SQL { "SELECT pid, coalesce(query_start::text, '') AS begun FROM pg_stat_activity WHERE wait_event = 'SyncRep' ORDER BY 1" }
}

extension ServerSession {
    /// The commits that wait for a standby at this moment; none before 9.6, which does not tell.
    public func waitingCommits(deadline: Deadline) async throws -> [WaitingCommit] {
        guard features.hasWaitEvents else { return [] }
        return try await look(WaitingCommit.all(), deadline).map { WaitingCommit(pid: try $0.get("pid"), begun: try $0.get("begun")) }
    }
}
