public import EventLoop
public import Instance
import PgBackRest
public import PostgresConfig
public import RemoteHost
public import Report
public import Run
import Server

/// The node that a procedure makes as a copy of another one.
public struct CopiedNode: Sendable {
    public let access: ClusterAccess
    public let name: String
    /// The node that it is a copy of.
    public let source: String
    /// The section of the playbook that says what it is to be, as hints name it.
    public let section: String
    /// Where tablespaces go, by their name or their directory at the source; the others go where they are there.
    public let tablespaces: [String: HostPath]
    /// Where its WAL goes; `nil` for the data directory.
    public let walDirectory: HostPath?
    /// What becomes of what is in its place already.
    public let existing: Existing
    /// Whether it is to stay a standby: one that has been promoted since is nothing that an undo takes back.
    private let staysStandby: Bool
    /// Whether an undo may empty its data directory.
    private let purgesData: Bool
    private let obstacle: @Sendable (_ thing: String, _ memory: Memory) throws -> Problem?
    /// How far this run's own steps have brought it, so that it need not be looked at again.
    private let reached = Reached()

    /// The programs that it runs with, for an undo without the source.
    public static let programs = Fact<KnownPrograms>("programs of the new node")
    /// The system identifier of what is copied: the source's.
    public static let system = Fact<String>("system identifier")
    /// Where a copy goes beside the data directory.
    static let places = Fact<Places>("places of the copy")

    /// Directories beside the data directory that a copy fills.
    struct Places: Sendable, Codable {
        var tablespaces: [String]
        var wal: String?
    }

    /// What becomes of a data directory that is in the place of the copy.
    public enum Existing: Sendable, Hashable {
        /// There must be none.
        case refused
        /// Its server is stopped, and it gets another name beside its own.
        case movedAside
        /// Its server is stopped, and everything in it is removed.
        case removed
        /// Its server is stopped, and what differs in it is overwritten.
        case overwritten
        /// It is a standby of the source, and becomes the copy as it is. It is nobody's to remove.
        case adopted
    }

