public import EventLoop
public import Logging
import Report

/// A host reached over SSH: one connection, on which commands, files and forwarded ports run side by side.
///
/// A command costs one round trip: it runs in a shell of its user that is there already (``KeptShell``). The first ones of
/// a user, more than there are shells for at once, and those with a large input have channels of their own.
public final class SSHHost: Host {
    public let name: String
    public let loginUser: String
    let connection: SSHConnector.Connection
    private let log: Logger

    private init(name: String, connection: SSHConnector.Connection, log: Logger) {
        self.name = name
        self.log = log
        self.connection = connection
        loginUser = connection.user
    }

    /// Connects and logs in.
    ///
    /// The SSH configuration is resolved by `ssh -G`; the host's key must stand in known_hosts; the agent's keys are tried
    /// first, then the identity files.
    /// - Parameters:
    ///   - name: the host's name in errors; the target's alias unless given.
    ///   - passphrases: asked for encrypted key files that the server would accept; the same for all hosts of a run.
    /// - Throws: ``HostError``, `DeadlineExceeded`, `CancellationError`.
    public static func connect(
        _ target: SSHTarget, name: String? = nil, passphrases: Passphrases = Passphrases(), deadline: Deadline, log: Logger = .hosts
    ) async throws -> SSHHost {
        try await connect(target, name: name, passphrases: passphrases, keepsShells: true, deadline: deadline, log: log)
    }

    /// - Parameter keepsShells: `false` runs every program on a channel of its own.
    static func connect(
        _ target: SSHTarget, name: String?, passphrases: Passphrases = Passphrases(), keepsShells: Bool, deadline: Deadline, log: Logger = .hosts
    ) async throws -> SSHHost {
        let name = name ?? target.alias
        let connector = SSHConnector(host: name, passphrases: passphrases, deadline: deadline)
        let connection = try await connector.connect(to: target)
        if keepsShells { await connection.session.keepShells(loginUser: connection.user) }
        return SSHHost(name: name, connection: connection, log: log)
    }

    public func run(_ command: Command, deadline: Deadline, onOutput: (@Sendable (String) -> Void)?) async throws -> CommandResult {
        try await delivering(to: onOutput) { onLine in
            try await command.logged(to: log, on: name, loginUser: loginUser) {
                try await perform(command, urgent: false, deadline: deadline, onLine: onLine)
            }
        }
    }

    private func perform(
        _ command: Command, urgent: Bool, deadline: Deadline, onLine: (@Sendable (String) -> Void)?
    ) async throws -> CommandResult {
        let report = ProgramReport()
        let line = report.wrapped(command.line(loginUser: loginUser))
        guard line.utf8.count <= SSHSession.longestLine else {
            throw HostError.commandTooLong(host: name, bytes: line.utf8.count, limit: SSHSession.longestLine)
        }
        let what = "\(command.summary) on \(name)"
        let execution = try await connection.session.execute(
            command, loginUser: loginUser, report, what: what, urgent: urgent, deadline: deadline, onLine: onLine)
        if case .interrupted(let report, let error) = execution {
            // Also when our own task is cancelled: hence a task of its own.
            let ending = await Task {
                await tellToEnd(report, of: command) { try await perform($0, urgent: true, deadline: $1, onLine: nil) }
            }.value
            guard error is DeadlineExceeded else { throw error }
            throw DeadlineExceeded(waitedFor: what, budget: deadline.budget, lastSeen: ending)
        }
        return try command.result(of: execution, host: name, loginUser: loginUser)
    }

    public func forward(toPort port: UInt16, address: String) async throws -> ForwardedPort {
        try await forward(to: .port(port, address: address))
    }

    public func forward(toSocket path: HostPath, as user: String) async throws -> ForwardedPort {
        try await forward(to: .socket(path, user: user, loginUser: loginUser))
    }

    private func forward(to target: SSHSession.ForwardTarget) async throws -> ForwardedPort {
        let (socket, local): (Descriptor, LocalEndpoint)
        do {
            (socket, local) = try LocalEndpoint.listen()
        } catch {
            throw HostError.forwardNotOpened(host: name, detail: error.fact)
        }
        let session = connection.session
        let number = try await session.forward(from: socket, at: local, to: target)
        return ForwardedPort(
            address: local.addressText, port: local.port,
            end: { await session.endForward(number) },
            lastError: { await session.lastError(ofForward: number) })
    }

    public func close() async { await connection.close() }
}
