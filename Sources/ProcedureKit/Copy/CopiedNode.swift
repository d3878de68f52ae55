public import EventLoop
public import Instance
import PgBackRest
public import PostgresConfig
public import RemoteHost
public import Report
public import Run

/// The node that a procedure makes as a copy of another one.
public struct CopiedNode: Sendable {
    public let access: ClusterAccess
    public let name: String
    /// The node that it is a copy of.
    public let source: String
    /// Whether an undo may empty its data directory.
    private let purgesData: Bool
    private let obstacle: @Sendable (_ thing: String, _ memory: Memory) throws -> Problem?

    /// The programs that it runs with, for an undo without the source.
    public static let programs = Fact<KnownPrograms>("programs of the new node")
    /// The system identifier of what is copied: the source's.
    public static let system = Fact<String>("system identifier")

    /// - Parameter obstacle: why a thing of it must stay for now although the run is undone; `nil` where it may go.
    public init(
        _ name: String, of source: String, _ access: ClusterAccess, purgesData: Bool = false,
        obstacle: @escaping @Sendable (_ thing: String, _ memory: Memory) throws -> Problem? = { _, _ in nil }
    ) {
        (self.name, self.source, self.access, self.purgesData, self.obstacle) = (name, source, access, purgesData, obstacle)
    }

    // MARK: Looking

    public func instance() async throws -> Instance { try await access.instance(name) }

    /// The instance where the source may be gone: the journal knows which programs it runs with.
    public func instance(_ memory: Memory) async throws -> Instance {
        try await access.instance(name, programs: try memory.recall(Self.programs))
    }

    public func isRunning() async throws -> Bool {
        try await instance().status(deadline: .after(.seconds(30))).isRunning
    }

    /// How far the copy has come, as its host shows it.
    /// - Throws: `Problem` where something else is in its place.
    public func state() async throws -> CopyState {
        let instance = try await instance()
        switch try await RestoredDirectory.inspect(instance.dataDirectory, on: instance.host, user: instance.user, deadline: .after(.seconds(30))) {
        case .absent, .empty: return .empty
        case .incomplete: return .partlyRestored
        case .foreign:
            throw Problem("\(name): \(instance.dataDirectory) holds files that are no PostgreSQL cluster", hint: "name an empty directory, or empty this one")
        case .complete(let complete): return complete.started ? .started : .restored
        }
    }

    /// What is in the data directory when a run is undone.
    public func holding(_ memory: Memory) async throws -> Holding {
        let instance = try await instance(memory), deadline = Deadline.after(.seconds(60))
        let directory = try await RestoredDirectory.inspect(instance.dataDirectory, on: instance.host, user: instance.user, deadline: deadline)
        let files = try await instance.someFiles(deadline: deadline)
        var system: String?
        if try await instance.host.stat(instance.dataDirectory / "global/pg_control", as: instance.user, deadline: deadline) != nil {
            system = try await instance.controlData(deadline: deadline).systemIdentifier.description
        }
        return Holding(
            directory, files: files, system: system, copied: (try memory.recall(Self.system), try memory.recall(TakeBackup.chosen)))
    }

    /// Why `thing` of it must stay for now; `nil` where it may go.
    public func obstacle(to thing: String, _ memory: Memory) throws -> Problem? { try obstacle(thing, memory) }

    /// What an undo would empty now, as its question says it; `nil` where there is nothing, or it was not asked to.
    public func purgeable(_ memory: Memory) async throws -> String? {
        guard purgesData, !memory.isUndone(RestoreBackup.self),
            let directory = try memory.created(by: RestoreBackup.name).first(where: { $0.kind == "data directory" })?.name
        else { return nil }
        do {
            return try await holding(memory) == .copy ? "\(name): everything in the data directory \(directory) is removed (--purge-data)" : nil
        } catch {
            try Task.checkCancellation()
            return "\(name): everything in the data directory \(directory) is removed (--purge-data), which cannot be looked at now: \(Problem(explaining: error).fact)"
        }
    }

    // MARK: Files

