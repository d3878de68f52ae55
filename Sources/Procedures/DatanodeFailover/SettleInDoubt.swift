import Datanode
import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Settle what coordinators have prepared on the master and not ended, before anybody writes there again.
struct SettleInDoubt: LeavesNothing {
    static let name = "in-doubt"
    /// What was decided, in order.
    static let decided = Fact<[Decision]>("transactions in doubt")
    /// How long another datanode is waited for that is still at work.
    private static let patience: Duration = .seconds(30)
    /// How long a coordinator is. Its session may wait for the lost master, whose host gives no answer: it does so for hours.
    private static let quiet: Duration = .seconds(10)

    struct Decision: Sendable, Codable, Hashable, CustomStringConvertible {
        var transaction: String
        var isCommitted: Bool
        var reason: String

        var description: String { "\(transaction) \(isCommitted ? "committed" : "rolled back"): \(reason)" }
    }

    let order: FailedDatanode
    var title: String { "Settle transactions that are left prepared on \(order.slave), by what the other nodes know of them" }
    var leavesNothing: String { "what is decided stays so on all nodes" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        // From then on there is traffic, which prepares and ends its own.
        if memory.began(TellCoordinators.self) { return .done(Self.words(try memory.recall(Self.decided) ?? [])) }
        guard try await order.failed.promoted(memory) != nil else {
            return .needed([Change("\(order.slave): COMMIT PREPARED what another node has committed, ROLLBACK PREPARED what none has")])
        }
        let left = try await prepared()
        return left.isEmpty
            ? .done(Self.words(try memory.recall(Self.decided) ?? []))
            : .needed(left.map { Change("\(order.slave): \($0.transaction.identifier), prepared \($0.found.age.inSeconds) ago in \($0.found.database)") })
    }

    private static func words(_ decisions: [Decision]) -> String { decisions.isEmpty ? "nothing is left prepared" : decisions.map(\.description).joined(separator: "; ") }

