import EventLoop
import Report
import Server
import Spock

/// The time in which source and peers are read-only: when it opened, how long it may last, where it went.
struct Window: Sendable {
    let opened = ContinuousClock.Instant.now
    let deadline: Deadline
    /// The moment on each node after which new statements are refused.
    var flips: [String: ServerMoment]
    private(set) var parts: [(name: String, took: Duration)] = []
    private var last = ContinuousClock.Instant.now

    init(deadline: Deadline, flips: [String: ServerMoment]) {
        self.deadline = deadline
        self.flips = flips
    }

    /// Books the time since the last call to `part`.
    mutating func book(_ part: String) {
        let now = ContinuousClock.Instant.now
        parts.append((part, last.duration(to: now)))
        last = now
    }

    var length: Duration { opened.duration(to: .now) }

    /// `3.1 s (drain 0.3 s, promote 0.4 s …)`
    var summary: String {
        "\(length.inSeconds) (" + parts.map { "\($0.name) \($0.took.inSeconds)" }.joined(separator: ", ") + ")"
    }
}
