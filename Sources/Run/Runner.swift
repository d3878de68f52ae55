import Report

/// Plans, performs, resumes and undoes the steps of one procedure.
public struct Runner: Sendable {
    public let steps: [ListedStep]
    public let brackets: [Bracket]
    private let watch: @Sendable (RunEvent) -> Void

    public init(steps: [ListedStep], brackets: [Bracket] = [], watch: @escaping @Sendable (RunEvent) -> Void = { _ in }) {
        self.steps = steps
        self.brackets = brackets
        self.watch = watch
    }

    /// A step and what a look at it found.
    public struct Planned: Sendable {
        public let id: StepID
        public let title: String
        public let inspection: Inspection
    }

    /// Looks at every step and changes nothing: at all of them side by side, for none of them happens.
    /// - Throws: what the first of them throws that cannot be looked at.
    public func plan(_ memory: Memory = Memory()) async throws -> [Planned] {
        try await withThrowingTaskGroup(of: (Int, Result<Inspection, any Error>).self) { looks in
            for (index, step) in steps.enumerated() {
                looks.addTask {
                    do { return (index, .success(try await inspect(step, memory))) } catch { return (index, .failure(error)) }
                }
            }
            var found: [Int: Result<Inspection, any Error>] = [:], planned: [Planned] = []
            for (index, step) in steps.enumerated() {
                watch(.inspecting(step.id, title: step.title))
                while found[index] == nil, let look = try await looks.next() { found[look.0] = look.1 }
                guard let inspection = try found[index]?.get() else { continue }
                planned.append(Planned(id: step.id, title: step.title, inspection: inspection))
            }
            return planned
        }
    }

    private func inspect(_ step: ListedStep, _ memory: Memory) async throws -> Inspection {
        try await step.step.inspect(memory.telling { [watch] in watch(.note(step.id, $0)) })
    }

    /// Performs what is still needed, in order. Beginning and resuming are the same: look, then do.
    ///
    /// - Throws: ``RunFailure`` with the step it ended in. Whatever a bracket had closed is open again by then, or the
    ///   failure names what is not.
    public func perform(_ journal: Journal) async throws {
        var open: [Bracket] = []
        var current: ListedStep?
        do {
            let leftOver = try await releaseLeftOver(journal)
            guard leftOver.isEmpty else { throw NotOpened(leftOver) }
            for step in steps {
                current = step
                try Task.checkCancellation()
                watch(.inspecting(step.id, title: step.title))
                switch try await inspect(step, Memory(journal)) {
                case .done(let seen):
                    try journal.append(JournalEntry(.seen, step: step.id.name, text: seen))
                    watch(.skipped(step.id, title: step.title, seen: seen))
                case .blocked(let problems):
                    throw Blocked(problems: problems)
                case .needed:
                    if let bracket = brackets.first(where: { $0.opens == step.id.name }) {
                        open.append(bracket)
                        try journal.append(JournalEntry(.closed, step: step.id.name, text: bracket.name))
                    }
                    try await perform(step, journal, in: open[...])
                }
                for bracket in open where bracket.closes == step.id.name {
                    try journal.append(JournalEntry(.opened, step: step.id.name, text: bracket.name))
                    open.removeAll { $0.name == bracket.name }
                }
            }
            try journal.append(JournalEntry(.ended, text: "finished"))
        } catch {
            open.removeAll { $0.isOver() }
            let notOpened = ((error as? NotOpened)?.problems ?? []) + (await release(open, journal))
            let interrupted = error is CancellationError || Task.isCancelled
            let failure = RunFailure(step: current?.id, title: current?.title ?? "", cause: error, interrupted: interrupted, opened: open.map(\.name), notOpened: notOpened)
            let problem = interrupted ? Problem("interrupted") : Problem(explaining: error)
            if let current { watch(.failed(current.id, title: current.title, problem)) }
            do {
                try journal.append(JournalEntry(interrupted ? .interrupted : .failed, step: current?.id.name, text: interrupted ? "by the operator" : problem.description))
                try journal.append(JournalEntry(.ended, text: interrupted ? "interrupted" : "failed"))
            } catch {
                // The run's own end counts more than that it could not be written down.
                watch(.note(current?.id ?? StepID("", "run"), "\(error)"))
            }
            throw failure
        }
    }

