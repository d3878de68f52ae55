public import EventLoop
public import RemoteHost
import Report

/// A pgBackRest process that copies: a `backup`, a `restore`, or one of the workers that they start.
///
/// A worker outlives its main process until the file it copies is through, writes to the data directory or the
/// repository all that time, and after SIGKILL of the main process goes on holding the stanza's lock.
public struct BackRestProcess: Sendable, Hashable {
    public let pid: Int32
    public let stanza: String
    /// `backup`, `restore`, `backup:local`, `restore:local`, `backup:remote`, `restore:remote`.
    public let command: String
    /// The main process it works for: itself, or the one that started it, from `--exec-id`.
    public let main: Int32
    /// The configuration file that it was given; `nil` for the default place.
    public let configuration: String?

    /// The copying processes among the lines of `ps -ww -eo pid=,args=`.
    static func list(_ ps: String) -> [BackRestProcess] {
        ps.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 2, let pid = Int32(words[0]), words[1].split(separator: "/").last == "pgbackrest",
                let stanza = words.first(where: { $0.hasPrefix("--stanza=") })?.dropFirst("--stanza=".count),
                let command = words[2...].first(where: { !$0.hasPrefix("-") }),
                ["backup", "restore"].contains(command.split(separator: ":")[0])
            else { return nil }
            let configuration = words.first { $0.hasPrefix("--config=") }?.dropFirst("--config=".count)
            let starter = words.first { $0.hasPrefix("--exec-id=") }?.dropFirst("--exec-id=".count).prefix { $0.isNumber }
            return BackRestProcess(
                pid: pid, stanza: String(stanza), command: String(command), main: starter.flatMap { Int32($0) } ?? pid,
                configuration: configuration.map(String.init))
        }
    }
}

extension BackRest {
    /// The backups and restores of a stanza of this name that run on `host` now, whoever started them: pgBackRest's locks go by the name.
    public func runningProcesses(on host: any Host, deadline: Deadline) async throws -> [BackRestProcess] {
        let lines = try await host.require(Command("ps", "-ww", "-eo", "pid=,args="), deadline: deadline).text
        return BackRestProcess.list(lines).filter { $0.stanza == stanza.name }
    }

    /// Those of ``runningProcesses(on:deadline:)`` that go by the same configuration. With another one they copy something else: a host may
    /// have several instances, and others than us a stanza of the same name.
    public func ownProcesses(on host: any Host, deadline: Deadline) async throws -> [BackRestProcess] {
        try await runningProcesses(on: host, deadline: deadline).filter { $0.configuration == configuration?.path }
    }

    /// Ends what a lost connection left of a `restore`, or of another command, by the same configuration.
    ///
    /// A backup may be someone else's, and is worth waiting for: it has to be named.
    /// - Throws: `DeadlineExceeded` naming the processes that are still there.
    public func endRunningProcesses(of command: String = "restore", on host: any Host, deadline: Deadline) async throws {
        let running = try await ownProcesses(on: host, deadline: deadline)
        try await end(running.filter { $0.command.split(separator: ":").first ?? "" == command }, on: host, deadline: deadline)
    }

    /// Ends `processes` and the workers of the main ones among them, and waits until none is left.
    /// - Throws: `DeadlineExceeded` naming the processes that are still there.
    public func end(_ processes: [BackRestProcess], on host: any Host, deadline: Deadline) async throws {
        guard !processes.isEmpty else { return }
        let mains = Set(processes.map(\.main)), waitedFor = "pgbackrest on \(host.name) to end its work on stanza '\(stanza)'"
        try await wait(for: waitedFor, until: deadline, every: .milliseconds(200)) {
            let left = try await runningProcesses(on: host, deadline: deadline).filter { mains.contains($0.main) }
            guard !left.isEmpty else { return .found(()) }
            // One that ended in between makes kill fail; the next look is what decides.
            _ = try await host.run(Command(words: ["kill", "-TERM"] + left.map { "\($0.pid)" }).as(user), deadline: deadline)
            return .notYet(left.map { "\($0.command) (pid \($0.pid))" }.joined(separator: ", "))
        }
    }
}
