public import Report

/// How long a wait looks on while nothing moves.
///
/// What moves may take as long as it takes: a backup of days, WAL of a week to replay. This is what ends it, and no deadline.
public struct Patience: Sendable, Hashable {
    /// Without a move for so long, it ends.
    public var limit: Duration
    /// Without a move for so long, it says so, and why; once more each minute.
    public var tellsAfter: Duration

    public init(limit: Duration = .seconds(300), tellsAfter: Duration = .seconds(7)) {
        (self.limit, self.tellsAfter) = (limit, tellsAfter)
    }
}

/// Why something does not move.
public struct Obstacle: Sendable, Hashable {
    public var text: String
    /// Whether it stays as it is however long one waits.
    public var isFinal: Bool

    public init(_ text: String, isFinal: Bool = false) { (self.text, self.isFinal) = (text, isFinal) }
}

/// A wait that ended because nothing moved.
public struct Stalled: Explained, Hashable {
    public let waitedFor: String
    /// Since the last move.
    public let still: Duration
    /// Why, or the last state seen.
    public let reason: Obstacle

    public var fact: String {
        let head = reason.isFinal ? "waiting for \(waitedFor) is in vain" : "gave up waiting for \(waitedFor), after \(still.inSeconds) without a move"
        return reason.text.isEmpty ? head : "\(head): \(reason.text)"
    }

    public var hint: String? { nil }
}

/// What one look of ``wait(for:with:every:why:tell:_:)`` found.
public enum MovingLook<Value, Measure: Equatable> {
    case found(Value)
    /// Not yet; the text is the state seen, the measure is another one when it has come nearer.
    case notYet(String, Measure)
}

/// Looks again and again until `look` finds something, for as long as its measure moves.
///
/// - Parameters:
///   - what: what is waited for, as it reads after "waiting for".
///   - why: finds out why it does not move; asked only then.
///   - tell: takes the line that says so.
/// - Throws: ``Stalled`` when nothing has moved for too long, or the reason is final; `CancellationError`, and whatever `look` throws.
public func wait<Value, Measure: Equatable>(
    for what: String, with patience: Patience, every pause: Duration = .milliseconds(200), why: () async throws -> Obstacle? = { nil },
    tell: (String) -> Void, _ look: () async throws -> MovingLook<Value, Measure>
) async throws -> Value {
    var measure: Measure?, moved = ContinuousClock.now, asked = moved
    var told: (at: ContinuousClock.Instant, reason: String)?
    while true {
        let state: String
        switch try await look() {
        case .found(let value): return value
        case .notYet(let text, let seen):
            state = text
            if seen != measure { (measure, moved, told) = (seen, .now, nil) }
        }
        let still = moved.duration(to: .now), isOver = still >= patience.limit, mayAsk = patience.tellsAfter / 2
        let isToBeTold = told == nil && still >= patience.tellsAfter
        if isOver || isToBeTold || (still >= mayAsk && asked.duration(to: .now) >= mayAsk) {
            asked = .now
            let reason = try await reason(why) ?? Obstacle(state)
            guard !isOver, !reason.isFinal else { throw Stalled(waitedFor: what, still: still, reason: reason) }
            let isNews = told.map { $0.at.duration(to: .now) >= ($0.reason == reason.text ? .seconds(60) : .seconds(20)) } ?? true
            if still >= patience.tellsAfter, isNews {
                told = (.now, reason.text)
                tell("waiting for \(what), which has not moved for \(still.inSeconds): \(reason.text)".onOneLine)
            }
        }
        try await Task.sleep(for: min(pause, patience.tellsAfter / 4))
    }
}

/// Does `work` for as long as its measure moves: for what says nothing of its own until its end.
///
/// - Parameters:
///   - what: what is waited for, as it reads after "waiting for".
///   - look: the state and the measure; for the first time after a pause. A look that fails is no move: what is lost, `work` says itself.
///   - work: takes the deadline for what wants one.
/// - Throws: ``Stalled``, with `work` cancelled; whatever `work` throws.
public func moving<Value: Sendable, Measure: Equatable & Sendable>(
    _ what: String, with patience: Patience, every pause: Duration, why: @escaping @Sendable () async throws -> Obstacle? = { nil },
    tell: @escaping @Sendable (String) -> Void, by look: @escaping @Sendable () async throws -> (state: String, measure: Measure),
    _ work: @escaping @Sendable (Deadline) async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work(.none) }
        group.addTask {
            try await Task.sleep(for: pause)
            var last: Measure?
            return try await wait(for: what, with: patience, every: pause, why: why, tell: tell) { () -> MovingLook<Value?, Measure?> in
                do {
                    let seen = try await look()
                    last = seen.measure
                    return .notYet(seen.state, seen.measure)
                } catch {
                    try Task.checkCancellation()
                    return .notYet(Problem(explaining: error).fact, last)
                }
            }
        }
        defer { group.cancelAll() }
        // The other task only ends by throwing.
        guard let value = try await group.next() ?? nil else { throw CancellationError() }
        return value
    }
}

extension Deadline {
    /// Of what ends when it does not move: a year, which is as many seconds as `pg_ctl` can count.
    fileprivate static var none: Deadline { .after(.seconds(365 * 24 * 3600)) }
}

/// Why it does not move; a reason that cannot be found out is told as such.
private func reason(_ why: () async throws -> Obstacle?) async throws -> Obstacle? {
    do {
        return try await why()
    } catch {
        try Task.checkCancellation()
        return Obstacle("why cannot be found out: \(Problem(explaining: error).fact)")
    }
}
