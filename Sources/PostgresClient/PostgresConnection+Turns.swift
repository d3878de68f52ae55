internal import EventLoop

/// One statement at a time, first come, first served; while a transaction has the connection, its statements only.
extension PostgresConnection {
    func inTurn<Value>(
        for transaction: Int?, _ sql: SQL, deadline: Deadline, heedingCancellation: Bool = true, _ body: () async throws -> Value
    ) async throws -> Value {
        try await takeTurn(for: transaction, sql, deadline: deadline, heedingCancellation: heedingCancellation)
        defer { endTurn() }
        do { return try await body() } catch {
            if transaction != nil, firstTransactionError == nil { firstTransactionError = error }
            throw error
        }
    }

    private func takeTurn(for transaction: Int?, _ sql: SQL, deadline: Deadline, heedingCancellation: Bool) async throws {
        if heedingCancellation { try Task.checkCancellation() }
        if let transaction, transaction != reservedFor {
            throw PostgresError.cannotSend(node: node, message: "its transaction is over: \(excerpt(sql.shownText))")
        }
        guard isRunning || !mayRun(transaction) else { return isRunning = true }
        var caller = 0
        let wake = await sleep(until: deadline, heedingCancellation: heedingCancellation) {
            caller = $0
            line.append(($0, transaction))
        }
        guard wake != .signalled else { return }
        line.removeAll { $0.caller == caller }
        if wake == .cancelled { throw CancellationError() }
        throw DeadlineExceeded(
            waitedFor: "its turn on the connection to \(node): \(excerpt(sql.shownText))", budget: deadline.budget,
            lastSeen: reservedFor == nil ? "another statement was running" : "a transaction had the connection")
    }

    func endTurn() {
        isRunning = false
        admitNext()
    }

    /// Gives the connection to `transaction` alone, or to all again.
    func reserve(for transaction: Int?) {
        reservedFor = transaction
        firstTransactionError = nil
        if !isRunning { admitNext() }
    }

    private func mayRun(_ transaction: Int?) -> Bool { reservedFor == nil || reservedFor == transaction }

    private func admitNext() {
        while let place = line.firstIndex(where: { mayRun($0.transaction) }) {
            // Who has given up at this very moment is no longer asleep.
            if wake(line.remove(at: place).caller, .signalled) { return isRunning = true }
        }
    }
}
