public import EventLoop
public import Server

/// A value of `spock.readonly`.
public enum ReadOnlyMode: String, Sendable, Hashable {
    case off
    /// Below 6.0: client sessions are refused, superusers included; subscriptions are applied. From 6.0 on another word for `local`.
    case user
    /// From 6.0 on: client sessions are refused, superusers are not; subscriptions are applied.
    case local
    /// Subscriptions are refused as well, which below 6.0 discards the transaction being applied for good.
    case all

    public static let setting = "spock.readonly"

    /// The mode that refuses clients and lets subscriptions through.
    public static func closingClients(on version: SpockVersion) -> ReadOnlyMode { version < six ? .user : .local }

    /// Whether superusers are refused like everybody else.
    public static func stopsSuperusers(on version: SpockVersion) -> Bool { version < six }

    /// What SHOW says once this mode is in force.
    public func inForce(on version: SpockVersion) -> ReadOnlyMode { self == .user && version >= ReadOnlyMode.six ? .local : self }

    private static let six = SpockVersion(major: 6, preRelease: "")

    /// - Throws: ``SpockError/readOnlyModeRefused(node:mode:version:)`` for `all` below 6.0 and for `local` where there is no such mode.
    func check(on version: SpockVersion, node: String) throws {
        if version < ReadOnlyMode.six, self == .all || self == .local {
            throw SpockError.readOnlyModeRefused(node: node, mode: self, version: version)
        }
    }
}

extension SpockSession {
    /// Makes the whole server read-only for clients and waits until the mode is seen in force. It may be so already.
    ///
    /// What was begun before is not stopped by this: see `ServerSession.endClientTransactions`.
    /// On 5.0.x a data-modifying `WITH` inside a SELECT passes this mode, so nothing may rely on it to keep every write out.
    /// - Returns: a moment after which every new statement is refused.
    /// - Throws: ``SpockError/readOnlyModeRefused(node:mode:version:)``, `DeadlineExceeded`.
    @discardableResult
    public func close(_ mode: ReadOnlyMode, version: SpockVersion, deadline: Deadline) async throws -> ServerMoment {
        try mode.check(on: version, node: name)
        return try await server.alterSystem(
            ReadOnlyMode.setting, to: mode.rawValue, expecting: mode.inForce(on: version).rawValue, deadline: deadline)
    }
}
