internal import EventLoop

/// What is on the wire: one statement, or any number of looks.
enum Turn { case statement, look }

/// One statement at a time, or looks together, first come, first served; while a transaction has the connection, its statements only.
extension PostgresConnection {
    func inTurn<Value>(
        for transaction: Int?, _ sql: SQL, deadline: Deadline, heedingCancellation: Bool = true, _ body: () async throws -> Value
    ) async throws -> Value {
        try await takeTurn(.statement, for: transaction, sql, deadline: deadline, heedingCancellation: heedingCancellation)
        defer { endTurn() }
        do { return try await body() } catch {
            if transaction != nil, firstTransactionError == nil { firstTransactionError = error }
            throw error
        }
    }

    func takeTurn(_ kind: Turn, for transaction: Int?, _ sql: SQL, deadline: Deadline, heedingCancellation: Bool = true) async throws {
        if heedingCancellation { try Task.checkCancellation() }
        if let transaction, transaction != reservedFor {
            throw PostgresError.cannotSend(node: node, message: "its transaction is over: \(excerpt(sql.shownText))")
        }
        // Who comes later does not overtake.
        guard !line.isEmpty || !hasRoom(for: kind, of: transaction) else { return enter(kind) }
        var caller = 0
        let wake = await sleep(until: deadline, heedingCancellation: heedingCancellation) {
            caller = $0
            line.append(Waiting(caller: $0, kind: kind, transaction: transaction))
            // Those before may wait for a transaction that this one belongs to.
            admitNext()
        }
        guard wake != .signalled else { return }
        line.removeAll { $0.caller == caller }
        if wake == .cancelled { throw CancellationError() }
        throw DeadlineExceeded(
            waitedFor: "its turn on the connection to \(node): \(excerpt(sql.shownText))", budget: deadline.budget,
            lastSeen: reservedFor == nil ? "another statement was running" : "a transaction had the connection")
    }

    func endTurn() {
        turns -= 1
        if turns == 0 { running = nil }
        admitNext()
    }

    /// Gives the connection to `transaction` alone, or to all again.
    func reserve(for transaction: Int?) {
        reservedFor = transaction
        (firstTransactionError, unsentBegin) = (nil, nil)
        admitNext()
    }

    private func mayRun(_ transaction: Int?) -> Bool { reservedFor == nil || reservedFor == transaction }

    private func hasRoom(for kind: Turn, of transaction: Int?) -> Bool {
        mayRun(transaction) && (running == nil || (running == .look && kind == .look))
    }

    private func enter(_ kind: Turn) {
        running = kind
        turns += 1
    }

    private func admitNext() {
        while let place = line.firstIndex(where: { mayRun($0.transaction) }), hasRoom(for: line[place].kind, of: line[place].transaction) {
            let next = line.remove(at: place)
            // Who has given up at this very moment is no longer asleep.
            if wake(next.caller, .signalled) { enter(next.kind) }
        }
    }

    struct Waiting {
        var caller: Int
        var kind: Turn
        var transaction: Int?
    }
}
