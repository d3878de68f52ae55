internal import CLibPQ
public import EventLoop
import Logging
import Report

/// A look that was sent and has no answer yet.
final class SentLook {
    let statement: String
    /// Who waits until the answers before its own are there.
    var caller: Int?
    /// Nobody waits for the answer any more.
    var isAbandoned = false
    /// A cancel request that was meant for another one may have ended it.
    var mayBeHit = false

    init(_ statement: String) { self.statement = statement }
}

/// Statements that only read, quickly: any number of them is on the wire at once, and their answers come in the order of asking.
extension PostgresConnection {
    /// Runs one statement that changes nothing and waits for nothing, together with the looks that others make meanwhile: what tasks
    /// ask at the same time costs one round trip.
    ///
    /// Who stops waiting leaves it on the server, where it does no harm; it is cancelled where it keeps others waiting.
    /// - Throws: as ``query(_:deadline:)``.
    @discardableResult
    public func look(_ sql: SQL, deadline: Deadline) async throws -> Rows {
        try await takeTurn(.look, for: nil, sql, deadline: deadline)
        do {
            return try await log.sending(
                Redaction.redacted(sql.shownText.onOneLine), to: node, ending: { (answers: Rows) in answers.commandTag }
            ) {
                try await self.answer(to: sql, deadline: deadline)
            }
        } catch is HitByAnother {
            return try await look(sql, deadline: deadline)
        }
    }

    /// Several looks at once: one round trip.
    /// - Returns: the answers, one for each statement.
    /// - Throws: the first error; as ``look(_:deadline:)``.
    public nonisolated func look(together statements: [SQL], deadline: Deadline) async throws -> [Rows] {
        let answers = try await onEach(Array(statements.indices)) { try await self.look(statements[$0], deadline: deadline) }
        return statements.indices.compactMap { answers[$0] }
    }

    /// How many looks have been sent and have no answer yet.
    public var sentLooks: Int { looks.count }

    private struct HitByAnother: Error {}

    private func answer(to sql: SQL, deadline: Deadline) async throws -> Rows {
        let sent = SentLook(sql.shownText)
        guard let handle else {
            endTurn()
            throw lost
        }
        do {
            let text = try handle.text(of: sql, node: node)
            guard !deadline.hasPassed else { throw exceeded(deadline, sent.statement, "not sent: no time was left") }
            try send(text, sql.parameters, on: handle)
        } catch {
            endTurn()
            throw error
        }
        looks.append(sent)
        // What does not fit into the socket yet is sent by the one who reads.
        if PQflush(handle.pointer) == 1 { wakeWatchers() }
        while looks.first !== sent {
            let wake = await sleep(until: deadline) { sent.caller = $0 }
            sent.caller = nil
            guard self.handle === handle else { throw lost }
            guard wake == .signalled else {
                if looks.first === sent { stopReading(handle) } else { sent.isAbandoned = true }
                throw wake == .cancelled ? CancellationError() : exceeded(deadline, sent.statement, "another statement was running")
            }
        }
        var outcome = Outcome()
        if let wake = try await collect(into: &outcome, of: sent.statement, on: handle, until: deadline, true, isPiped: true) {
            stopReading(handle)
            throw wake == .cancelled ? CancellationError() : exceeded(deadline, sent.statement, "it is being cancelled")
        }
        nextLook(handle)
        if sent.mayBeHit, outcome.serverError?.code == "57014" { throw HitByAnother() }
        return try outcome.answers(node: node).last ?? Rows(columns: [], values: [], node: node)
    }

    /// The first look has its answer: the next reads.
    private func nextLook(_ handle: Handle) {
        looks.removeFirst()
        endTurnOfLook(handle)
        guard let next = looks.first else { return }
        if next.isAbandoned { return stopReading(handle) }
        if let caller = next.caller { _ = wake(caller, .signalled) }
    }

    private func endTurnOfLook(_ handle: Handle) {
        if looks.isEmpty { PQexitPipelineMode(handle.pointer) }
        endTurn()
    }

    /// Takes the answer of the first look, which nobody waits for, while its caller goes on; cancels what does not come.
    private func stopReading(_ handle: Handle) {
        guard let first = looks.first else { return }
        first.isAbandoned = true
        Task {
            var outcome = Outcome()
            do {
                if try await self.collect(into: &outcome, of: first.statement, on: handle, until: .after(.seconds(1)), false, isPiped: true) != nil {
                    _ = await self.stop(first.statement, on: handle, isPiped: true)
                    for other in self.looks where other !== first { other.mayBeHit = true }
                }
            } catch {
                // The connection is lost: whoever waits is told.
            }
            if self.handle === handle { self.nextLook(handle) }
        }
    }

    /// The connection is gone, and with it every look on it.
    func loseLooks() {
        let gone = looks
        looks = []
        for look in gone {
            endTurn()
            if let caller = look.caller { _ = wake(caller, .signalled) }
        }
    }
}
