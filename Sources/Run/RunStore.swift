public import Foundation
import Glibc

/// Where this machine keeps its runs: `$PGGRAFT_STATE_DIR`, or `pggraft` in the user's XDG state directory.
public struct RunStore: Sendable {
    public let directory: String

    public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        let state = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? NSHomeDirectory() + "/.local/state"
        directory = environment["PGGRAFT_STATE_DIR"] ?? state + "/pggraft"
    }

    /// One run of this machine, as far as its journal says.
    public struct Summary: Sendable {
        public let header: RunHeader
        public let startedAt: Date
        public let journal: String
        /// The step it is in or ended in.
        public let lastStep: String?
        /// How it ended; `nil` while it goes on, or when it was killed.
        public let outcome: String?

        public var isFinished: Bool { outcome == "finished" || outcome == "undone" }
    }

    /// A journal for a new run; the run's name is the time and the cluster's name.
    public func begin(cluster: String, procedure: String, playbook: String, now: Date = Date()) throws -> (header: RunHeader, journal: Journal) {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let stamp = now.formatted(Date.VerbatimFormatStyle(
            format: "\(year: .defaultDigits)\(month: .twoDigits)\(day: .twoDigits)-\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))\(minute: .twoDigits)\(second: .twoDigits)",
            timeZone: .gmt, calendar: Calendar(identifier: .gregorian)))
        for attempt in 1... {
            let name = "\(stamp)-\(cluster)" + (attempt > 1 ? "-\(attempt)" : "")
            let path = directory + "/\(name).jsonl"
            guard !FileManager.default.fileExists(atPath: path) else { continue }
            let header = RunHeader(run: name, cluster: cluster, procedure: procedure, playbook: playbook, startedBy: Holder.thisOperator)
            return (header, try Journal.create(at: path, header: header))
        }
        throw JournalError.io(path: directory, doing: "find a name in", EEXIST)
    }

    /// This machine's runs, newest first. Journals that cannot be read are returned as errors beside them.
    public func runs() throws -> (runs: [Summary], unreadable: [any Error]) {
        guard FileManager.default.fileExists(atPath: directory) else { return ([], []) }
        var runs: [Summary] = [], unreadable: [any Error] = []
        for file in try FileManager.default.contentsOfDirectory(atPath: directory) where file.hasSuffix(".jsonl") {
            do {
                if let summary = try summary(of: directory + "/" + file) { runs.append(summary) }
            } catch {
                unreadable.append(error)
            }
        }
        return (runs.sorted { $0.startedAt > $1.startedAt }, unreadable)
    }

    /// The run named `name`, or the newest when the name is a prefix of several.
    public func find(_ name: String) throws -> Summary? {
        let runs = try runs().runs
        return runs.first { $0.header.run == name } ?? runs.first { $0.header.run.hasPrefix(name) }
    }

    /// The newest run of `cluster` that is neither finished nor undone.
    public func unfinished(cluster: String) throws -> Summary? {
        try runs().runs.first { $0.header.cluster == cluster && !$0.isFinished }
    }

    private func summary(of path: String) throws -> Summary? {
        let entries = try Journal.read(at: path)
        guard let first = entries.first, let header = try Memory(entries: entries).header else { return nil }
        let lastTurn = entries.lastIndex { [.began, .resumed, .undoing].contains($0.event) } ?? 0
        return Summary(
            header: header, startedAt: first.at, journal: path,
            lastStep: entries.last { $0.step != nil }?.step,
            outcome: entries[lastTurn...].last { $0.event == .ended }?.text)
    }
}

/// The lock of this machine for one cluster: an advisory lock on a file, gone with the process that holds it.
public final class RunLock: Sendable {
    private let descriptor: Int32
    public let path: String

    /// Takes the lock for `cluster`.
    /// - Parameter holder: who has it, since when and for which run, for whoever is refused.
    /// - Throws: ``Problem`` that says who has it.
    public init(cluster: String, in store: RunStore, holder: Holder) throws {
        try FileManager.default.createDirectory(atPath: store.directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        path = store.directory + "/\(cluster).lock"
        descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Problem("cannot open the lock file \(path): \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? ""
            _ = Glibc.close(descriptor)
            throw Problem(
                "another pggraft works on cluster \(cluster)" + (holder.isEmpty ? "" : ": \(holder)"),
                hint: "Wait until it has ended, or end it with Ctrl-C where it runs.")
        }
        try describe(holder)
    }

    /// Writes down who has the lock now.
    public func describe(_ holder: Holder) throws {
        let bytes = Array(holder.description.utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            throw Problem("cannot write the lock file \(path): \(String(cString: strerror(errno)))", hint: "Make room or mend the permissions, then try again.")
        }
    }

    deinit { _ = Glibc.close(descriptor) }
}

/// Who works on a cluster, since when, and in which run.
public struct Holder: Sendable, CustomStringConvertible {
    /// `ann@desk`.
    public let name: String
    public let pid: Int32
    public let since: Date
    /// The run; `nil` before it has a name.
    public var run: String?

    /// This process.
    public init(run: String? = nil) {
        (name, pid, since) = (Self.thisOperator, ProcessInfo.processInfo.processIdentifier, Date())
        self.run = run
    }

    /// `user@host` of this process.
    static var thisOperator: String { NSUserName() + "@" + ProcessInfo.processInfo.hostName }

    /// `ann@desk, pid 4711, since 2026-11-21T07:12:03Z, run 20261121-071203-app`.
    public var description: String { "\(name), pid \(pid), since \(since.formatted(.iso8601)), " + (run.map { "run \($0)" } ?? "before its run") }
}
