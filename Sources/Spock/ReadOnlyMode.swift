public import EventLoop
public import PostgresClient

/// A value of `spock.readonly`.
public enum ReadOnlyMode: String, Sendable, Hashable, Codable, PostgresDecodable {
    case off
    /// Below 6.0: client sessions are refused, superusers included; subscriptions are applied. From 6.0 on another word for `local`.
    case user
    /// From 6.0 on: client sessions are refused, superusers are not; subscriptions are applied.
    case local
    /// Subscriptions are refused as well, which below 6.0 discards the transaction being applied for good.
    case all

    public init?(postgresText: String) { self.init(rawValue: postgresText) }

    /// The mode that refuses clients and lets subscriptions through.
    public static func closingClients(on version: SpockVersion) -> ReadOnlyMode { version < six ? .user : .local }

    /// What SHOW says once this mode is in force.
    func inForce(on version: SpockVersion) -> ReadOnlyMode { self == .user && version >= ReadOnlyMode.six ? .local : self }

    private static let six = SpockVersion(major: 6, preRelease: "")

    /// - Throws: ``SpockError/readOnlyModeRefused(node:mode:version:)`` for `all` below 6.0 and for `local` where there is no such mode.
    func check(on version: SpockVersion, node: String) throws {
        if version < ReadOnlyMode.six, self == .all || self == .local {
            throw SpockError.readOnlyModeRefused(node: node, mode: self, version: version)
        }
    }
}

/// What `spock.readonly` is on a server, and what a file says it shall be: enough to put it back.
public struct ReadOnlyState: Sendable, Hashable, Codable {
    /// The value in force.
    public var inForce: ReadOnlyMode
    /// The value in `postgresql.auto.conf`; `nil` where it says nothing.
    public var altered: ReadOnlyMode?

    public init(inForce: ReadOnlyMode, altered: ReadOnlyMode?) {
        self.inForce = inForce
        self.altered = altered
    }

    static func read() -> SQL {
        """
        SELECT current_setting('spock.readonly') AS in_force, (SELECT setting FROM pg_file_settings WHERE name = 'spock.readonly' \
        AND sourcefile = current_setting('data_directory') || '/postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1) AS altered
        """
    }

    /// The statement that makes `postgresql.auto.conf` say `mode`; `nil` makes it say nothing.
    static func alter(to mode: ReadOnlyMode?) -> SQL {
        if let mode { "ALTER SYSTEM SET spock.readonly = \(literal: mode.rawValue)" } else { "ALTER SYSTEM RESET spock.readonly" }
    }

    static func reload() -> SQL { "SELECT pg_reload_conf() AS reloaded" }
}

/// A moment on one server's clock, in microseconds since 1970.
public struct ServerMoment: Sendable, Hashable, Codable {
    public let microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    static func now() -> SQL { "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now" }
}

extension SpockSession {
    /// The state of `spock.readonly`, to be kept before it is changed.
    public func readOnlyState(deadline: Deadline) async throws -> ReadOnlyState {
        let row = try await query(ReadOnlyState.read(), deadline).one()
        return ReadOnlyState(inForce: try row.get("in_force"), altered: try row.optional("altered"))
    }

    /// Makes the whole server read-only for clients and waits until the mode is seen in force. It may be so already.
    ///
    /// What was begun before is not stopped by this: see ``endClientTransactions(begunBefore:grace:sparing:deadline:)``.
    /// On 5.0.x a data-modifying `WITH` inside a SELECT passes this mode, so nothing may rely on it to keep every write out.
    /// - Returns: a moment after which every new statement is refused.
    /// - Throws: ``SpockError/readOnlyModeRefused(node:mode:version:)``, `DeadlineExceeded`.
    @discardableResult
    public func close(_ mode: ReadOnlyMode, version: SpockVersion, deadline: Deadline) async throws -> ServerMoment {
        try mode.check(on: version, node: name)
        try await set(altered: mode, expecting: mode.inForce(on: version), deadline)
        return ServerMoment(microseconds: try await query(ServerMoment.now(), deadline).one().get("now"))
    }

    /// Puts `spock.readonly` back to what it was before ``close(_:version:deadline:)`` and waits until that is in force.
    public func open(restoring before: ReadOnlyState, deadline: Deadline) async throws {
        try await set(altered: before.altered, expecting: before.inForce, deadline)
    }

    private func set(altered: ReadOnlyMode?, expecting mode: ReadOnlyMode, _ deadline: Deadline) async throws {
        try await query(ReadOnlyState.alter(to: altered), deadline)
        guard try await query(ReadOnlyState.reload(), deadline).one().get("reloaded") else {
            throw SpockError.reloadFailed(node: name)
        }
        // A backend reads its configuration again before its next statement, so each look shows what a client would meet.
        try await wait(for: "spock.readonly = \(mode.rawValue) to be in force on \(name)", until: deadline, every: .milliseconds(5)) {
            let state = try await readOnlyState(deadline: deadline.forLook)
            return state.inForce == mode ? .found(()) : .notYet("spock.readonly = \(state.inForce.rawValue)")
        }
    }
}
