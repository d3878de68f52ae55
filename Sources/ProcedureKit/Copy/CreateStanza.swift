import EventLoop
import PgBackRest
import RemoteHost
import Report
public import Run

/// Create the stanza, and prove that WAL arrives in it.
public struct CreateStanza: Step {
    public static let name = "stanza"
    private let copy: BackRestCopy
    /// Whether it is there.
    private let inspected = Inspected<Bool>()

    /// The configuration file that the stanza was made with; empty for pgBackRest's default place.
    private static let configuration = Fact<String>("configuration of the stanza")
    private static let isProven = Fact<Bool>("stanza proven")

    public init(copy: BackRestCopy) { self.copy = copy }

    public var title: String { "Create the stanza \(copy.order.stanza), and prove that WAL of \(copy.source) arrives there" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        await inspected.keep(nil)
        let layout = try await copy.layout(), role = layout.repositoryRole, backRest = layout.backRest(for: role), host = try await copy.host(role)
        let needed: Inspection = .needed([Change("\(copy.hostName(role)): pgbackrest stanza-create, check")])
        if layout.existing == nil, let file = backRest.configuration {
            guard try await host.read(file, as: backRest.user, deadline: .after(.seconds(20))) != nil else { return needed }
        }
        let exists = try await backRest.info(on: host, deadline: .after(.seconds(60))).systemIdentifier != nil
        await inspected.keep(exists)
        guard exists else { return needed }
        if try memory.recall(Self.isProven) == true { return .done("it is there") }
        return .needed([Change("\(copy.hostName(role)): pgbackrest check (the stanza is there)")])
    }

    public func perform(_ run: StepRun) async throws -> String {
        let layout = try await copy.layout(), role = layout.repositoryRole
        let backRest = layout.backRest(for: role), host = try await copy.host(role)
        let seen = await inspected.take(), existed = if let seen { seen } else { try await backRest.info(on: host, deadline: .after(.seconds(60))).systemIdentifier != nil }
        if !existed {
            try run.remember(Self.configuration, backRest.configuration?.path ?? "")
            try run.creating(Created("stanza", on: copy.hostName(role), layout.stanza.name))
            try await backRest.createStanza(on: host, deadline: .after(.seconds(120)))
        }
        try await backRest.check(on: host, deadline: .after(.seconds(180)))
        try run.remember(Self.isProven, true)
        return (existed ? "it was there" : "created") + "; a WAL segment of \(copy.source) arrived"
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let thing = try run.created.first else { return .undone([]) }
        // While the source archives into it, WAL would pile up there without a stanza; and it may be all that is left of a source that is gone.
        let archiving = try await copy.restoreArchiveCommand(run)
        guard case .undone = archiving else {
            // What is wrong with archive_command is named where it was set.
            return try await copy.archiving().state == .ready
                ? .left([stays("\(copy.source) archives into it, by a command that this run did not set")]) : try await delete(thing, run)
        }
        return archiving.and(try await delete(thing, run))
    }

    private func delete(_ thing: Created, _ run: StepRun) async throws -> UndoOutcome {
        let host = try await copy.access.host(thing.place), stanza = copy.order.stanza
        let configuration = try run.memory.recall(Self.configuration).flatMap { HostPath($0) }
        let backRest = BackRest(stanza: stanza, user: try copy.access.roster.entry(thing.place).osUser, configuration: configuration)
        // With another configuration it would be looked for in another place.
        let mine = try run.memory.recall(WrittenConfiguration.all)?.first { $0.host == thing.place }
        if let file = try mine.map({ try HostPath(checking: $0.path) }) ?? configuration {
            guard let now = try await host.read(file, as: backRest.user, deadline: .after(.seconds(20))) else {
                return .left([stays("\(thing.place): \(file), which says where it is, is gone")])
            }
            guard try mine?.isMissing(in: IniFile(now, path: file), of: stanza) != true else {
                return .left([stays("\(thing.place): \(file), which says where it is, is not as this run wrote it")])
            }
        }
        if try run.memory.recall(TakeBackup.labelsBefore) != nil {
            // A backup that this run began and that outlived it. The stanza is this run's own.
            try await backRest.endRunningProcesses(of: "backup", on: host, deadline: .after(.seconds(60)))
        }
        let info = try await backRest.info(on: host, deadline: .after(.seconds(60)))
        guard info.systemIdentifier != nil else { return .undone([]) }
        let own = try run.memory.ownBackups(among: info.backups)
        let others = info.backups.map(\.label).filter { !own.contains($0) }
        guard others.isEmpty else { return .left([stays("it holds backups that this run did not take (\(others.joined(separator: ", ")))")]) }
        try await backRest.deleteStanza(on: host, deadline: .after(.seconds(300)))
        return .undone(["\(thing) is deleted"])
    }

    private func stays(_ why: String) -> Problem {
        Problem(
            "the stanza \(copy.order.stanza) is left alone: \(why)",
            hint: "put that right and undo again; or, if nobody needs the stanza: pgbackrest stop, stanza-delete --force")
    }
}

extension Memory {
    /// The labels of the backups that this run took. One that pgBackRest finished by itself after pggraft was killed is no
    /// fact of the journal: it is the one that was not there before.
    fileprivate func ownBackups(among backups: [StanzaInfo.Backup]) throws -> [String] {
        if let label = try recall(TakeBackup.taken) { return [label] }
        guard let before = try recall(TakeBackup.labelsBefore) else { return [] }
        let new = backups.map(\.label).filter { !before.contains($0) }
        return new.count == 1 ? new : []
    }
}
