public import EventLoop
import Glibc
public import Logging

/// This machine, as a host.
public struct LocalHost: Host {
    public let name: String
    public let loginUser: String
    private let log: Logger

    public init(name: String = "localhost", log: Logger = .hosts) {
        self.name = name
        self.log = log
        loginUser = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? String(getuid())
    }

    public func run(_ command: Command, deadline: Deadline, onOutput: (@Sendable (String) -> Void)?) async throws -> CommandResult {
        try await delivering(to: onOutput) { onLine in
            try await command.logged(to: log, on: name, loginUser: loginUser) { try await perform(command, deadline: deadline, onLine: onLine) }
        }
    }

    private func perform(_ command: Command, deadline: Deadline, onLine: (@Sendable (String) -> Void)?) async throws -> CommandResult {
        let report = ProgramReport()
        let what = "\(command.summary) on \(name)"
        let execution: Execution
        do {
            execution = try await LocalProcess().execute(
                report.wrapped(command.line(loginUser: loginUser)), report, input: command.input, what: what, deadline: deadline, onLine: onLine)
        } catch let failure as SystemFailure {
            throw HostError.shellRefused(host: name, user: loginUser, answer: failure.fact)
        }
        if case .interrupted(let report, let error) = execution {
            let ending = await Task {
                await tellToEnd(report, of: command) { try await perform($0, deadline: $1, onLine: nil) }
            }.value
            guard error is DeadlineExceeded else { throw error }
            throw DeadlineExceeded(waitedFor: what, budget: deadline.budget, lastSeen: ending)
        }
        return try command.result(of: execution, host: name, loginUser: loginUser)
    }

    /// The port itself: it needs no forwarding.
    public func forward(toPort port: UInt16, address: String) async throws -> ForwardedPort {
        do {
            let resolved = try await Dialer.resolve(address, port: port, until: .after(.seconds(30)))
            guard let first = resolved.first else { throw Dialer.NameNotFound(detail: "no address") }
            return ForwardedPort(address: first.text, port: port, end: {}, lastError: { nil })
        } catch let error as Dialer.NameNotFound {
            throw HostError.unreachable(host: name, address: address, reason: .nameNotFound(error.detail))
        }
    }

    /// A listener: a server must see another user than ours connect, or libpq, which looks for passwords by the host's name, must not see a path.
    public func forward(toSocket path: HostPath, as user: String) async throws -> ForwardedPort {
        let forward = try LocalSocketForward(to: path, as: user, host: name, loginUser: loginUser)
        await forward.begin()
        return ForwardedPort(
            address: forward.local.addressText, port: forward.local.port, end: { await forward.end() }, lastError: { await forward.lastError })
    }

    public func close() async {}
}
