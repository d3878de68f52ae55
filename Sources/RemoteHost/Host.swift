public import EventLoop

/// A machine: run a command, read and write a file, reach a port. SSH hosts and this machine are both hosts.
public protocol Host: Sendable {
    /// The host's name in the playbook; errors begin with it.
    var name: String { get }
    /// The OS user that commands run as unless they say otherwise.
    var loginUser: String { get }

    /// Runs `command` until it ends.
    ///
    /// A program that fails is a result, not an error. `onOutput` gets each complete line of standard output and
    /// standard error as it comes, for progress.
    /// - Throws: ``HostError`` when the connection is lost or never came, `DeadlineExceeded` at the deadline (the
    ///   program is told to end), `CancellationError`.
    func run(_ command: Command, deadline: Deadline, onOutput: (@Sendable (String) -> Void)?) async throws -> CommandResult

    /// Makes `port` of `address`, as seen from the host, reachable from this process's user on this machine, and from no other.
    /// - Throws: ``HostError``.
    func forward(toPort port: UInt16, address: String) async throws -> ForwardedPort

    /// Makes the Unix-domain socket at `path` of the host reachable in the same way: its server sees `user` of the host connect.
    /// - Throws: ``HostError``. What stands in the way of a connection is found when it is made: ``ForwardedPort/lastError``.
    func forward(toSocket path: HostPath, as user: String) async throws -> ForwardedPort

    /// Ends the connection. Programs still running on the host are not ended by this.
    func close() async
}

extension Host {
    public func run(_ command: Command, deadline: Deadline) async throws -> CommandResult {
        try await run(command, deadline: deadline, onOutput: nil)
    }

    /// Runs `command`, which must succeed.
    /// - Throws: ``CommandFailed`` with what the program wrote to standard error, and what ``run(_:deadline:onOutput:)`` throws.
    @discardableResult
    public func require(
        _ command: Command, deadline: Deadline, onOutput: (@Sendable (String) -> Void)? = nil
    ) async throws -> CommandResult {
        let result = try await run(command, deadline: deadline, onOutput: onOutput)
        guard result.succeeded else {
            throw CommandFailed(host: name, words: command.words, status: result.status, errorText: result.errorText)
        }
        return result
    }
}

/// A local address that leads to a port, or a Unix-domain socket, on a host, until it is closed.
public struct ForwardedPort: Sendable {
    /// A loopback address of this machine, for libpq's `hostaddr`.
    public let address: String
    /// Another than on the host, where something is forwarded.
    public let port: UInt16
    private let end: @Sendable () async -> Void
    private let lastErrorNow: @Sendable () async -> HostError?

    public init(
        address: String, port: UInt16, end: @escaping @Sendable () async -> Void, lastError: @escaping @Sendable () async -> HostError?
    ) {
        self.address = address
        self.port = port
        self.end = end
        lastErrorNow = lastError
    }

    /// Why the last connection that was reset could not be carried on: what lies behind a client's "connection reset".
    public var lastError: HostError? { get async { await lastErrorNow() } }

    /// Ends the listener and every connection that runs through it.
    public func close() async { await end() }
}
