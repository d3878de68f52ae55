import Report
import Run
import Spock

/// What opening a node comes to that this run has closed.
enum Opening: Sendable, Equatable {
    /// It takes writes as it did.
    case nothing
    case open
    case left(Problem)

    /// - Parameters: what the node says now, what it said before the run.
    init(_ node: String, now: ReadOnlyState, before: ReadOnlyState) {
        let isClosed = now.altered == .user || now.altered == .local
        if now == before || (now.inForce == before.inForce && !isClosed) {
            self = .nothing
        } else if isClosed || now.altered == before.altered {
            // Closed by this run; or opened already, by one that was cut off before the server had read it.
            self = .open
        } else {
            self = .left(
                Problem(
                    "\(node): spock.readonly is \(now.altered?.rawValue ?? now.inForce.rawValue), which this run did not set: left alone (it was \(before.inForce.rawValue) before)",
                    hint: "keep it if it is meant; it ends with ALTER SYSTEM RESET spock.readonly; SELECT pg_reload_conf();"))
        }
    }
}