    private func prepared() async throws -> [(transaction: InDoubtTransaction, found: PreparedTransaction)] {
        try await order.access.server(order.slave).preparedTransactions(deadline: .after(.seconds(20))).compactMap { found in
            InDoubtTransaction(identifier: found.identifier).map { ($0, found) }
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        var decisions = try run.memory.recall(Self.decided) ?? []
        let all = try await order.access.server(order.slave).preparedTransactions(deadline: .after(.seconds(20)))
        for other in all where InDoubtTransaction(identifier: other.identifier) == nil { run.note("\(order.slave): \(other) is not a coordinator's: left alone") }
        // They are all as old as the master's loss: nobody has to be waited for anew.
        let began = ContinuousClock.now
        for (transaction, found) in try await prepared() {
            var (isCommitted, reason) = try await decide(transaction, since: began, run)
            if !isCommitted, try await rollBackElsewhere(transaction, found.database) { (isCommitted, reason) = (true, "a node has committed it meanwhile") }
            decisions.append(Decision(transaction: transaction.identifier, isCommitted: isCommitted, reason: reason))
            try run.remember(Self.decided, decisions)
            run.note("\(transaction.identifier): \(isCommitted ? "COMMIT" : "ROLLBACK") PREPARED, for \(reason)")
            _ = try await order.end(transaction, commit: isCommitted, on: order.slave, in: found.database)
        }
        return Self.words(decisions)
    }

    /// Waits until the other nodes' answers decide.
    private func decide(_ transaction: InDoubtTransaction, since began: ContinuousClock.Instant, _ run: StepRun) async throws -> (isCommitted: Bool, reason: String) {
        let dead = try order.deadCoordinators(run.memory)
        do {
            return try await wait(for: "the other nodes to say what becomes of \(transaction.identifier)", until: .after(Self.patience), every: .milliseconds(200)) {
                () -> Look<(isCommitted: Bool, reason: String)> in
                let (answers, unasked) = try await order.ask(transaction, of: order.others + order.coordinators)
                switch InDoubtTransaction.verdict(
                    answers, silentDatanodes: order.others.filter { unasked[$0] != nil },
                    silentCoordinators: order.coordinators.filter { unasked[$0] != nil && !dead.contains($0) })
                {
                case .commit(let reason): return .found((true, reason))
                case .rollBack(let reason): return .found((false, reason))
                case .wait(let reason):
                    // Without the lost master nobody commits it, and what was rolled back elsewhere before it is here not at all.
                    let isBusy = order.others.contains { answers[$0]?.isRunning == true }
                    if !isBusy, began.duration(to: .now) >= Self.quiet {
                        return .found((false, "\(reason), no node has committed it, and no datanode has worked at it for \(Self.quiet.inSeconds)"))
                    }
                    run.progress("\(transaction.identifier): \(reason)")
                    return .notYet(reason)
                case .unknown(let reason): throw undecided(transaction, reason)
                }
            }
        } catch let late as DeadlineExceeded {
            throw undecided(transaction, late.lastSeen ?? "nobody has said")
        }
    }

    private func undecided(_ transaction: InDoubtTransaction, _ reason: String) -> Problem {
        Problem(
            "\(order.slave): \(transaction.identifier) is prepared, and what becomes of it cannot be told: \(reason)",
            hint: "no coordinator was told of \(order.slave) yet. Bring back who can be asked, and resume; or decide it yourself, on \(order.slave): "
                + "COMMIT PREPARED '\(transaction.identifier)' or ROLLBACK PREPARED '\(transaction.identifier)', then resume")
    }

    /// Before it is rolled back here: whoever comes late finds nothing to commit.
    /// - Returns: whether another node has committed it after all.
    private func rollBackElsewhere(_ transaction: InDoubtTransaction, _ database: String) async throws -> Bool {
        for name in order.others + order.coordinators where order.others.contains(name) || !order.silent.contains(name) {
            let deadline = Deadline.after(.seconds(20)), server: ServerSession
            do { server = try await order.access.server(name, deadline: deadline) } catch let error where !(error is CancellationError) {
                throw undecided(transaction, Problem(explaining: error).fact)
            }
            let answer = try await server.answer(of: transaction, deadline: deadline)
            if answer.isCommitted == true { return true }
            guard answer.isPrepared else { continue }
            let wasThere = try await order.end(transaction, commit: false, on: name, in: database)
            // Somebody was faster: it is known by now what became of it.
            if !wasThere, try await server.answer(of: transaction, deadline: deadline).isCommitted == true { return true }
        }
        return false
    }
}

extension FailedDatanode {
    /// What nodes know of a transaction, all at once.
    func ask(_ transaction: InDoubtTransaction, of names: [String]) async throws -> (answers: [String: InDoubtTransaction.Answer], unasked: [String: Problem]) {
        let access = access, silent = silent
        let results = await attemptOnEach(names) { name in
            let deadline = silent.deadline(for: name, .seconds(10))
            do {
                return try await access.server(name, deadline: deadline).answer(of: transaction, deadline: deadline)
            } catch let error where !(error is CancellationError) {
                await access.forgetServer(name)
                silent.add(name)
                throw error
            }
        }
        try Task.checkCancellation()
        var answers: [String: InDoubtTransaction.Answer] = [:], unasked: [String: Problem] = [:]
        for (name, result) in results {
            switch result {
            case .success(let answer): answers[name] = answer
            case .failure(let error): unasked[name] = Problem(explaining: error)
            }
        }
        return (answers, unasked)
    }

    /// Ends a prepared transaction on a node.
    /// - Returns: whether it was there.
    func end(_ transaction: InDoubtTransaction, commit: Bool, on name: String, in database: String) async throws -> Bool {
        let server = try await access.separateServer(name, database: database)
        do {
            if coordinators.contains(name) { try await Coordinator(server).beAlone(deadline: .after(.seconds(20))) }
            let wasThere = try await server.endPrepared(transaction, commit: commit, deadline: .after(.seconds(60)))
            await server.connection.close()
            return wasThere
        } catch {
            await server.connection.close()
            throw error
        }
    }
}
