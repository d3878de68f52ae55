public import EventLoop
public import PostgresClient

/// What a server held at one moment, kept by a transaction that stays open; see ``ServerSession/holdSnapshot(deadline:)``.
public struct HeldSnapshot: Sendable {
    /// The session whose transaction keeps it. It takes no lock on anything.
    public let holder: ServerSession
    /// By which other sessions of the same database see the same.
    let name: String

    /// One text, so that it is one round trip.
    static func hold() -> SQL { "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot() AS snapshot" }

    static func take(_ name: String) -> SQL {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT \(literal: name)"
    }

    /// Statements that see what the snapshot sees, in a transaction of their own whose locks are gone when they are answered: one round trip.
    /// - Parameter patience: how long one of them waits for a lock, at most.
    static func seeing(_ statements: [SQL], of name: String, waiting patience: Duration? = nil) -> SQL {
        let limit: [SQL] = patience.map { ["SET LOCAL lock_timeout = \(literal: "\(Int($0 / .milliseconds(1)))ms")"] } ?? []
        return SQL.joined([take(name)] + limit + statements + ["COMMIT"], separator: "; ")
    }
}

extension ServerSession {
    /// Keeps what the server holds now visible, until the connection is closed. Use a session that nobody shares; a primary only (before 10).
    ///
    /// No row that it could see is removed meanwhile: not for hours on a server that is written to. `ALTER TABLE` does not wait for it, though:
    /// it sees a table that was rewritten since as empty.
    public func holdSnapshot(deadline: Deadline) async throws -> HeldSnapshot {
        let answers = try await connection.script(HeldSnapshot.hold(), deadline: deadline)
        guard let row = answers.last?.first else { throw UnexpectedAnswer(node: name, text: "no name of a snapshot") }
        return HeldSnapshot(holder: self, name: try row.get("snapshot"))
    }

    /// Does `work` with this session seeing what `snapshot` sees, in a transaction of its own.
    public func seeing<Value: Sendable>(_ snapshot: HeldSnapshot, deadline: Deadline, _ work: () async throws -> Value) async throws -> Value {
        try await connection.script(HeldSnapshot.take(snapshot.name), deadline: deadline)
        do {
            let value = try await work()
            try await connection.script("COMMIT", deadline: deadline)
            return value
        } catch {
            // What is left of the transaction ends with the connection.
            await connection.close()
            throw error
        }
    }

    /// The answers to `statements`, which see what `snapshot` sees. One text, so that it is one round trip; what they have locked stays so until
    /// the last is answered.
    /// - Parameter patience: how long one of them waits for a lock, at most; by default as the session does.
    /// - Throws: the first error, after which nothing is locked; `UnexpectedAnswer`.
    public func answers(to statements: [SQL], seeing snapshot: HeldSnapshot, waiting patience: Duration? = nil, deadline: Deadline) async throws -> [Rows] {
        do {
            let answers = try await connection.script(HeldSnapshot.seeing(statements, of: snapshot.name, waiting: patience), deadline: deadline)
            let wanted = answers.dropLast().suffix(statements.count)
            guard wanted.count == statements.count else { throw UnexpectedAnswer(node: name, text: "\(answers.count) answers to \(statements.count) statements") }
            return Array(wanted)
        } catch let error as PostgresError {
            if await connection.isOpen { try await connection.script("ROLLBACK", deadline: deadline) }
            throw error
        }
    }
}