    /// Undoes the steps that this run began, last first. May be interrupted and called again.
    ///
    /// A step that was wholly undone is not looked at again: what bears the name of its things by then is somebody else's.
    /// A step that cannot be undone, because a host is gone or for any other reason, is named; those before it are undone.
    /// - Returns: what was left alone, and why.
    public func undo(_ journal: Journal) async throws -> [Problem] {
        try journal.append(JournalEntry(.undoing))
        // What cannot be opened now is a problem of the step that closed it, which is undone below.
        _ = try await releaseLeftOver(journal)
        var left: [Problem] = []
        for step in steps.reversed() where Memory(journal).began(step.id.name) {
            try Task.checkCancellation()
            guard !Memory(journal).isUndone(step.id.name) else {
                watch(.skipped(step.id, title: step.title, seen: "undone already"))
                continue
            }
            watch(.inspecting(step.id, title: step.title))
            switch try await step.step.takenBack(StepRun(step: step.id, journal: journal, watch: watch)) {
            case .undone(let lines):
                try journal.append(JournalEntry(.undone, step: step.id.name, text: lines.joined(separator: "; ")))
                watch(.undone(step.id, title: step.title, lines: lines))
            case .nothing(let reason):
                try journal.append(JournalEntry(.undone, step: step.id.name))
                watch(.skipped(step.id, title: step.title, seen: "nothing to take back: \(reason)"))
            case .left(let problems, let lines):
                try journal.append(JournalEntry(.left, step: step.id.name, text: problems.map(\.fact).joined(separator: "; ")))
                if !lines.isEmpty { watch(.undone(step.id, title: step.title, lines: lines)) }
                watch(.left(step.id, title: step.title, problems: problems))
                left += problems
            }
        }
        try journal.append(JournalEntry(.ended, text: left.isEmpty ? "undone" : "undone in part"))
        return left
    }

    /// Opens what a run that was killed has left closed.
    /// - Returns: what could not be opened.
    private func releaseLeftOver(_ journal: Journal) async throws -> [Problem] {
        var problems: [Problem] = []
        for bracket in brackets where !bracket.isOver() && Memory(journal).isClosed(by: bracket.name) { problems += await release([bracket], journal) }
        return problems
    }

    /// Performs `step`, watched by the brackets it is in.
    private func perform(_ step: ListedStep, _ journal: Journal, in brackets: ArraySlice<Bracket>) async throws {
        if let bracket = brackets.first {
            return try await watched(by: bracket.watch) { try await perform(step, journal, in: brackets.dropFirst()) }
        }
        try journal.append(JournalEntry(.intent, step: step.id.name, text: step.title))
        watch(.began(step.id, title: step.title))
        let began = ContinuousClock.Instant.now
        let result = try await step.step.perform(StepRun(step: step.id, journal: journal, watch: watch))
        try journal.append(JournalEntry(.done, step: step.id.name, text: result))
        watch(.done(step.id, title: step.title, result: result, took: began.duration(to: .now)))
    }

    /// Opens what the brackets closed, also when this task has been cancelled.
    private func release(_ open: [Bracket], _ journal: Journal) async -> [Problem] {
        var notOpened: [Problem] = []
        for bracket in open.reversed() {
            let problems = await Task.detached { await bracket.release() }.value
            notOpened += problems
            watch(.released(bracket: bracket.name, problems: problems))
            guard problems.isEmpty else { continue }
            do {
                try journal.append(JournalEntry(.opened, text: bracket.name))
            } catch {
                notOpened.append(Problem("\(bracket.name) is open again, but that could not be written down", because: error))
            }
        }
        return notOpened
    }
}
