internal import CLibPQ
internal import EventLoop
import Logging
import Report

/// A statement on the wire: sent, answered, or stopped.
extension PostgresConnection {
    enum Next: ~Copyable { case answer(Answer), end, lost, stopped(Wake) }

    /// What the answers to a statement came to.
    struct Outcome {
        var rows: [Rows] = []
        var serverError: PostgresError.ServerError?
        var unreadable: (any Error)?
        var isCopy = false

        /// - Throws: what the server said, or what of its answer cannot be read.
        func answers(node: String) throws -> [Rows] {
            if let serverError { throw PostgresError.server(node: node, serverError) }
            if let unreadable { throw unreadable }
            return rows
        }
    }

    /// Time for the server to react to a cancel request before its connection is closed.
    static let grace: Duration = .seconds(5)

    /// Runs a statement on a connection that is this caller's to use, and logs it.
    func run(_ sql: SQL, asScript: Bool = false, deadline: Deadline, heedingCancellation: Bool = true) async throws -> [Rows] {
        try await log.sending(
            Redaction.redacted(sql.shownText.onOneLine), to: node, ending: { (answers: [Rows]) in answers.last?.commandTag ?? "" }
        ) {
            try await self.answers(to: sql, asScript: asScript, deadline: deadline, heedingCancellation: heedingCancellation)
        }
    }

    private func answers(to sql: SQL, asScript: Bool, deadline: Deadline, heedingCancellation: Bool) async throws -> [Rows] {
        guard let handle else { throw lost }
        let statement = sql.shownText
        let parameters = sql.parameters
        let text = try handle.text(of: sql, node: node)
        guard !deadline.hasPassed else { throw exceeded(deadline, statement, "not sent: no time was left") }
        guard asScript ? handle.send(script: text) : handle.send(text, parameters) else {
            if handle.isBad { throw lose(handle.message) }
            throw PostgresError.cannotSend(node: node, message: handle.message)
        }
        var outcome = Outcome()
        if let wake = try await collect(into: &outcome, of: statement, on: handle, until: deadline, heedingCancellation) {
            let lastSeen = await stop(statement, on: handle)
            throw wake == .cancelled ? CancellationError() : exceeded(deadline, statement, lastSeen)
        }
        return try outcome.answers(node: node)
    }

    /// Runs statements that are sent together on a connection that is this caller's to use, and logs them.
    /// - Parameter asOne: after one that fails none of the others is run.
    func run(together statements: [SQL], asOne: Bool = false, deadline: Deadline) async throws -> [Rows] {
        let shown = statements.map { Redaction.redacted($0.shownText.onOneLine) }.joined(separator: "; ")
        return try await log.sending(shown, to: node, ending: { (answers: [Rows]) in answers.last?.commandTag ?? "" }) {
            try await self.answers(together: statements, asOne: asOne, deadline: deadline)
        }
    }

    private func answers(together statements: [SQL], asOne: Bool, deadline: Deadline) async throws -> [Rows] {
        guard let handle else { throw lost }
        let shown = statements.map(\.shownText).joined(separator: "; ")
        let texts = try statements.map { try handle.text(of: $0, node: node) }
        guard !deadline.hasPassed else { throw exceeded(deadline, shown, "not sent: no time was left") }
        for (place, (text, statement)) in zip(texts, statements).enumerated() {
            try send(text, statement.parameters, endingHere: !asOne || place == texts.count - 1, on: handle)
        }
        var outcomes: [Outcome] = []
        let marks = asOne ? [shown] : statements.map(\.shownText)
        for mark in marks {
            var outcome = Outcome()
            if let wake = try await collect(into: &outcome, of: mark, on: handle, until: deadline, true, isPiped: true) {
                let lastSeen = await stop(mark, on: handle, isPiped: true)
                // Those behind it are on the server already: with the connection they end.
                if self.handle === handle, outcomes.count + 1 < marks.count { lose("closed by pggraft, because one of several statements was cancelled") }
                if self.handle === handle { PQexitPipelineMode(handle.pointer) }
                throw wake == .cancelled ? CancellationError() : exceeded(deadline, mark, lastSeen)
            }
            outcomes.append(outcome)
        }
        PQexitPipelineMode(handle.pointer)
        let answers = try outcomes.map { try $0.answers(node: node) }
        let empty = Rows(columns: [], values: [], node: node)
        guard asOne else { return answers.map { $0.last ?? empty } }
        let all = answers.flatMap(\.self)
        return statements.indices.map { all.indices.contains($0) ? all[$0] : empty }
    }

    /// Sends a statement behind those that are on the wire.
    /// - Parameter endingHere: what was sent up to here is a transaction of its own.
    func send(_ text: String, _ parameters: [String?], endingHere: Bool = true, on handle: Handle) throws {
        guard PQenterPipelineMode(handle.pointer) == 1, handle.send(text, parameters), !endingHere || PQpipelineSync(handle.pointer) == 1 else {
            // What was sent before it has an answer of its own that nobody could tell from this one's.
            throw lose(handle.message)
        }
    }

    func exceeded(_ deadline: Deadline, _ statement: String, _ lastSeen: String) -> DeadlineExceeded {
        DeadlineExceeded(waitedFor: "\(node) to answer: \(excerpt(statement))", budget: deadline.budget, lastSeen: lastSeen)
    }

