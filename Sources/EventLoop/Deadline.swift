public import Report

/// A moment by which something must have happened.
///
/// Every wait in pggraft takes one. Nothing returns "ok" because its time ran out: see ``wait(for:until:every:_:)``.
public struct Deadline: Sendable, Hashable {
    /// The moment itself, on the clock that also runs while the machine sleeps.
    public let instant: ContinuousClock.Instant
    /// The time that was given when the deadline was made; errors name it.
    public let budget: Duration

    private init(instant: ContinuousClock.Instant, budget: Duration) {
        self.instant = instant
        self.budget = budget
    }

    /// The deadline `duration` from now.
    public static func after(_ duration: Duration) -> Deadline {
        Deadline(instant: .now + duration, budget: duration)
    }

    /// The time left; zero once the deadline has passed.
    public var remaining: Duration { max(.zero, ContinuousClock.Instant.now.duration(to: instant)) }

    public var hasPassed: Bool { ContinuousClock.Instant.now >= instant }

    /// The earlier of this deadline and `duration` from now.
    public func orAfter(_ duration: Duration) -> Deadline {
        let other = Deadline.after(duration)
        return other.instant < instant ? other : self
    }

    /// For one look of a wait: the look after the last moment still gets its answer, so that the wait can say what it saw.
    public var forLook: Deadline { .after(max(remaining, .seconds(2))) }
}

/// A wait that came to its deadline. It says what was waited for, and what was seen last.
public struct DeadlineExceeded: Explained {
    public let waitedFor: String
    public let budget: Duration
    /// The last state seen while waiting, if the wait could see one.
    public let lastSeen: String?

    public init(waitedFor: String, budget: Duration, lastSeen: String? = nil) {
        self.waitedFor = waitedFor
        self.budget = budget
        self.lastSeen = lastSeen
    }

    public var fact: String {
        "gave up after \(budget.inSeconds) waiting for \(waitedFor)" + (lastSeen.map { " (last seen: \($0))" } ?? "")
    }

    public var hint: String? { nil }
}

/// What one look of ``wait(for:until:every:_:)`` found.
public enum Look<Value> {
    case found(Value)
    /// Not yet; the text is the state seen, for the error at the deadline.
    case notYet(String)
}

/// Looks again and again until `look` finds something.
///
/// - Parameters:
///   - what: what is waited for, as it reads after "waiting for".
///   - every: the pause between two looks.
/// - Throws: ``DeadlineExceeded`` at the deadline, `CancellationError`, and whatever `look` throws.
public func wait<Value>(
    for what: String, until deadline: Deadline, every pause: Duration = .milliseconds(50),
    _ look: () async throws -> Look<Value>
) async throws -> Value {
    while true {
        let seen: String
        switch try await look() {
        case .found(let value): return value
        case .notYet(let state): seen = state
        }
        guard !deadline.hasPassed else {
            throw DeadlineExceeded(waitedFor: what, budget: deadline.budget, lastSeen: seen.isEmpty ? nil : seen)
        }
        try await Task.sleep(for: min(pause, max(deadline.remaining, .milliseconds(1))))
    }
}
