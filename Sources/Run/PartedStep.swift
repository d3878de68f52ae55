import Report

/// A step that does the same for several parts of a run, each with a step of its own and a memory of its own: what one part began, kept and created is no
/// other's.
///
/// ```swift
/// PartedStep("Obtain base backup of datanode1, datanode2", of: slaves.map { ($0.name, CopyFiles(order, standby: $0.standby)) })
/// ```
public struct PartedStep: Step {
    public static let name = "parted"
    public let name: String
    public let title: String
    private let parts: [(name: String, step: any Step)]
    private let goSideBySide: Bool
    private let inspected = Inspected<Set<String>>()

    /// - Parameters:
    ///   - parts: each with its step, all of one kind; in whose order they are performed where they do not go side by side; they are taken back the other way round.
    ///   - goSideBySide: whether they are performed at the same time: not where one rests on what another has made.
    public init(_ title: String, of parts: [(name: String, step: any Step)], sideBySide goSideBySide: Bool = true) {
        (self.title, self.parts, self.goSideBySide) = (title, parts, goSideBySide)
        name = parts.first?.step.name ?? Self.name
    }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        await inspected.keep(nil)
        var seen: [String] = [], changes: [Change] = [], problems: [Problem] = [], needed: Set<String> = []
        for (part, found) in await results(of: parts, { part, step in try await step.inspect(memory.of(part)) }) {
            switch try found.get() {
            case .done(let text): seen.append(text)
            case .needed(let more):
                changes += more
                needed.insert(part)
            case .blocked(let more): problems += more
            }
        }
        if !problems.isEmpty { return .blocked(problems) }
        await inspected.keep(needed)
        // What one part would do for all is said once.
        changes = changes.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        return needed.isEmpty ? .done(seen.joined(separator: "; ")) : .needed(changes)
    }

    /// Each part that needs it, to its end, whatever becomes of the others.
    public func perform(_ run: StepRun) async throws -> String {
        let needed = await inspected.take()
        var said: [String] = [], errors: [any Error] = []
        if goSideBySide {
            let those = parts.filter { needed?.contains($0.name) ?? true }
            for (_, result) in await results(of: those, { part, step in try await perform(step, run.of(part), isLooked: needed != nil) }) {
                switch result {
                case .success(let text): said.append(text)
                case .failure(let error): errors.append(error)
                }
            }
        } else {
            // Each is looked at when it is its turn: the one before may have done it.
            for (part, step) in parts {
                try Task.checkCancellation()
                said.append(try await perform(step, run.of(part), isLooked: false))
            }
        }
        guard errors.isEmpty else { throw Self.failure(errors) }
        return said.joined(separator: "; ")
    }

    /// What `work` comes to for each of them, in their order, all at the same time and each to its end.
    private func results<Value: Sendable>(
        of parts: [(name: String, step: any Step)], _ work: @escaping @Sendable (_ part: String, any Step) async throws -> Value
    ) async -> [(part: String, result: Result<Value, any Error>)] {
        await withTaskGroup(of: (Int, Result<Value, any Error>).self) { group in
            for (index, part) in parts.enumerated() {
                group.addTask {
                    do { return (index, .success(try await work(part.name, part.step))) } catch { return (index, .failure(error)) }
                }
            }
            return await group.reduce(into: [(Int, Result<Value, any Error>)]()) { $0.append($1) }.sorted { $0.0 < $1.0 }.map { (parts[$0.0].name, $0.1) }
        }
    }

    private func perform(_ step: any Step, _ run: StepRun, isLooked: Bool) async throws -> String {
        if !isLooked {
            switch try await step.inspect(run.memory) {
            case .done(let seen): return seen
            case .blocked(let problems): throw Blocked(problems: problems)
            case .needed: break
            }
        }
        try run.write(.intent, step.title)
        return try await step.perform(run)
    }

    /// What they have failed with: the only one as it is, an interruption or what the journal threw before all others.
    private static func failure(_ errors: [any Error]) -> any Error {
        if let error = errors.first(where: { $0 is CancellationError || $0 is JournalError }) { return error }
        return errors.count == 1 ? errors[0] : Blocked(problems: errors.map(Problem.init(explaining:)))
    }

    /// Takes back what the parts did that have begun and are not taken back yet, the last first.
    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        var outcome = UndoOutcome.undone([]), reason: String?
        for (part, step) in parts.reversed() {
            let own = run.of(part)
            guard own.memory.began(name), !own.memory.isUndone(name) else { continue }
            try Task.checkCancellation()
            switch try await step.takenBack(own) {
            case .nothing(let why): reason = why
            case .undone(let lines):
                try own.write(.undone, lines.joined(separator: "; "))
                outcome = outcome.and(.undone(lines))
            case .left(let problems, let lines):
                try own.write(.left, problems.map(\.fact).joined(separator: "; "))
                outcome = outcome.and(.left(problems, undone: lines))
            }
        }
        if let reason, outcome.lines.isEmpty, outcome.problems.isEmpty { return .nothing(because: reason) }
        return outcome
    }
}
