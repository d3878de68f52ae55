public import EventLoop
import PostgresClient
import PostgresConfig

enum Snapshot {
    /// One text, so that it is one round trip. A transaction has its snapshot with the first statement that needs one.
    static func hold(_ features: ServerFeatures) -> SQL {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT \(SQL(stringLiteral: features.currentSnapshotFunction))()"
    }
}

extension ServerSession {
    /// Has this session see the server as it is now, until its connection is closed. Use a session that nobody shares.
    ///
    /// No row that it could see is removed meanwhile: not for hours on a server that is written to.
    public func holdSnapshot(deadline: Deadline) async throws { try await connection.script(Snapshot.hold(features), deadline: deadline) }
}