    /// Takes all answers to the statement on the wire, or to the first of several.
    /// - Parameter isPiped: whether more than one may be on the wire.
    /// - Returns: why it stopped, when it stopped before the end.
    /// - Throws: ``PostgresError/connectionLost(node:message:code:)``, and an error for COPY, which closes the connection.
    func collect(
        into outcome: inout Outcome, of statement: String, on handle: Handle, until deadline: Deadline, _ heedingCancellation: Bool, isPiped: Bool = false
    ) async throws -> Wake? {
        while true {
            switch await next(on: handle, until: deadline, heedingCancellation) {
            case .answer(let answer):
                if isPiped, answer.status == PGRES_PIPELINE_SYNC { return nil }
                add(answer, of: statement, to: &outcome)
                guard !outcome.isCopy else {
                    lose("closed by pggraft, which does not speak COPY")
                    throw UnexpectedAnswer(node: node, text: "COPY … FROM STDIN or TO STDOUT: \(excerpt(statement)); the connection is closed")
                }
            case .stopped(let wake): return wake
            case .lost: throw lost
            case .end:
                guard handle.isBad else {
                    // The end of the statement's answers; the mark behind it is still to come.
                    if isPiped { continue }
                    return nil
                }
                // libpq's own errors have no code, and say less than what it said first.
                guard let last = outcome.serverError, !last.code.isEmpty else { throw lose(handle.whyLost ?? handle.message) }
                let words = ["\(last.severity): \(last.message)", last.detail, last.hint].compactMap(\.self)
                throw lose(words.joined(separator: "; "), code: last.code)
            }
        }
    }

    private func add(_ answer: borrowing Answer, of statement: String, to outcome: inout Outcome) {
        switch answer.status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            do { outcome.rows.append(try answer.rows(node: node)) } catch { outcome.unreadable = error }
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH: outcome.isCopy = true
        default:
            let error = PostgresError.ServerError(answer.pointer, statement: statement)
            if outcome.serverError == nil { outcome.serverError = error }
        }
    }

    private func next(on handle: Handle, until deadline: Deadline, _ heedingCancellation: Bool) async -> Next {
        while true {
            guard self.handle === handle else { return .lost }
            let unsent = PQflush(handle.pointer)
            if unsent <= 0, PQisBusy(handle.pointer) == 0 {
                return PQgetResult(handle.pointer).map { .answer(Answer($0)) } ?? .end
            }
            guard handle.socket >= 0 else { return lostNow(handle) }
            let readiness: EventLoop.Readiness = unsent == 1 ? [.readable, .writable] : .readable
            let wake = await sleep(until: deadline, heedingCancellation: heedingCancellation, watching: (handle.socket, readiness))
            guard self.handle === handle else { return .lost }
            guard wake == .signalled else { return .stopped(wake) }
            // When it fails, PQgetResult says why, after what the server had still sent.
            if !handle.consume(), PQisBusy(handle.pointer) == 1 { return lostNow(handle) }
        }
    }

    private func lostNow(_ handle: Handle) -> Next {
        lose(handle.whyLost ?? handle.message)
        return .lost
    }

    /// Cancels the statement on the wire, and closes the connection if the server does not react.
    /// - Returns: what became of the statement.
    func stop(_ statement: String, on handle: Handle, isPiped: Bool = false) async -> String {
        guard self.handle === handle else { return "the connection was closed" }
        let grace = Deadline.after(PostgresConnection.grace)
        // Not before PQcancel has returned has the server passed the request on; later it could hit the next statement.
        let cancelled = await offLoop(until: grace, heedingCancellation: false, handle.cancelRequest())
        guard self.handle === handle else { return "the connection was closed" }
        switch cancelled {
        case .done(nil): break
        case .done(let failure?): return giveUp("the cancel request failed: \(failure)")
        case .impossible(let failure): return giveUp("the cancel request failed: \(failure.fact)")
        case .stopped: return giveUp("the server took no cancel request")
        }
        var outcome = Outcome()
        do {
            guard try await collect(into: &outcome, of: statement, on: handle, until: grace, false, isPiped: isPiped) == nil else {
                return giveUp("the server did not act on a cancel request within \(PostgresConnection.grace.inSeconds)")
            }
        } catch {
            return Problem(explaining: error).fact
        }
        return switch outcome.serverError {
        case nil: "it had just been completed when it was cancelled"
        case let error? where error.code == "57014": "cancelled"
        case let error?: "\(error.severity): \(error.message) (SQLSTATE \(error.code))"
        }
    }

    func giveUp(_ why: String) -> String {
        lose("closed by pggraft, because \(why)")
        return "\(why); the connection is closed, the statement may still be running"
    }
}

extension Handle {
    /// Sends a cancel request over a connection of its own, and waits until the server has passed it on. It blocks. Gives what went wrong.
    fileprivate func cancelRequest() -> @Sendable () -> String? {
        guard let cancel = PQgetCancel(pointer) else { return { "the connection is lost" } }
        let request = CancelRequest(pointer: cancel)
        return {
            var message = [CChar](repeating: 0, count: 256)
            guard PQcancel(request.pointer, &message, Int32(message.count)) == 0 else { return nil }
            return message.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0).trimmed } ?? "" }
        }
    }

    /// Safe on any thread, as libpq documents it.
    private final class CancelRequest: @unchecked Sendable {
        let pointer: OpaquePointer
        init(pointer: OpaquePointer) { self.pointer = pointer }
        deinit { PQfreeCancel(pointer) }
    }
}
