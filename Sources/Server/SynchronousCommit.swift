public import EventLoop
import PostgresClient
import PostgresConfig

enum SynchronousCommit {
    /// Something that is in the log when it is committed, and nowhere else.
    static let trace: SQL = "SELECT pg_logical_emit_message(true, 'pggraft', ''::text)"
    /// What a server commits that has no such messages, also where clients may write no table, as on a datanode of Postgres-XC: it counts two rows of the
    /// catalog anew. It is none that a block may hold.
    static let count: SQL = "ANALYZE pg_catalog.pg_tablespace"
}

extension ServerSession {
    /// Commits a transaction that leaves nothing behind and waits for the synchronous standbys as one of a client would. A session of its own:
    /// it keeps waiting for standbys, and is of no more use where this throws.
    /// - Returns: how long it took.
    /// - Throws: `DeadlineExceeded` where they do not answer, `PostgresError`.
    public func commitWaitingForStandbys(deadline: Deadline) async throws -> Duration {
        let began = ContinuousClock.Instant.now
        for statement in ["SET synchronous_commit = 'on'", features.hasLogicalMessages ? SynchronousCommit.trace : SynchronousCommit.count] { try await query(statement, deadline) }
        return began.duration(to: .now)
    }
}
