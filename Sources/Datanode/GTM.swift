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
        [program, "-Z", "gtm", "-D", directory.path] + (action == "restart" ? ["-m", "fast"] : []) + [action]
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

    /// Stops it, and starts it with the options that it was started with last. It forgets which transactions are open: what was settled on the nodes is
    /// settled for it, too.
    /// - Throws: `Problem` that says whether it runs.
    public func restart(deadline: Deadline) async throws {
        // Inside its directory, as that of a server: it goes where that goes. One at a time: a process of the run that was killed may have left one at work.
        let words = ["flock", "--close", dataDirectory.path] + Self.words(program, "restart", dataDirectory)
        let command = StartScript.command(dataDirectory / "pggraft-start.log", words).as(user)
        let result = try await host.run(command, deadline: deadline)
        guard result.succeeded else {
            let runs = try await isRunning(deadline: .after(.seconds(20)))
            throw Problem(
                "the GTM on \(host.name) could not be restarted, and \(runs ? "runs" : "does not run"): \((result.errorText + result.text).onOneLine)",
                hint: runs ? "see its log; then resume" : "start it: \(Shell.line(Self.words(program, "start", dataDirectory))), as \(user) on \(host.name)")
        }
        try await wait(for: "the GTM on \(host.name) to run", until: deadline, every: .milliseconds(100)) { () -> Look<Void> in
            try await isRunning(deadline: deadline.forLook) ? .found(()) : .notYet("gtm_ctl status says that it does not")
        }
    }
}
