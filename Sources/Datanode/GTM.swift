public import EventLoop
import Instance
public import RemoteHost
import Report

/// The global transaction manager of a Postgres-XC cluster: a directory on a host, and a program of its own that starts and stops it.
public struct GTM: Sendable {
    public let host: any Host
    /// The OS user that runs it.
    public let user: String
    /// Where `gtm_ctl` is; `nil` for the user's search path.
    public let binDirectory: HostPath?
    public let dataDirectory: HostPath

    public init(host: any Host, user: String, binDirectory: HostPath?, dataDirectory: HostPath) {
        (self.host, self.user, self.binDirectory, self.dataDirectory) = (host, user, binDirectory, dataDirectory)
    }

    private var program: String { binDirectory.map { ($0 / "gtm_ctl").path } ?? "gtm_ctl" }

    static func words(_ program: String, _ action: String, _ directory: HostPath) -> [String] {
        [program, "-Z", "gtm", "-D", directory.path] + (action == "restart" ? ["-m", "fast", "-t", "10"] : []) + [action]
    }

    /// Whether it runs.
    /// - Throws: `CommandFailed` where its program is not there.
    public func isRunning(deadline: Deadline) async throws -> Bool {
        let command = Command(words: Self.words(program, "status", dataDirectory)).as(user), result = try await host.run(command, deadline: deadline)
        switch result.status {
        case .code(0): return true
        // What it says where none runs, and where there is no directory.
        case .code(1) where !result.text.isEmpty || !result.errorText.isEmpty: return false
        default: throw CommandFailed(host: host.name, words: command.words, status: result.status, errorText: result.errorText)
        }
    }

    /// Stops it, where it runs, and starts it with the options that it was started with last. It forgets which transactions are open: what was settled on
    /// the nodes is settled for it, too. One that has just begun may not hear that it is to end: it is told again.
    /// - Throws: `Problem` that says whether it runs.
    public func restart(deadline: Deadline) async throws {
        var result = try await run("restart", deadline: deadline)
        while result.status != .code(0), try await isRunning(deadline: deadline.forLook) {
            guard !deadline.hasPassed else {
                throw Problem(
                    "the GTM on \(host.name) does not end: \((result.errorText + result.text).onOneLine)",
                    hint: "it runs as before, and transactions are open for it that are none. Restart it by hand, as \(user) on \(host.name), and resume")
            }
            result = try await run("restart", deadline: deadline)
        }
        try await start(deadline: deadline, result)
    }

    /// Starts it, where it does not run. Its program says that it has started it without a look: one that found the port still taken is started again.
    /// - Parameter before: what its program has said.
    /// - Throws: `Problem` that says whether it runs.
    public func start(deadline: Deadline, _ before: CommandResult? = nil) async throws {
        var result = before, ranBefore = false, downSince: ContinuousClock.Instant?
        do {
            try await wait(for: "the GTM on \(host.name) to run", until: deadline, every: .milliseconds(200)) { () -> Look<Void> in
                guard try await !isRunning(deadline: deadline.forLook) else {
                    // One that ends at once has run for a moment.
                    if ranBefore { return .found(()) }
                    (ranBefore, downSince) = (true, nil)
                    return .notYet("it has just begun")
                }
                ranBefore = false
                let since = downSince ?? .now
                downSince = since
                // A process of the run that was killed may be about to.
                if since.duration(to: .now) > .seconds(2) {
                    result = try await run("start", deadline: deadline)
                    downSince = nil
                }
                return .notYet("gtm_ctl status says that it does not")
            }
        } catch is DeadlineExceeded {
            throw Problem(
                "the GTM on \(host.name) does not come up: \(((result?.errorText ?? "") + (result?.text ?? "")).onOneLine)",
                hint: "no server of the cluster can be asked without it. See its log, and start it, as \(user) on \(host.name): "
                    + "\(Shell.line(Self.words(program, "start", dataDirectory))); then resume")
        }
    }

    // One at a time: a process of the run that was killed may have left one at work. The log is inside its directory, as that of a server: it goes where that goes.
    private func run(_ action: String, deadline: Deadline) async throws -> CommandResult {
        let words = ["flock", "--close", dataDirectory.path] + Self.words(program, action, dataDirectory)
        return try await host.run(StartScript.command(dataDirectory / "pggraft-start.log", words).as(user), deadline: deadline)
    }
}
