import Report

/// What `check`, `plan`, `run`, `resume` and `undo` do, whatever the procedure.
///
/// Both locks (this machine's, and the one that other machines see), the question, the journal, the interruption and the
/// way a command ends are here and nowhere else.
public struct RunSession: Sendable {
    private let procedure: any Procedure
    private let requirements: Requirements
    private let store: RunStore
    private let console: any Console

    public init(_ procedure: any Procedure, in store: RunStore, console: any Console) {
        (self.procedure, self.store, self.console) = (procedure, store, console)
        requirements = Requirements(procedure.requirements)
    }

    /// Says whether a run may begin, with everything that was found. Changes nothing.
    public func check() async throws -> Ending {
        try await closing {
            let findings = try await console.interruptibly { try await requirements.findings() }
            console.show(.findings(findings))
            return verdict(on: findings)
        }
    }

    /// Shows what each step would do. Changes nothing.
    public func plan() async throws -> Ending {
        try await closing { try await showPlan() }
    }

    /// Shows the plan, asks, and performs every step.
    /// - Throws: `Problem` when an earlier run of the cluster is not over or nobody is there to say yes, ``LockTaken``, what
    ///   ``Procedure/takeLock(holder:)`` throws.
    public func run() async throws -> Ending {
        try await closing {
            let lock = try RunLock(cluster: procedure.cluster, in: store, holder: Holder())
            defer { withExtendedLifetime(lock) {} }
            if let unfinished = try store.unfinished(cluster: procedure.cluster) {
                throw Problem(
                    "run \(unfinished.header.run) of cluster \(procedure.cluster) is not finished: \(unfinished.state.rawValue) in step \(unfinished.progress)",
                    hint: unfinished.ways)
            }
            do {
                try await procedure.takeLock(holder: Holder())
            } catch let error as LockTaken {
                throw error
            } catch {
                // Why it cannot be taken may be one of the requirements.
                let ending = try await showPlan()
                guard case .planned = ending else { return ending }
                throw error
            }
            let ending = try await showPlan()
            guard case .planned = ending else { return ending }
            guard try isWanted() else { return .declined }
            let (header, journal) = try store.begin(procedure, from: try await procedure.origin(), steps: steps.map(\.id.name))
            let holder = Holder(run: header.run)
            try lock.describe(holder)
            try await procedure.takeLock(holder: holder)
            console.show(.began(header, journal: journal.path))
            return try await perform(journal, header.run)
        }
    }

    /// Looks again at the run called `name`, and does what is still needed.
    /// - Parameters:
    ///   - consents: what the operator has said now, which the journal keeps.
    ///   - make: makes the procedure from what the journal has kept of it.
    /// - Throws: `Problem` when there is no such run or it cannot be gone on with, ``LockTaken``, ``JournalError``.
    public static func resume(
        _ name: String, consents: [Consent] = [], in store: RunStore, console: any Console, make: (RunHeader) throws -> any Procedure
    ) async throws -> Ending {
        try await take(up: name, in: store, console: console, make: make, check: { try $0.checkResume() }) { session, journal, run in
            try await session.procedure.takeOver(holder: Holder(run: run))
            try journal.append(JournalEntry(.resumed, value: consents.isEmpty ? nil : JSON(of: consents)))
            return try await session.perform(journal, run)
        }
    }

    /// Takes back what the run called `name` has created; asks before something goes that is in use.
    /// - Parameter make: makes the procedure from what the journal has kept of it.
    /// - Throws: `Problem` when there is no such run or nobody is there to say yes, ``LockTaken``, ``JournalError``.
    public static func undo(
        _ name: String, in store: RunStore, console: any Console, make: (RunHeader) throws -> any Procedure
    ) async throws -> Ending {
        try await take(up: name, in: store, console: console, make: make) { session, journal, run in
            let inUse = try await console.interruptibly { try await session.procedure.inUse(Memory(journal)) }
            if !inUse.isEmpty {
                console.show(.takesAway(run: run, inUse))
                guard try session.isWanted() else { return .declined }
            }
            do {
                try await session.procedure.takeOver(holder: Holder(run: run))
            } catch let error as LockTaken {
                throw error
            } catch {
                // What holds the lock may be what is gone; undo still takes back what it can reach.
                console.show(.note("The lock that other machines see cannot be taken: \(error)"))
            }
            return try await session.undo(journal, run)
        }
    }

    // MARK: Parts

    /// The procedure's steps, behind the look at its requirements.
    private var steps: [ListedStep] {
        let all = (requirements.isEmpty ? [] : [ListedStep("", CheckRequirements(requirements: requirements))]) + procedure.steps
        return all.enumerated().map { $1.standing(at: $0 + 1, of: all.count) }
    }

