import EventLoop
import Report

/// The time in which nodes are closed: when it began, how long it may last, where it went.
struct WindowClock: Sendable {
    let began = ContinuousClock.Instant.now
    let deadline: Deadline
    private var parts: [(name: String, took: Duration)] = []
    private var last = ContinuousClock.Instant.now

    init(deadline: Deadline) { self.deadline = deadline }

    /// Books the time since the last call to `part`.
    mutating func book(_ part: String) {
        let now = ContinuousClock.Instant.now
        parts.append((part, last.duration(to: now)))
        last = now
    }

    /// `3.1 s (drain 0.3 s, promote 0.4 s …)`
    var summary: String {
        "\(began.duration(to: .now).inSeconds) (" + parts.map { "\($0.name) \($0.took.inSeconds)" }.joined(separator: ", ") + ")"
    }
}
