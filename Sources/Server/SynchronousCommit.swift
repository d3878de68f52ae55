public import EventLoop
import PostgresClient
import PostgresConfig

enum SynchronousCommit {
    /// Something that is in the log when it is committed, and nowhere else.
    static func trace(_ features: ServerFeatures) -> SQL {
        features.hasLogicalMessages
            ? "SELECT pg_logical_emit_message(true, 'pggraft', ''::text)" : "CREATE TEMPORARY TABLE pggraft_commit () ON COMMIT DROP"
    }
}

extension SynchronousCommit {
    /// A transaction that a session which may write no table can commit: it counts two rows of the catalog anew. It is none that a block may hold.
    static let ofReader: [SQL] = ["SET synchronous_commit = 'on'", "ANALYZE pg_catalog.pg_tablespace"]
}

extension ServerSession {
    /// As ``commitWaitingForStandbys(deadline:)`` where clients may write no table, as on a datanode of Postgres-XC. The session keeps waiting for standbys.
    /// - Returns: how long it took.
    /// - Throws: `DeadlineExceeded` where they do not answer, `PostgresError`.
    public func commitOfReaderWaitingForStandbys(deadline: Deadline) async throws -> Duration {
        let began = ContinuousClock.Instant.now
        for statement in SynchronousCommit.ofReader { try await query(statement, deadline) }
        return began.duration(to: .now)
    }

    /// Commits a transaction that leaves nothing behind and waits for the synchronous standbys as one of a client would. The session is of no
    /// more use where this throws.
    /// - Returns: how long it took.
    /// - Throws: `DeadlineExceeded` where they do not answer, `PostgresError`.
    public func commitWaitingForStandbys(deadline: Deadline) async throws -> Duration {
        let began = ContinuousClock.Instant.now
        try await connection.transaction(deadline: deadline) { try await $0.query(together: ["SET LOCAL synchronous_commit = 'on'", SynchronousCommit.trace(features)]) }
        return began.duration(to: .now)
    }
}
