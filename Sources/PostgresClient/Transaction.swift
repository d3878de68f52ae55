public import EventLoop
import Report

/// A connection inside ``PostgresConnection/transaction(_:deadline:_:)``, which nobody else can use until it is over.
public struct Transaction: Sendable {
    let connection: PostgresConnection
    let number: Int
    public let deadline: Deadline

    /// Runs one statement inside the transaction.
    ///
    /// - Parameter deadline: the transaction's own, unless given.
    /// - Throws: as ``PostgresConnection/query(_:deadline:)``.
    @discardableResult
    public func query(_ sql: SQL, deadline: Deadline? = nil) async throws -> Rows {
        try await connection.query(sql, in: number, deadline: deadline ?? self.deadline)
    }

    /// Runs statements that are sent together: one round trip. After one that fails none has an effect.
    ///
    /// - Returns: the answers, one for each statement.
    /// - Throws: the first error, once all are answered; as ``query(_:deadline:)``.
    @discardableResult
    public func query(together statements: [SQL], deadline: Deadline? = nil) async throws -> [Rows] {
        try await connection.query(together: statements, in: number, deadline: deadline ?? self.deadline)
    }
}

extension PostgresConnection {
    /// Runs `body` in a transaction, and commits it; whatever is thrown rolls it back and is thrown on.
    ///
    /// BEGIN travels with the first statement: one round trip.
    ///
    /// Other callers of the connection wait until the transaction is over, so `body` uses the handle it gets, and
    /// neither COMMITs nor ROLLBACKs itself.
    /// ```swift
    /// try await n1.transaction("BEGIN ISOLATION LEVEL REPEATABLE READ", deadline: deadline) { transaction in
    ///     try await transaction.query("SELECT pg_replication_origin_advance(\(name), \(lsn))")
    /// }
    /// ```
    /// - Throws: what `body` throws; a statement's error that `body` ignored, since PostgreSQL then rolls back at COMMIT;
    ///   as ``query(_:deadline:)``. A lost connection or a deadline *at COMMIT* leaves open whether it took effect.
    @discardableResult
    public nonisolated func transaction<Value>(
        _ begin: SQL = "BEGIN", deadline: Deadline, _ body: (Transaction) async throws -> Value
    ) async throws -> Value {
        let transaction = Transaction(connection: self, number: try await reserve(toBegin: begin, deadline: deadline), deadline: deadline)
        do {
            let value = try await body(transaction)
            try await commit(transaction.number, deadline: deadline)
            return value
        } catch {
            await rollback(transaction.number)
            throw error
        }
    }

    func query(_ sql: SQL, in transaction: Int, deadline: Deadline) async throws -> Rows {
        try await inTurn(for: transaction, sql, deadline: deadline) {
            let answers =
                if let begin = self.takeBegin() {
                    try await self.run(together: [begin, sql], asOne: true, deadline: deadline)
                } else {
                    try await self.run(sql, deadline: deadline)
                }
            return answers.last ?? Rows(columns: [], values: [], node: self.node)
        }
    }

    func query(together statements: [SQL], in transaction: Int?, deadline: Deadline) async throws -> [Rows] {
        guard let first = statements.first else { return [] }
        return try await inTurn(for: transaction, first, deadline: deadline) {
            guard transaction != nil, let begin = self.takeBegin() else { return try await self.run(together: statements, deadline: deadline) }
            return Array(try await self.run(together: [begin] + statements, asOne: true, deadline: deadline).dropFirst())
        }
    }

    /// The statement that the reserved transaction has yet to begin with.
    private func takeBegin() -> SQL? {
        defer { unsentBegin = nil }
        return unsentBegin
    }

    private func reserve(toBegin begin: SQL, deadline: Deadline) async throws -> Int {
        try await inTurn(for: nil, begin, deadline: deadline) {
            let transaction = self.number()
            self.reserve(for: transaction)
            self.unsentBegin = begin
            return transaction
        }
    }

    private func commit(_ transaction: Int, deadline: Deadline) async throws {
        try Task.checkCancellation()
        // Nothing was done in it.
        guard takeBegin() == nil else { return reserve(for: nil) }
        // From here on a cancelled task waits: half a COMMIT helps nobody.
        let rows = try await inTurn(for: transaction, "COMMIT", deadline: deadline, heedingCancellation: false) {
            try await self.run("COMMIT", deadline: deadline, heedingCancellation: false)
        }
        if rows.last?.commandTag == "ROLLBACK" {
            throw firstTransactionError ?? UnexpectedAnswer(node: node, text: "COMMIT rolled the transaction back")
        }
        reserve(for: nil)
    }

    /// Ends what is left of a transaction that failed. The error that made it fail is the one that counts: where a
    /// ROLLBACK fails too the connection is closed, which is a rollback as well.
    private func rollback(_ transaction: Int) async {
        defer { reserve(for: nil) }
        guard let handle, handle.isInTransaction else { return }
        let deadline = Deadline.after(.seconds(5))
        do {
            _ = try await inTurn(for: transaction, "ROLLBACK", deadline: deadline, heedingCancellation: false) {
                try await self.run("ROLLBACK", deadline: deadline, heedingCancellation: false)
            }
        } catch {
            lose("closed by pggraft, because a transaction could not be rolled back: \(Problem(explaining: error).fact)")
        }
    }
}
