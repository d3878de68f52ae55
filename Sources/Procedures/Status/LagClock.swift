public import PostgresClient

/// How far behind a reader is in time.
public enum Lag: Sendable, Hashable {
    /// It has everything.
    case none
    /// By the looks that were made, which are not exact: so long ago its provider stood where it stands now.
    case measured(Duration)
    /// For so long it has been looked at, and has not come to where its provider stood at the first look.
    case atLeast(Duration)
    /// So old is the last commit that it has applied: the first one that it lacks is younger.
    case atMost(Duration)

    public var duration: Duration {
        switch self {
        case .none: .zero
        case .measured(let time), .atLeast(let time), .atMost(let time): time
        }
    }
}

/// Where each provider stood at which moment, from one look to the next: what has been written since a moment is as old as that at most.
///
/// A commit's age alone would say hours of a cluster in which nobody has written for hours.
public struct LagClock: Sendable {
    private struct Look {
        var moment: ContinuousClock.Instant
        var written: LSN
    }

    private var looks: [String: [Look]] = [:]
    private static let most = 512

    public init() {}

    /// Where `provider` stood at a moment.
    public mutating func look(_ provider: String, at written: LSN, _ moment: ContinuousClock.Instant = .now) {
        var before = looks[provider] ?? []
        // Another server by the same name, or the same one in another life.
        if let last = before.last, last.written > written { before = [] }
        before.append(Look(moment: moment, written: written))
        // What is old is kept less exactly.
        if before.count > Self.most { before = before.enumerated().filter { $0.offset.isMultiple(of: 2) || $0.offset >= Self.most / 2 }.map(\.element) }
        looks[provider] = before
    }

    /// How long a reader that has confirmed `position` is behind `provider`, as that was looked at last; `nil` where that cannot be told yet.
    /// - Parameter lastCommit: how old the last commit is that it has applied, where that is known.
    public func lag(at position: LSN, behind provider: String, lastCommit: Duration? = nil, _ now: ContinuousClock.Instant = .now) -> Lag? {
        guard let looks = looks[provider], let newest = looks.last, let oldest = looks.first else { return nil }
        guard position < newest.written else { return Lag.none }
        if let passed = looks.last(where: { $0.written <= position }) {
            let time = passed.moment.duration(to: now)
            return .measured(min(time, lastCommit ?? time))
        }
        if let lastCommit { return .atMost(lastCommit) }
        return looks.count > 1 ? .atLeast(oldest.moment.duration(to: now)) : nil
    }
}
