public import EventLoop
import PostgresConfig
public import RemoteHost
import Report

extension Instance {
    /// Starts the server and waits until it accepts connections, or, as a standby that allows none, until it recovers.
    ///
    /// A server that runs already is only waited for.
    /// - Throws: ``InstanceError/cannotStart(node:host:output:log:)`` with the last lines of the server's log;
    ///   `DeadlineExceeded` when it is still on its way (a standby may have much to replay): it is not stopped then.
    @discardableResult
    public func start(deadline: Deadline) async throws -> PostmasterPID {
        switch try await status(deadline: deadline) {
        case .running: break
        case .stopped: try await start(logTo: defaultStartLog, word: "start", deadline: deadline)
        case .notACluster(let state):
            throw InstanceError.noCluster(node: node, host: host.name, dataDirectory: dataDirectory, state: state)
        }
        return try await waitUntilReady(deadline: deadline)
    }

    /// Stops the server, where it runs, and starts it as it was started last: with the same options and the same log.
    /// - Throws: as ``start(deadline:)`` and ``stop(mode:deadline:)``.
    @discardableResult
    public func restart(deadline: Deadline) async throws -> PostmasterPID {
        let before = try await status(deadline: deadline)
        guard case .running(let old) = before else { return try await start(deadline: deadline) }
        switch manager {
        case .pgCtl:
            try await start(logTo: try await log(of: old, deadline: deadline), word: "restart", deadline: deadline)
        case .pgCtlCluster, .systemd:
            try await stop(deadline: deadline)
            try await start(logTo: defaultStartLog, word: "start", deadline: deadline)
        }
        return try await waitUntilReady(deadline: deadline)
    }

    /// Starts the server as it was started last, after a start that failed: with the options that `pg_ctl` was given then.
    /// - Parameter log: where it was started to log: see ``startLog(deadline:)``.
    /// - Throws: as ``start(deadline:)``.
    @discardableResult
    public func startAsBefore(logTo log: HostPath? = nil, deadline: Deadline) async throws -> PostmasterPID {
        guard case .stopped = try await status(deadline: deadline), case .pgCtl = manager else { return try await start(deadline: deadline) }
        try await start(logTo: log ?? defaultStartLog, word: "restart", deadline: deadline)
        return try await waitUntilReady(deadline: deadline)
    }

    /// The file that the running server was started to log to.
    public func startLog(deadline: Deadline) async throws -> HostPath { try await log(of: try await postmaster(deadline: deadline), deadline: deadline) }

    private func log(of postmaster: PostmasterPID, deadline: Deadline) async throws -> HostPath {
        try await currentLog(of: postmaster, deadline: deadline) ?? defaultStartLog
    }

    /// Where a server that does not run yet writes until its own logging begins.
    ///
    /// Inside the data directory: it goes where the cluster goes, and nothing is left beside it.
    var defaultStartLog: HostPath { debianCluster?.logFile ?? dataDirectory / "log/pggraft-start.log" }

    private func waitUntilReady(deadline: Deadline) async throws -> PostmasterPID {
        try await wait(for: "\(node) on \(host.name) to accept connections", until: deadline, every: .milliseconds(100)) {
            switch try await status(deadline: deadline) {
            case .running(let postmaster) where postmaster.phase == .ready || postmaster.phase == .standby: return .found(postmaster)
            case .running(let postmaster):
                // Before 10 the file does not say; pg_ctl waited for a connection.
                return features.pidFileHasStatus ? .notYet(postmaster.phase?.rawValue ?? "starting") : .found(postmaster)
            case .stopped, .notACluster:
                throw InstanceError.cannotStart(node: node, host: host.name, output: "the server ended again", log: "")
            }
        }
    }

    private func start(logTo log: HostPath, word: String, deadline: Deadline) async throws {
        let command = startCommand(logTo: log, word: word, seconds: seconds(until: deadline))
        // The program's own limit is the deadline; a little more here, so that it is the one who says what happened.
        let result = try await host.run(command, deadline: .after(deadline.remaining + .seconds(10)))
        // pg_ctlcluster says with 2 that the server runs already.
        let isStarted = try await result.succeeded ? !isTakenForStarted() : manager.isPgCtlCluster && result.status == .code(2)
        if isStarted { return }
        let afterwards = Deadline.after(.seconds(20))
        let parts = result.text.split(separator: StartScript.logFollows, maxSplits: 1, omittingEmptySubsequences: false)
        let output = (parts.first.map(String.init) ?? "") + result.errorText
        var logText = parts.count > 1 ? String(parts[1]) : ""
        if deadline.hasPassed, case .running = try await status(deadline: afterwards) {
            throw DeadlineExceeded(
                waitedFor: "\(node) on \(host.name) to accept connections", budget: deadline.budget,
                lastSeen: logText.split(separator: "\n").last.map(String.init) ?? "starting")
        }
        if case .systemd(let unit) = manager {
            logText = try await host.run(
                Command("journalctl", "--no-pager", "-n", "25", "-o", "cat", "-u", unit).as("root"), deadline: afterwards
            ).text
        } else if let note = logText.firstRange(of: "Future log output will appear in directory \"") {
            // Logging has gone on in files of the server's own: the end of the newest says more.
            let directory = String(logText[note.upperBound...].prefix { $0 != "\"" })
            let path = HostPath(directory) ?? dataDirectory / directory
            logText = try await host.require(.script(StartScript.newestLog, path.path).as(user), deadline: afterwards).text
        }
        throw InstanceError.cannotStart(node: node, host: host.name, output: output, log: logText)
    }

