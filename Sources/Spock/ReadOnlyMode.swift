public import EventLoop
public import PostgresClient
public import Server

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

    static let setting = "spock.readonly"

    /// - Throws: `UnexpectedAnswer` for a mode that this version of pggraft does not know.
    init(_ state: AlteredSetting, node: String) throws {
        func mode(_ text: String) throws -> ReadOnlyMode {
            guard let mode = ReadOnlyMode(rawValue: text) else { throw UnexpectedAnswer(node: node, text: "\(Self.setting) = \(text)") }
            return mode
        }
        self.init(inForce: try mode(state.inForce), altered: try state.altered.map(mode))
    }
}

extension SpockSession {
    /// The state of `spock.readonly`, to be kept before it is changed.
    public func readOnlyState(deadline: Deadline) async throws -> ReadOnlyState {
        try ReadOnlyState(try await server.alteredSetting(ReadOnlyState.setting, deadline: deadline), node: name)
    }

    /// Makes the whole server read-only for clients and waits until the mode is seen in force. It may be so already.
    ///
    /// What was begun before is not stopped by this: see `ServerSession.endClientTransactions`.
    /// On 5.0.x a data-modifying `WITH` inside a SELECT passes this mode, so nothing may rely on it to keep every write out.
    /// - Returns: a moment after which every new statement is refused.
    /// - Throws: ``SpockError/readOnlyModeRefused(node:mode:version:)``, `DeadlineExceeded`.
    @discardableResult
    public func close(_ mode: ReadOnlyMode, version: SpockVersion, deadline: Deadline) async throws -> ServerMoment {
        try mode.check(on: version, node: name)
        return try await set(altered: mode, expecting: mode.inForce(on: version), deadline)
    }

    /// Puts `spock.readonly` back to what it was before ``close(_:version:deadline:)`` and waits until that is in force.
    public func open(restoring before: ReadOnlyState, deadline: Deadline) async throws {
        _ = try await set(altered: before.altered, expecting: before.inForce, deadline)
    }

    private func set(altered: ReadOnlyMode?, expecting mode: ReadOnlyMode, _ deadline: Deadline) async throws -> ServerMoment {
        try await server.alterSystem(ReadOnlyState.setting, to: altered?.rawValue, expecting: mode.rawValue, deadline: deadline)
    }
}