    /// - Parameter obstacle: why a thing of it must stay for now although the run is undone; `nil` where it may go.
    public init(
        _ name: String, of source: String, _ access: ClusterAccess, section: String = "new_node", tablespaces: [String: HostPath] = [:],
        walDirectory: HostPath? = nil, existing: Existing = .refused, staysStandby: Bool = false, purgesData: Bool = false,
        obstacle: @escaping @Sendable (_ thing: String, _ memory: Memory) throws -> Problem? = { _, _ in nil }
    ) {
        (self.name, self.source, self.access, self.purgesData, self.obstacle) = (name, source, access, purgesData, obstacle)
        (self.section, self.tablespaces, self.walDirectory, self.existing, self.staysStandby) = (section, tablespaces, walDirectory, existing, staysStandby)
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

    private actor Reached {
        private(set) var state: CopyState?
        func set(_ state: CopyState) { self.state = state }
    }

    /// Says what a step of this run, which goes on, has made of it.
    func reached(_ state: CopyState) async { await reached.set(state) }

    /// How far the copy has come: as this run has left it, or as its host shows it.
    /// - Throws: `Problem` where something else is in its place.
    public func state() async throws -> CopyState {
        if let state = await reached.state { return state }
        let instance = try await instance()
        switch try await RestoredDirectory.inspect(instance.dataDirectory, on: instance.host, user: instance.user, deadline: .after(.seconds(30))) {
        case .absent, .empty, .directories: return .empty
        case .incomplete: return .partlyRestored
        case .foreign where existing == .movedAside: return .empty
        case .foreign:
            throw Problem("\(name): \(instance.dataDirectory) holds files that are no PostgreSQL cluster", hint: "name an empty directory, or empty this one")
        // What has yet to be configured and started anew; ``AdoptStandby`` knows of which run it was.
        case .complete where existing == .adopted: return .restored
        case .complete(let complete) where complete.started && existing != .refused:
            // Another cluster that is in its place is what it will take the place of.
            let isOther = try await instance.controlData(deadline: .after(.seconds(30))).systemIdentifier.number != sourceIdentifier(deadline: .after(.seconds(30)))
            return isOther ? (existing == .overwritten ? .partlyRestored : .empty) : .started
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
        let label = memory.began(CopyFiles.self) ? try await instance.baseBackupLabel(deadline: deadline) : nil
        return Holding(
            directory, files: files, system: system, copied: (try memory.recall(Self.system), try memory.recall(TakeBackup.chosen)),
            isPart: try memory.began(CopyFiles.self) && Holding.isPart(label: label, ours: CopyFiles.label(memory), files: files))
    }

    /// Empties the directories beside the data directory that a copy of this run has filled.
    func clearPlaces(_ memory: Memory) async throws {
        guard let places = try memory.recall(Self.places) else { return }
        try await instance(memory).removeLeftovers(
            ofTablespaces: try places.tablespaces.map(HostPath.init(checking:)), walDirectory: try places.wal.map(HostPath.init(checking:)), deadline: .after(.seconds(3600)))
    }

    /// Why `thing` of it must stay for now; `nil` where it may go.
    public func obstacle(to thing: String, _ memory: Memory) throws -> Problem? { try obstacle(thing, memory) }

    /// What an undo would empty now, as its question says it; `nil` where there is nothing, or it was not asked to.
    public func purgeable(_ memory: Memory) async throws -> String? {
        guard purgesData, let directory = try memory.copiedInto(undone: false) else { return nil }
        do {
            return try await holding(memory) == .copy ? "\(name): everything in the data directory \(directory) is removed (--purge-data)" : nil
        } catch {
            try Task.checkCancellation()
            return "\(name): everything in the data directory \(directory) is removed (--purge-data), which cannot be looked at now: \(Problem(explaining: error).fact)"
        }
    }

    /// Bytes of all databases of the source.
    public func sourceSize() async throws -> UInt64 {
        try await access.server(source).databaseSizes(deadline: .after(.seconds(60))).values.reduce(0, +)
    }

    /// The source's system identifier.
    public func sourceIdentifier(deadline: Deadline) async throws -> UInt64 { try await access.systemIdentifier(of: source, deadline: deadline) }

    // MARK: Files

    /// Applies `edits`, in any order. A file outside of the data directory is kept beside itself, for undo; any file of one that was there before.
    public func apply(_ edits: [ConfigurationEdit], _ run: StepRun, deadline: Deadline) async throws {
        let instance = try await instance(), kept = KeptFiles(instance: instance), prefix = instance.dataDirectory.path + "/"
        func goesWithData(_ edit: ConfigurationEdit) -> Bool { existing != .adopted && edit.path.path.hasPrefix(prefix) }
        _ = try await onEach(edits.filter(goesWithData)) { try await $0.apply(on: instance.host, as: instance.user, deadline: deadline) }
        for edit in edits where !goesWithData(edit) { try await kept.apply(edit, run, deadline: deadline) }
    }

    /// Changes its `postgresql.auto.conf`, which it may have yet to get.
    public func changeAutoConf(_ run: StepRun, deadline: Deadline, _ change: (_ file: inout SettingsFile, _ path: HostPath) throws -> Void) async throws {
        let instance = try await instance(), path = instance.dataDirectory / "postgresql.auto.conf"
        let current = try await instance.host.read(path, as: instance.user, deadline: deadline)
        var file = SettingsFile(current ?? [])
        try change(&file, path)
        guard file.render() != current else { return }
        try await apply([ConfigurationEdit(path: path, before: current, after: file.render())], run, deadline: deadline)
    }

    /// Puts the files that were kept back, where they still are as this run left them.
    public func restoreFiles(_ run: StepRun) async throws -> UndoOutcome {
        let files = try KeptFiles.changed(on: name, in: run.memory)
        guard !files.isEmpty else { return .undone([]) }
        if let problem = try obstacle(to: "\(name): \(list(files.map(\.name)))", run.memory) { return .left([problem]) }
        if let problem = try await promoted(run.memory) {
            // With its files of before it would start as its source. Who adopted it tells.
            return existing == .adopted ? .undone([]) : .left([problem])
        }
        return try await KeptFiles(instance: try await instance(run.memory)).restore(run, deadline: .after(.seconds(60)))
    }

    // MARK: Ends

    /// Why nothing of it is taken back, where it has become a primary; `nil` where it has not.
    public func promoted(_ memory: Memory) async throws -> Problem? {
        guard staysStandby || existing == .adopted else { return nil }
        let instance = try await instance(memory), deadline = Deadline.after(.seconds(30))
        let isPrimary: Bool
        if try await instance.status(deadline: deadline).isRunning {
            guard try await holding(memory) == .copy else { return nil }
            isPrimary = try await !access.server(name).isInRecovery(deadline: deadline)
        } else {
            guard try await instance.baseBackupState(deadline: deadline) == .started else { return nil }
            isPrimary = [.shutDown, .inProduction, .shuttingDown].contains(try await instance.controlData(deadline: deadline).state)
        }
        guard isPrimary else { return nil }
        guard staysStandby else {
            return Problem(
                "\(name) has been promoted and cannot be the standby of \(source) again: it is left stopped, with its data and its configuration files as they are",
                hint: "make a standby anew where you need one (pg_rewind, pg_basebackup); never start this one with Spock: it would take itself for \(source)")
        }
        return Problem(
            "\(name) is a primary by now, and no standby of \(source): it is left as it is, with its data and what belongs to it",
            hint: "what was written there may be nowhere else; take it away by hand if nobody needs it")
    }

    /// Stops the server of this run's copy. Another one in the same place is not looked for here: ``purge(_:)`` names it.
    public func stop(_ memory: Memory) async throws -> UndoOutcome {
        if let problem = try obstacle(to: "the server of \(name)", memory) { return .left([problem]) }
        if existing != .adopted, let problem = try await promoted(memory) { return .left([problem]) }
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
        if let problem = try await promoted(run.memory) { return .left([problem]) }
        var undone: [String] = []
        switch try await holding(run.memory) {
        case .nothing: if purgesData { try await clearPlaces(run.memory) }
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
                    Problem("\(name): the data directory \(directory) is left as it is, stopped", hint: "pggraft undo RUN --purge-data removes what is in it")
                ])
            }
            try await instance.emptyDataDirectory(deadline: .after(.seconds(3600)))
            try await clearPlaces(run.memory)
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
