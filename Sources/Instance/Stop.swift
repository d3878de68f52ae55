public import EventLoop
import PostgresConfig
import RemoteHost
import Report

/// How a server ends its sessions. <https://www.postgresql.org/docs/current/server-shutdown.html>
public enum StopMode: String, Sendable, Hashable, CaseIterable {
    /// Waits until every session has ended by itself: an idle one blocks it.
    case smart
    /// Ends the sessions and shuts down cleanly.
    case fast
    /// Ends everything at once; the next start recovers.
    case immediate
}

extension Instance {
    /// Stops the server and waits until it has ended. One that does not run is left as it is.
    /// - Throws: ``InstanceError/cannotStop(node:host:output:)``.
    public func stop(mode: StopMode = .fast, deadline: Deadline) async throws {
        guard case .running(let postmaster) = try await status(deadline: deadline) else { return }
        let result = try await host.run(
            stopCommand(mode: mode, seconds: seconds(until: deadline)), deadline: .after(deadline.remaining + .seconds(10)))
        guard result.succeeded || (manager.isPgCtlCluster && result.status == .code(2)) else {
            throw InstanceError.cannotStop(node: node, host: host.name, output: result.errorText.isEmpty ? result.text : result.errorText)
        }
        try await wait(for: "the server of \(node) on \(host.name) to end", until: deadline) {
            guard case .running(let still) = try await status(deadline: deadline), still.pid == postmaster.pid else { return .found(()) }
            return .notYet("process \(still.pid) runs")
        }
    }

    /// Sees a stop through that somebody has begun. A fast one waits for standbys that say nothing any more, and for an archive command that does not
    /// come back; what has not ended within `patience` is stopped at once, and recovers when it is started. A server that does not stop is left as it is.
    ///
    /// Before version 10 a server does not say that it stops, and is left, too.
    /// - Returns: whether it had to be stopped at once.
    /// - Throws: as ``stop(mode:deadline:)``.
    @discardableResult
    public func endStop(within patience: Duration, deadline: Deadline) async throws -> Bool {
        func isStopping() async throws -> Bool { try await status(deadline: deadline).postmaster?.phase == .stopping }
        do {
            try await wait(for: "the server of \(node) on \(host.name) to end", until: .after(patience), every: .milliseconds(100)) {
                try await isStopping() ? .notYet("it stops") : .found(())
            }
            return false
        } catch is DeadlineExceeded {
            try await stop(mode: .immediate, deadline: deadline)
            return true
        }
    }

    /// Stops the server, where it runs, removes `path` with all that is in it, and starts the server: one command where that can be one.
    /// - Throws: as ``start(deadline:)`` and ``stop(mode:deadline:)``, and what removing throws.
    public func restart(removing path: HostPath, deadline: Deadline) async throws {
        let stopping = Shell.line(stopCommand(mode: .fast, seconds: seconds(until: deadline)).words)
        let starting = Shell.line(startCommand(logTo: defaultStartLog, word: "start", seconds: seconds(until: deadline)).words)
        let script = #"{ [ ! -f "$1/postmaster.pid" ] || eval "$3" >/dev/null 2>&1; } && rm -rf -- "$2" && eval "$4""#
        let restarting = Command.script(script, dataDirectory.path, path.path, stopping, starting).as(starter)
        if try await host.run(restarting, deadline: .after(deadline.remaining + .seconds(10))).succeeded { return }
        // One after the other it is seen what does not work.
        try await stop(deadline: deadline)
        try await host.remove(path, recursively: true, as: user, deadline: deadline)
        try await start(deadline: deadline)
    }

    func stopCommand(mode: StopMode, seconds: Int) -> Command {
        switch manager {
        case .pgCtl: return program("pg_ctl", ["stop", "-D", dataDirectory.path, "-m", mode.rawValue, "-w", "-t", "\(seconds)"])
        case .pgCtlCluster(let version, let cluster):
            return Command("pg_ctlcluster", "--skip-systemctl-redirect", "-m", mode.rawValue, version, cluster, "stop", "--", "-t", "\(seconds)")
                .as(user)
        case .systemd(let unit):
            guard mode != .fast else { return Command("systemctl", "stop", "--", unit).as("root") }
            // A unit knows one way to stop, the fast one.
            let signal = mode == .smart ? "SIGTERM" : "SIGQUIT"
            return .script("systemctl kill --kill-who=main --signal=\"$2\" -- \"$1\" && exec systemctl stop -- \"$1\"", unit, signal).as("root")
        }
    }
}
