import Report

/// What a run's journal knows: facts that cannot be seen again, and what the run created.
public struct Memory: Sendable {
    private let entries: @Sendable () -> [JournalEntry]

    public init(_ journal: Journal) { entries = { journal.entries } }
    public init(entries: [JournalEntry] = []) { self.entries = { entries } }

    /// The newest fact under `key`, of whichever step wrote it.
    public func recall<Value: Decodable>(_ key: String, as type: Value.Type = Value.self) throws -> Value? {
        try entries().last { $0.event == .fact && $0.key == key }?.value?.decoded(as: type)
    }

    /// What `step` created or was about to create, oldest first, each thing once.
    public func created(by step: StepID? = nil) throws -> [Created] {
        var seen: Set<Created> = []
        return try entries()
            .filter { $0.event == .creating && (step == nil || $0.step == step?.name) }
            .compactMap { try $0.value?.decoded(as: Created.self) }
            .filter { seen.insert($0).inserted }
    }

    /// Whether `step` began to change something in this run.
    public func began(_ step: StepID) -> Bool { entries().contains { $0.event == .intent && $0.step == step.name } }

    /// Whether everything that `step` did was taken back, and it did not begin again since.
    public func isUndone(_ step: StepID) -> Bool {
        entries().last { $0.step == step.name && [.intent, .undone, .left].contains($0.event) }?.event == .undone
    }

    public var header: RunHeader? {
        get throws { try entries().first { $0.event == .began }?.value?.decoded(as: RunHeader.self) }
    }
}

/// A step while it is being performed or undone: its way to the journal and to whoever watches.
public struct StepRun: Sendable {
    public let step: StepID
    private let journal: Journal
    private let watch: @Sendable (RunEvent) -> Void

    init(step: StepID, journal: Journal, watch: @escaping @Sendable (RunEvent) -> Void) {
        self.step = step
        self.journal = journal
        self.watch = watch
    }

    public var memory: Memory { Memory(journal) }

    /// Keeps `value` under `key`; on disk when this returns. Never a secret.
    public func remember(_ key: String, _ value: some Encodable) throws {
        try journal.append(JournalEntry(.fact, step: step, key: key, value: try JSON(of: value)))
    }

    /// The fact under `key`, which an earlier step has written.
    /// - Throws: ``JournalError/noFact(step:key:)``.
    public func recall<Value: Decodable>(_ key: String, as type: Value.Type = Value.self) throws -> Value {
        guard let value = try memory.recall(key, as: type) else { throw JournalError.noFact(step: step.name, key: key) }
        return value
    }

    /// Says that `thing`, seen not to be there, is about to be created. Undo takes it away again.
    public func creating(_ thing: Created) throws {
        try journal.append(JournalEntry(.creating, step: step, value: try JSON(of: thing)))
    }

    /// Tells whoever watches how far the step is.
    public func progress(_ text: String, fraction: Double? = nil) { watch(.progress(step, text, fraction: fraction)) }

    /// Tells whoever watches something worth a line of its own.
    public func note(_ text: String) { watch(.note(step, text)) }
}

/// What happens in a run, for the terminal, JSON output and tests.
public enum RunEvent: Sendable {
    case inspecting(StepID, title: String)
    case skipped(StepID, title: String, seen: String)
    case began(StepID, title: String)
    case progress(StepID, String, fraction: Double?)
    case note(StepID, String)
    case done(StepID, title: String, result: String, took: Duration)
    case failed(StepID, title: String, error: String)
    /// A bracket opened everything again on a way out, but for `problems`.
    case released(bracket: String, problems: [Problem])
    case undone(StepID, title: String, lines: [String])
    case left(StepID, title: String, problems: [Problem])
}
