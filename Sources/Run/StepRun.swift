/// A step while it is being performed or undone: its way to the journal and to whoever watches.
public struct StepRun: Sendable {
    private let id: StepID
    /// The step's name.
    public var step: String { id.name }
    private let journal: Journal
    private var write: @Sendable (JournalEntry) throws -> Void
    private let watch: @Sendable (RunEvent) -> Void
    /// Of the step; `nil` for all of it.
    private var part: String?

    init(step: StepID, journal: Journal, watch: @escaping @Sendable (RunEvent) -> Void) {
        id = step
        self.journal = journal
        self.watch = watch
        write = { try journal.append($0) }
    }

    /// The same step, whose lines go through `filter` on their way to the journal: for a test that ends a run between two of them.
    package func writing(_ filter: @escaping @Sendable (JournalEntry, _ toJournal: (JournalEntry) throws -> Void) throws -> Void) -> StepRun {
        var other = self
        other.write = { [write] in try filter($0, write) }
        return other
    }

    /// The same step for one part of it, with a memory of its own.
    func of(_ part: String) -> StepRun {
        var other = self
        other.part = part
        return other
    }

    public var memory: Memory {
        let memory = Memory(journal).telling { note($0) }
        return part.map(memory.of) ?? memory
    }

    /// Says that the part begins to change something, or that all that it did is taken back.
    func write(_ event: JournalEntry.Event, _ text: String? = nil) throws { try write(JournalEntry(event, step: step, part: part, text: text)) }

    /// Keeps `value`; on disk when this returns. Never a secret.
    public func remember<Value>(_ fact: Fact<Value>, _ value: Value) throws {
        try write(JournalEntry(.fact, step: step, part: part, key: fact.key, value: try JSON(of: value)))
    }

    /// The value of `fact`, which an earlier step has kept.
    /// - Throws: ``JournalError/noFact(step:key:)``.
    public func recall<Value>(_ fact: Fact<Value>) throws -> Value {
        guard let value = try memory.recall(fact) else { throw JournalError.noFact(step: step, key: fact.key) }
        return value
    }

    /// Says that `thing`, seen not to be there, is about to be created. Undo takes it away again.
    public func creating(_ thing: Created) throws {
        try write(JournalEntry(.creating, step: step, part: part, value: try JSON(of: thing)))
    }

    /// What this step created or was about to create, oldest first.
    public var created: [Created] { get throws { try memory.created(by: step) } }

    /// Tells whoever watches how far the step is.
    public func progress(_ text: String, fraction: Double? = nil) { watch(.progress(id, part.map { "\($0): \(text)" } ?? text, fraction: fraction)) }

    /// Tells whoever watches something worth a line of its own.
    public func note(_ text: String) { watch(.note(id, text)) }
}
