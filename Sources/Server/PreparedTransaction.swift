public import EventLoop
import PostgresClient
import Report

/// A transaction prepared for two-phase commit. No read-only mode keeps it from being committed.
public struct PreparedTransaction: Sendable, Hashable, CustomStringConvertible {
    public var identifier: String
    public var owner: String
    public var database: String
    /// Since it was prepared.
    public var age: Duration

    public init(identifier: String, owner: String, database: String, age: Duration) {
        self.identifier = identifier
        self.owner = owner
        self.database = database
        self.age = age
    }

    public var description: String { "'\(identifier)' (\(owner), database \(database)) since \(age.inSeconds)" }
}

extension PreparedTransaction {
    private static func transactions(where condition: SQL) -> SQL {
        """
        SELECT gid, owner, database, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint AS age_ms \
        FROM pg_prepared_xacts\(condition) ORDER BY prepared
        """
    }

    static func all() -> SQL { transactions(where: "") }
    static func ofThisDatabase() -> SQL { transactions(where: " WHERE database = current_database()") }

    init(row: Row) throws {
        identifier = try row.get("gid")
        owner = try row.get("owner")
        database = try row.get("database")
        age = .milliseconds(try row.get("age_ms", as: Int64.self))
    }
}

extension ServerSession {
    /// Prepared transactions of the whole instance, the oldest first.
    public func preparedTransactions(deadline: Deadline) async throws -> [PreparedTransaction] {
        try await look(PreparedTransaction.all(), deadline).map(PreparedTransaction.init(row:))
    }
}
