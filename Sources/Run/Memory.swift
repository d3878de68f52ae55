import Foundation

/// What a run's journal knows: facts that cannot be seen again, and what the run created.
public struct Memory: Sendable {
    private let entries: @Sendable () -> [JournalEntry]
    private var tell: @Sendable (String) -> Void = { _ in }
    /// Whose it is; `nil` for the run's as a whole.
    private var part: String?

    public init(_ journal: Journal) { entries = { journal.entries } }
    public init(entries: [JournalEntry] = []) { self.entries = { entries } }

    /// Tells whoever watches something worth a line of its own, while a step is looked at: that the look waits, and what for.
    public func note(_ text: String) { tell(text) }

    /// The same, which tells `watch`.
    func telling(_ watch: @escaping @Sendable (String) -> Void) -> Memory {
        var other = self
        other.tell = watch
        return other
    }

    /// What it knows for one part of the run's steps: what that part has begun, kept and created, and facts that are nobody's.
    public func of(_ part: String) -> Memory {
        var other = self
        other.part = part
        return other
    }

    /// The newest value of `fact`, whichever step kept it; `nil` before that.
    public func recall<Value>(_ fact: Fact<Value>) throws -> Value? {
        try entries().last { $0.event == .fact && $0.key == fact.key && ($0.part == nil || $0.part == part) }?.value?.decoded(as: Value.self)
    }

    /// What the step called `step` created or was about to create, oldest first, each thing once; `nil` for all steps. Of the run as a whole, whichever
    /// part did.
    public func created(by step: String? = nil) throws -> [Created] {
        var seen: Set<Created> = []
        return
            try entries()
            .filter { $0.event == .creating && (step == nil || $0.step == step) && (part == nil || $0.part == nil || $0.part == part) }
            .compactMap { try $0.value?.decoded(as: Created.self) }
            .filter { seen.insert($0).inserted }
    }

    /// Whether the step called `step` began to change something in this run; of a part, whether it did.
    public func began(_ step: String) -> Bool { entries().contains { $0.event == .intent && $0.step == step && $0.part == part } }

    /// Whether a step of this kind began to change something in this run.
    public func began(_ step: (some Step).Type) -> Bool { began(step.name) }

    /// Whether everything that the step called `step` did was taken back, and it did not begin again since.
    public func isUndone(_ step: String) -> Bool {
        entries().last { $0.step == step && $0.part == part && [.intent, .undone, .left].contains($0.event) }?.event == .undone
    }

    /// Whether everything that steps of this kind did was taken back.
    public func isUndone(_ step: (some Step).Type) -> Bool { isUndone(step.name) }

    /// Whether what the bracket called `bracket` has closed was not opened again since.
    public func isClosed(by bracket: String) -> Bool {
        entries().last { ($0.event == .closed || $0.event == .opened) && $0.text == bracket }?.event == .closed
    }

    /// What the operator has said when the run began, and each time when it was taken up again.
    public func consented(to consent: Consent) throws -> Bool {
        if try header?.consents?.contains(consent) == true { return true }
        return try entries().contains { try $0.event == .resumed && $0.value?.decoded(as: [Consent].self).contains(consent) == true }
    }

    /// How long each of `steps` took that was begun, from its first begin until it was done last, in their order; and all of them together.
    /// `nil` where one was begun and is not done, or where the run was taken up again meanwhile: the time that nobody worked is no part of it.
    public func took(_ steps: [String]) -> (each: [(step: String, time: Duration)], all: Duration)? {
        let entries = entries()
        guard !entries.contains(where: { $0.event == .resumed }) else { return nil }
        var each: [(step: String, time: Duration)] = [], moments: [Date] = []
        for step in steps {
            guard let began = entries.first(where: { $0.step == step && $0.event == .intent })?.at else { continue }
            guard let done = entries.last(where: { $0.step == step && $0.event == .done })?.at else { return nil }
            each.append((step, .seconds(done.timeIntervalSince(began))))
            moments += [began, done]
        }
        guard let first = moments.min(), let last = moments.max() else { return nil }
        return (each, .seconds(last.timeIntervalSince(first)))
    }

    /// For how long there has been a run; `nil` before it.
    public var age: Duration? { entries().first.map { .seconds(Date().timeIntervalSince($0.at)) } }

    public var header: RunHeader? {
        get throws { try entries().first { $0.event == .began }?.value?.decoded(as: RunHeader.self) }
    }
}
