public import EventLoop
import Report
public import Server

/// A setting that closes a server to writers once a reload has brought it in.
public struct ClosingSetting: Sendable {
    /// `spock.readonly`.
    public let name: String
    /// Every value that pggraft writes to close a server. A line with another one is somebody else's.
    public let closingValues: [String]
    private let closed: @Sendable (ServerSession, Deadline) async throws -> Closed

    /// What closes a server.
    public struct Closed: Sendable, Hashable {
        public var value: String
        /// What `SHOW` says then.
        public var inForce: String

        public init(value: String, inForce: String) { (self.value, self.inForce) = (value, inForce) }
    }

    /// - Parameter closed: the value that closes a server; it is asked for before the server is closed.
    public init(_ name: String, closingValues: [String], closed: @escaping @Sendable (ServerSession, Deadline) async throws -> Closed) {
        (self.name, self.closingValues, self.closed) = (name, closingValues, closed)
    }

    /// Has the transactions of ordinary clients be read-only. It is no barrier: a session that sets it off writes, and so does one whose
    /// role or database has it off. What closes a plain server is its stop; until then this keeps clients from beginning what that would break off.
    public static let readOnlyByDefault = ClosingSetting("default_transaction_read_only", closingValues: ["on"]) { _, _ in Closed(value: "on", inForce: "on") }

    func closed(_ server: ServerSession, deadline: Deadline) async throws -> Closed { try await closed(server, deadline) }

    /// The line that `postgresql.auto.conf` had; empty where it had none.
    func line(_ before: AlteredSetting) -> String { before.altered.map { "\(name) = '\($0)'" } ?? "" }

    /// What opening `node` comes to, from what it says now and what it said before the run.
    func opening(_ node: String, now: AlteredSetting, before: AlteredSetting) -> Opening {
        let isClosed = now.altered.map(closingValues.contains) ?? false
        if now == before || (now.inForce == before.inForce && !isClosed) { return .nothing }
        // Closed by this run; or opened already, by one that was cut off before the server had read it.
        if isClosed || now.altered == before.altered { return .open }
        return .left(
            Problem(
                "\(node): \(name) is \(now.altered ?? now.inForce), which this run did not set: left alone (it was \(before.inForce) before)",
                hint: "keep it if it is meant; it ends with ALTER SYSTEM RESET \(name); SELECT pg_reload_conf();"))
    }

    /// What opening a node comes to that a run has closed.
    enum Opening: Sendable, Equatable {
        /// It takes writes as it did.
        case nothing
        case open
        case left(Problem)
    }
}
