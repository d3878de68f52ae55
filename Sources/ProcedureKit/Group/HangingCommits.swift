import EventLoop
import Report
public import Server

/// For how long commits have hung by now, from one look to the next.
public struct HangingCommits: Sendable {
    private var listSince: ContinuousClock.Instant?
    private var seen: [WaitingCommit: ContinuousClock.Instant] = [:]

    public init() {}

    /// Asks the primary for the commits that wait. Where it gives no answer that is one problem more of `status`, and since when those of the look
    /// before have waited is known to the next.
    /// - Returns: as ``look(isUnsatisfied:waiting:at:)``.
    /// - Throws: `CancellationError`.
    public mutating func look(_ status: inout GroupStatus, of group: Group) async throws -> Duration? {
        guard let primary = status.lines.first(where: { $0.role == .primary })?.node else { return look(isUnsatisfied: false, waiting: []) }
        do {
            return look(isUnsatisfied: status.hanging != nil, waiting: try await group.access.server(primary).waitingCommits(deadline: .after(.seconds(10))))
        } catch let error where !(error is CancellationError) {
            status.problems.append(Problem("\(primary) does not say which commits wait", because: error))
            let before = seen
            defer { seen = before }
            return look(isUnsatisfied: status.hanging != nil, waiting: [])
        }
    }

    /// - Parameters:
    ///   - isUnsatisfied: whether fewer standbys are there than commits wait for.
    ///   - waiting: the commits that wait right now: a standby that is silent counts as there for a minute.
    /// - Returns: since when commits hang, or would; `nil` where they do not.
    public mutating func look(isUnsatisfied: Bool, waiting: [WaitingCommit], at now: ContinuousClock.Instant = .now) -> Duration? {
        listSince = isUnsatisfied ? listSince ?? now : nil
        let before = seen
        seen = Dictionary(waiting.map { ($0, before[$0] ?? now) }) { first, _ in first }
        // One that is seen for the first time may return at once.
        let oldest = ([listSince] + seen.values.filter { $0 != now }).compactMap(\.self).min()
        return oldest.map { $0.duration(to: now) }
    }
}
