public import Foundation
import Glibc
import Report

/// Where this machine keeps its runs: `$PGGRAFT_STATE_DIR`, or `pggraft` in the user's XDG state directory.
public struct RunStore: Sendable {
    public let directory: String

    public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        let state = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? NSHomeDirectory() + "/.local/state"
        directory = environment["PGGRAFT_STATE_DIR"].flatMap { $0.isEmpty ? nil : $0 } ?? state + "/pggraft"
    }

    /// Makes the directory where there is none, for its owner alone.
    /// - Throws: `Problem`.
    func make() throws {
        var path = directory.hasPrefix("/") ? "" : "."
        for part in directory.split(separator: "/") {
            path += "/" + part
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw problem("make", errno) }
        }
    }

    /// The names in the directory; `nil` where there is none.
    /// - Throws: `Problem`: what cannot be read may hold runs.
    private func names() throws -> [String]? {
        guard let stream = opendir(directory) else {
            guard errno == ENOENT else { throw problem("read", errno) }
            return nil
        }
        defer { closedir(stream) }
        var names: [String] = []
        errno = 0
        while let entry = readdir(stream) {
            names.append(withUnsafePointer(to: &entry.pointee.d_name) { $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) } })
            errno = 0
        }
        guard errno == 0 else { throw problem("read", errno) }
        return names
    }

    private func problem(_ doing: String, _ code: Int32) -> Problem {
        Problem(
            "cannot \(doing) the directory of runs \(directory): \(String(cString: strerror(code)))",
            hint: "Mend it, or name another one: PGGRAFT_STATE_DIR. It must be the one that the runs to be gone on with are in.")
    }

    /// A journal for a new run of `procedure`; the run's name is the time and the cluster's name.
    /// - Parameter steps: the names of all its steps, in order.
    public func begin(_ procedure: any Procedure, from origin: RunOrigin, steps: [String], now: Date = Date()) throws -> (header: RunHeader, journal: Journal) {
        let cluster = procedure.cluster
        try make()
        let stamp = now.formatted(
            Date.VerbatimFormatStyle(
                format:
                    "\(year: .defaultDigits)\(month: .twoDigits)\(day: .twoDigits)-\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))\(minute: .twoDigits)\(second: .twoDigits)",
                timeZone: .gmt, calendar: Calendar(identifier: .gregorian)))
        for attempt in 1... {
            let name = "\(stamp)-\(cluster)" + (attempt > 1 ? "-\(attempt)" : "")
            let path = directory + "/\(name).jsonl"
            guard !FileManager.default.fileExists(atPath: path) else { continue }
            let header = RunHeader(
                run: name, cluster: cluster, procedure: procedure.name, startedBy: Holder.thisOperator, steps: steps, from: origin,
                isTakenBackOnFailure: procedure.isTakenBackOnFailure)
            return (header, try Journal.create(at: path, header: header))
        }
        throw JournalError.io(path: directory, doing: "find a name in", EEXIST)
    }

    /// This machine's runs, newest first. Journals that cannot be read are returned as errors beside them.
    public func runs() throws -> (runs: [RunSummary], unreadable: [(file: String, error: any Error)]) {
        try runs(isAtWork: { RunLock.isHeld(cluster: $0, in: self) })
    }

    private func runs(isAtWork: (_ cluster: String) -> Bool) throws -> (runs: [RunSummary], unreadable: [(file: String, error: any Error)]) {
        guard let files = try names() else { return ([], []) }
        var runs: [RunSummary] = [], unreadable: [(file: String, error: any Error)] = []
        for file in files.sorted() where file.hasSuffix(".jsonl") {
            do {
                runs.append(try RunSummary(of: directory + "/" + file, isAtWork: isAtWork))
            } catch {
                unreadable.append((file, error))
            }
        }
        return (runs.sorted { ($0.startedAt, $0.header.run) > ($1.startedAt, $1.header.run) }, unreadable)
    }

    /// The run named `name`, or the one whose name begins so.
    /// - Throws: ``Problem`` when there is none, or more than one, or the name is empty; ``JournalError`` where its journal cannot be read.
    public func run(_ name: String) throws -> RunSummary {
        guard !name.trimmed.isEmpty else { throw Problem("the name of the run is empty", hint: "`pggraft runs` lists them.") }
        let (runs, unreadable) = try runs()
        if let run = runs.first(where: { $0.header.run == name }) { return run }
        if let (_, error) = unreadable.first(where: { $0.file.hasPrefix(name) }) { throw error }
        let similar = runs.filter { $0.header.run.hasPrefix(name) }
        guard let run = similar.first else {
            throw Problem("there is no run \(name) on this machine", hint: "`pggraft runs` lists them.")
        }
        guard similar.count == 1 else {
            throw Problem("\(similar.count) runs begin with \(name): \(similar.map(\.header.run).joined(separator: ", "))", hint: "Say the whole name.")
        }
        return run
    }

    /// Removes a journal; done already, it does nothing.
    /// - Throws: ``JournalError``.
    func remove(_ journal: String) throws {
        guard unlink(journal) == 0 || errno == ENOENT else { throw JournalError.io(path: journal, doing: "remove", errno) }
    }

    /// The newest run of `cluster` that is not over, for the holder of its lock.
    /// - Throws: ``JournalError`` where a journal cannot be read, which may be the one.
    public func unfinished(cluster: String) throws -> RunSummary? {
        let (runs, unreadable) = try runs(isAtWork: { _ in false })
        for (file, error) in unreadable where file.contains("-\(cluster)") {
            // Of a run without a first line nothing can be left.
            if case .empty? = error as? JournalError { continue }
            throw error
        }
        return runs.first { $0.header.cluster == cluster && !$0.isOver }
    }
}