    /// Applies `edits`, in any order. A file outside of the data directory is kept beside itself, for undo.
    public func apply(_ edits: [ConfigurationEdit], _ run: StepRun, deadline: Deadline) async throws {
        let instance = try await instance(), kept = KeptFiles(instance: instance), prefix = instance.dataDirectory.path + "/"
        _ = try await onEach(edits.filter { $0.path.path.hasPrefix(prefix) }) {
            try await $0.apply(on: instance.host, as: instance.user, deadline: deadline)
        }
        for edit in edits where !edit.path.path.hasPrefix(prefix) { try await kept.apply(edit, run, deadline: deadline) }
    }

    /// Changes its `postgresql.auto.conf`, which it may have yet to get.
    public func changeAutoConf(_ run: StepRun, deadline: Deadline, _ change: (_ file: inout SettingsFile, _ path: HostPath) throws -> Void) async throws {
        let instance = try await instance(), path = instance.dataDirectory / "postgresql.auto.conf"
        let current = try await instance.host.read(path, as: instance.user, deadline: deadline)
        var file = SettingsFile(current ?? [])
        try change(&file, path)
        try await apply([ConfigurationEdit(path: path, before: current, after: file.render())], run, deadline: deadline)
    }

    /// Puts the files outside of the data directory back, where they still are as this run left them.
    public func restoreFiles(_ run: StepRun) async throws -> UndoOutcome {
        let files = try KeptFiles.changed(on: name, in: run.memory)
        guard !files.isEmpty else { return .undone([]) }
        if let problem = try obstacle(to: "\(name): \(list(files.map(\.name)))", run.memory) { return .left([problem]) }
        return try await KeptFiles(instance: try await instance(run.memory)).restore(run, deadline: .after(.seconds(60)))
    }

    // MARK: Ends

    /// Stops the server of this run's copy. Another one in the same place is not looked for here: ``purge(_:)`` names it.
    public func stop(_ memory: Memory) async throws -> UndoOutcome {
        if let problem = try obstacle(to: "the server of \(name)", memory) { return .left([problem]) }
        let instance = try await instance(memory)
        guard try await instance.status(deadline: .after(.seconds(30))).isRunning, try await holding(memory) == .copy else { return .undone([]) }
        await access.forgetServer(name)
        try await instance.stop(mode: .fast, deadline: .after(.seconds(120)))
        return .undone(["\(name) is stopped"])
    }

    /// Removes what this run copied, where the operator asked for that.
    public func purge(_ run: StepRun) async throws -> UndoOutcome {
        let created = try run.created
        guard created.contains(where: { $0.kind == "data directory" }) else { return .undone([]) }
        let instance = try await instance(run.memory), directory = instance.dataDirectory, deadline = Deadline.after(.seconds(60))
        if let problem = try obstacle(to: "\(name): \(directory)", run.memory) { return .left([problem]) }
        var undone: [String] = []
        switch try await holding(run.memory) {
        case .nothing: break
        case .other(let what):
            return .left([
                Problem(
                    "\(name): \(directory) holds \(what), not the copy that this run made: left alone",
                    hint: "find out whose it is; undo again when it has another place, or when the directory is empty")
            ])
        case .copy:
            if try await instance.status(deadline: deadline).isRunning {
                await access.forgetServer(name)
                try await instance.stop(mode: .fast, deadline: .after(.seconds(120)))
            }
            guard purgesData else {
                return .left([
                    Problem("\(name): the data directory \(directory) is left as it is, stopped", hint: "pggraft undo --purge-data removes what is in it")
                ])
            }
            try await instance.emptyDataDirectory(deadline: .after(.seconds(3600)))
            undone = ["\(name): \(directory) is empty"]
        }
        for thing in created.reversed() where thing.kind == "directory" {
            guard let path = HostPath(thing.name) else { continue }
            try await instance.host.removeIfEmpty(path, as: instance.user, deadline: .after(.seconds(60)))
        }
        return .undone(undone)
    }
}

/// How far a copy has come, as its host shows it. Each state includes the ones before it.
public enum CopyState: Int, Sendable, Comparable, CustomStringConvertible {
    /// No data directory, or an empty one.
    case empty
    /// A restore was begun and cut off.
    case partlyRestored
    /// The copy is there, and was never started.
    case restored
    case started

    public var description: String {
        switch self {
        case .empty: "empty"
        case .partlyRestored: "restored in part"
        case .restored: "restored"
        case .started: "restored, and was started"
        }
    }

    public static func < (left: CopyState, right: CopyState) -> Bool { left.rawValue < right.rawValue }
}