    /// Whether a start has failed that the unit has taken for one that did not, as that of Debian does.
    private func isTakenForStarted() async throws -> Bool {
        guard case .systemd = manager, case .stopped = try await status(deadline: .after(.seconds(20))) else { return false }
        return true
    }

    /// Who starts and stops the server.
    public var starter: String { if case .systemd = manager { "root" } else { user } }

    /// What starts the server, for whoever shall do so without us.
    /// - Parameter seconds: how long it may take until it accepts connections.
    public func startCommand(within seconds: Int) -> Command { startCommand(logTo: defaultStartLog, word: "start", seconds: seconds) }

    /// What starts the server, with everything it leaves running cut off from our channel.
    func startCommand(logTo log: HostPath, word: String, seconds: Int) -> Command {
        switch manager {
        case .pgCtl:
            let program = (binaries.directory / "pg_ctl").path
            return StartScript.command(
                log,
                [program, word, "-D", dataDirectory.path, "-l", log.path, "-w", "-t", "\(seconds)"]
                    + (word == "restart" ? ["-m", "fast"] : []) + startOptions
            ).as(user)
        case .pgCtlCluster(let version, let cluster):
            return StartScript.command(
                log,
                ["pg_ctlcluster", "--skip-systemctl-redirect", version, cluster, word, "--", "-w", "-t", "\(seconds)"]
                    + startOptions
            ).as(user)
        case .systemd(let unit): return Command("systemctl", word, "--", unit).as("root")
        }
    }

    /// The file the postmaster's messages go to; `nil` where they go elsewhere.
    func currentLog(of postmaster: PostmasterPID, deadline: Deadline) async throws -> HostPath? {
        let target = try await host.run(
            .script("[ -f \"/proc/$1/fd/2\" ] && exec readlink \"/proc/$1/fd/2\"", "\(postmaster.pid)").as(user), deadline: deadline)
        guard target.succeeded, !target.text.hasSuffix(" (deleted)") else { return nil }
        return HostPath(target.text)
    }

    func seconds(until deadline: Deadline) -> Int { max(1, Int(deadline.remaining.seconds.rounded(.up))) }
}

extension ServiceManager {
    var isPgCtlCluster: Bool { if case .pgCtlCluster = self { true } else { false } }
}

/// Starts a daemon whose output does not keep our channel open, and shows what its log has gained if it failed.
public enum StartScript {
    static let logFollows = "---- log ----"

    /// - Parameters:
    ///   - log: whose end is shown where it failed; its directory is made.
    ///   - words: what starts the daemon.
    public static func command(_ log: HostPath, _ words: [String]) -> Command {
        Command(words: ["sh", "-c", text, "sh", log.path] + words)
    }

    private static let text = """
        log=$1; shift
        directory=$(dirname -- "$log")
        [ -d "$directory" ] || mkdir -m 0700 -p -- "$directory" || exit 125
        size=0; [ -r "$log" ] && size=$(wc -c <"$log")
        # A file, because a server that goes on would keep a pipe open; without a name, so that none is left when this is killed.
        trap '' HUP TERM
        out=$(mktemp) && exec 3>"$out" 4<"$out" && rm -f "$out" || exit 125
        trap - HUP TERM
        "$@" >&3 2>&1 </dev/null 3>&- 4<&-
        code=$?
        cat <&4
        if [ "$code" -ne 0 ]; then
          echo '---- log ----'
          [ -r "$log" ] && tail -c "+$((size + 1))" -- "$log" | tail -n 25
        fi
        exit "$code"
        """

    static let newestLog = """
        cd -- "$1" || exit 0
        newest=$(ls -t | head -n 1)
        [ -n "$newest" ] && tail -n 25 -- "$newest"
        exit 0
        """
}
