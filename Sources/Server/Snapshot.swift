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

    /// The statement that sees what the snapshot sees, in a transaction of its own whose locks are gone when it is answered: one round trip.
    static func seeing(_ statement: SQL, of name: String) -> SQL { "\(take(name)); \(statement); COMMIT" }
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

    /// The answer to one `statement` that sees what `snapshot` sees.
    public func answer(to statement: SQL, seeing snapshot: HeldSnapshot, deadline: Deadline) async throws -> Rows {
        do {
            let answers = try await connection.script(HeldSnapshot.seeing(statement, of: snapshot.name), deadline: deadline)
            guard answers.count == 4 else { throw UnexpectedAnswer(node: name, text: "\(answers.count) answers to four statements") }
            return answers[2]
        } catch let error as PostgresError {
            if await connection.isOpen { try await connection.script("ROLLBACK", deadline: deadline) }
            throw error
        }
    }
}