    private func runner(_ memory: Memory) -> Runner {
        Runner(steps: steps, brackets: procedure.brackets(memory)) { [console] in console.show(.run($0)) }
    }

    /// Does `work`, and ends whatever the procedure holds on every way out.
    private func closing(_ work: () async throws -> Ending) async throws -> Ending { try await Self.closing(procedure, work) }

    static func closing<Value>(_ procedure: any Procedure, _ work: () async throws -> Value) async throws -> Value {
        do {
            let value = try await work()
            await procedure.close()
            return value
        } catch {
            await procedure.close()
            throw error
        }
    }

    static let nobodyIsThere = Problem("nobody is there to say yes", hint: "run it in a terminal, or with --yes. Nothing was changed.")

    /// Whether the operator wants what was shown.
    private func isWanted() throws -> Bool {
        guard let answer = console.wantsToGoOn() else { throw Self.nobodyIsThere }
        return answer
    }

    private func verdict(on findings: [Finding]) -> Ending {
        let unmet = findings.count { !$0.isMet }
        return unmet == 0 ? .mayRun(requirements: findings.count) : .mayNotRun(unmet: unmet, requirements: findings.count)
    }

    private func showPlan() async throws -> Ending {
        try await console.interruptibly {
            let findings = try await requirements.findings()
            if case .mayNotRun = verdict(on: findings) {
                console.show(.findings(findings.filter { !$0.isMet }))
                return verdict(on: findings)
            }
            let quiet = Runner(steps: steps) { event in
                switch event {
                case .inspecting(_, let title): console.show(.looking(at: title))
                case .note(_, let text): console.show(.note(text))
                default: break
                }
            }
            let plan = try await quiet.plan()
            console.show(.plan(plan))
            if plan.contains(where: { $0.inspection.isBlocked }) { return .planIsBlocked }
            return plan.contains { $0.inspection.isNeeded } ? .planned : .nothingToDo
        }
    }

    /// Performs what the journal's run still needs, so that an interruption ends it safely.
    private func perform(_ journal: Journal, _ run: String) async throws -> Ending {
        let runner = runner(Memory(journal))
        do {
            try await console.interruptibly { try await runner.perform(journal) }
            return .done(run: run, words: try procedure.closingWords(run: run, Memory(journal)))
        } catch let failure as RunFailure {
            switch await procedure.afterFailure(failure, Memory(journal)) {
            case .stays(let words): return .failed(run: run, failure, words: words)
            case .isTakenBack:
                let ending = try await undo(journal, run)
                guard case .undone(_, let left) = ending else { return ending }
                return .takenBack(run: run, failure, left: left)
            }
        }
    }

    /// Takes back what the journal's run created; an interruption ends that between two actions.
    private func undo(_ journal: Journal, _ run: String) async throws -> Ending {
        let runner = runner(Memory(journal))
        do {
            return .undone(run: run, left: try await console.interruptibly { try await runner.undo(journal) })
        } catch is CancellationError {
            try journal.append(JournalEntry(.ended, text: "interrupted"))
            return .undoInterrupted(run: run)
        }
    }

    /// Opens the journal of a run, and makes its procedure, under this machine's lock.
    private static func take(
        up name: String, in store: RunStore, console: any Console, make: (RunHeader) throws -> any Procedure,
        check: (RunSummary) throws -> Void = { _ in }, _ work: (RunSession, Journal, String) async throws -> Ending
    ) async throws -> Ending {
        let summary = try store.run(name), header = summary.header
        try check(summary)
        let lock = try RunLock(cluster: header.cluster, in: store, holder: Holder(run: header.run))
        defer { withExtendedLifetime(lock) {} }
        let session = RunSession(try make(header), in: store, console: console)
        return try await session.closing {
            if let change = header.playbookChange { console.show(.note(change)) }
            return try await work(session, try Journal.open(at: summary.journal), header.run)
        }
    }
}

extension Inspection {
    fileprivate var isBlocked: Bool { if case .blocked = self { true } else { false } }
    fileprivate var isNeeded: Bool { if case .needed = self { true } else { false } }
}

extension RunSummary {
    /// - Throws: `Problem` that says why the run cannot be gone on with.
    fileprivate func checkResume() throws {
        if state == .finished, header.isTakenBackOnFailure == true {
            throw Problem("run \(header.run) is finished", hint: "`pggraft undo \(header.run)` takes it back.")
        }
        guard !canResume else { return }
        throw Problem(
            "run \(header.run) is \(state.rawValue): it cannot be gone on with",
            hint: state == .undone && !header.playbook.isEmpty ? "Begin anew: pggraft run \(header.playbook)" : ways)
    }
}
