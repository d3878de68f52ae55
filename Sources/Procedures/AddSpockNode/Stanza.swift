import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// Part of step 1: pgBackRest's configuration on every host that takes part.
struct ConfigureBackRest: Step {
    let seed: Seed
    static let name = "pgbackrest-configuration"
    var title: String { "Configure pgBackRest for the stanza \(seed.playbook.copy.stanza)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let edits = try await seed.backRestEdits().filter { $0.old != $0.new }
        if edits.isEmpty { return .done("every host has it") }
        return .needed(edits.map { Change("\($0.host): \($0.path)", diff: $0.diff) })
    }

    func perform(_ run: StepRun) async throws -> String {
        let edits = try await seed.backRestEdits().filter { $0.old != $0.new }
        for edit in edits {
            let host = try await seed.access.host(edit.host), directory = edit.path.directory
            if edit.old == nil {
                if try await host.stat(directory, as: edit.user, deadline: .after(.seconds(20))) == nil {
                    try run.creating(Created("directory", on: edit.host, directory.path))
                }
                try run.creating(Created("file", on: edit.host, edit.path.path))
            }
            try seed.remember(edit, run)
            try await seed.write(edit)
        }
        return edits.map { "\($0.host): \($0.path)" }.joined(separator: ", ")
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let written: [WrittenConfiguration] = try run.memory.recall(WrittenConfiguration.fact) ?? []
        let created = Set(try run.memory.created(by: name)), stanza = try seed.stanza()
        let needed = try hostsThatNeedIt(run.memory)
        return await takeBack(written.map { Created("file", on: $0.host, $0.path) }) { [seed] thing in
            guard let edit = written.first(where: { $0.host == thing.place && $0.path == thing.name }) else { return .absent }
            let path = try seed.path(edit.path), host = try await seed.access.host(edit.host), deadline = Deadline.after(.seconds(20))
            func removeDirectory() async throws {
                guard created.contains(Created("directory", on: edit.host, path.directory.path)) else { return }
                // Somebody's file may be in it by now; then it stays.
                _ = try await host.run(Command("rmdir", path.directory.path).as(edit.user), deadline: deadline)
            }
            guard let now = try await host.read(path, as: edit.user, deadline: deadline) else {
                try await removeDirectory()
                return .absent
            }
            let takingBack = try edit.takingBack(from: IniFile(now, path: path), of: stanza, isOwnFile: created.contains(thing))
            if let user = needed[edit.host], takingBack.isChange {
                return .left(Problem("\(edit.host): \(path) stays as long as \(user), which is not taken back yet", hint: "see what stands above; then undo again"))
            }
            switch takingBack {
            case .nothing: return .absent
            case .left(let problem): return .left(problem)
            case .write(let bytes):
                try await host.write(bytes, to: path, as: edit.user, deadline: deadline)
                return .gone("\(edit.host): \(path) is as it was")
            case .remove:
                try await host.remove(path, as: edit.user, deadline: deadline)
                try await removeDirectory()
                return .gone("\(edit.host): \(path) is removed")
            }
        }
    }
}

extension ConfigureBackRest {
    /// What is not taken back yet, by host: it still needs the host's file, and so does taking it back.
    private func hostsThatNeedIt(_ memory: Memory) throws -> [String: String] {
        var needed: [String: String] = [:]
        if memory.began(ArchiveSource.self), !memory.isUndone(ArchiveSource.self) { needed[seed.source] = "archive_command" }
        if let made = try memory.created(by: CreateStanza.name).first, !memory.isUndone(CreateStanza.self) { needed[made.place] = "the stanza \(seed.playbook.copy.stanza)" }
        return needed
    }
}

/// What this run wrote into a configuration file of pgBackRest.
struct WrittenConfiguration: Sendable, Codable {
    static let fact = Fact<[WrittenConfiguration]>("pgBackRest's configuration")
    var host: String
    var user: String
    var path: String
    /// The options that were added, as `key=value`.
    var added: [String]

    /// What takes them back.
    enum TakingBack: Equatable {
        case nothing, remove
        case write([UInt8])
        case left(Problem)

        var isChange: Bool {
            switch self {
            case .remove, .write: true
            case .nothing, .left: false
            }
        }
    }

    /// All or nothing: half of them would describe a repository that nobody meant.
    func takingBack(from file: IniFile, of stanza: StanzaName, isOwnFile: Bool) -> TakingBack {
        let options = added.compactMap(BackRestOption.init)
        let changed = file.settings.filter { setting in
            setting.section == stanza.name && options.contains { $0.key == setting.key && $0.value != setting.value }
        }
        guard changed.isEmpty else {
            let lines = changed.map { "line \($0.line), \($0.key)" }.joined(separator: "; ")
            return .left(
                Problem(
                    "\(host): \(path) says something else in [\(stanza)] than this run wrote (\(lines)): left alone",
                    hint: "put that back, or take out of [\(stanza)] what this run wrote (\(list(options.map(\.key)))); then undo again"))
        }
        let rest = BackRestConfiguration(file).removing(options, from: stanza).file
        guard isOwnFile else { return rest.bytes == file.bytes ? .nothing : .write(rest.bytes) }
        let more = String(decoding: rest.bytes, as: UTF8.self).split(separator: "\n").contains { !$0.hasPrefix("[") && !$0.allSatisfy(\.isWhitespace) }
        guard !more else {
            return .left(
                Problem(
                    "\(host): \(path), which this run made, holds more than this run wrote: left alone",
                    hint: "move what is needed to another file, or take it out; then undo again"))
        }
        return .remove
    }
}

extension IniFile {
    /// Whether one of `options`, as `key=value`, does not stand in the section of `stanza` as it is.
    fileprivate func lacks(_ options: [String], of stanza: StanzaName) -> Bool {
        let there = Set(settings.filter { $0.section == stanza.name }.map { "\($0.key)=\($0.value)" })
        return !there.isSuperset(of: options)
    }
}

extension BackRestOption {
    /// `key=value`.
    fileprivate init?(_ text: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        self.init(String(parts[0]), String(parts[1]))
    }
}

/// A change to one of pgBackRest's files.
struct BackRestEdit: Sendable {
    let host: String
    let user: String
    let path: HostPath
    let old: [UInt8]?
    let new: [UInt8]?
    /// The options that are added, as `key=value`.
    let added: [String]

    var diff: String { UnifiedDiff(old: old, new: new, path: path.path).description }
}

extension Seed {
    /// What the configuration files of all roles must become.
    func backRestEdits() async throws -> [BackRestEdit] {
        let layout = try await layout()
        var edits: [BackRestEdit] = []
        for role in layout.roles {
            let backRest = layout.backRest(for: role), host = try await host(role)
            let path = try backRest.configuration ?? self.path("/etc/pgbackrest.conf")
            let old = try await host.read(path, as: backRest.user, deadline: .after(.seconds(20)))
            let (result, added) = try BackRestConfiguration(try IniFile(old ?? [], path: path)).adding(layout.options(for: role), to: layout.stanza)
            edits.append(
                BackRestEdit(
                    host: hostName(role), user: backRest.user, path: path, old: old, new: added.isEmpty ? old : result.file.bytes,
                    added: added.map(\.description)))
        }
        return edits
    }

    /// Adds `edit` to what the journal knows of the files, before it is made.
    nonisolated func remember(_ edit: BackRestEdit, _ run: StepRun) throws {
        var written: [WrittenConfiguration] = try run.memory.recall(WrittenConfiguration.fact) ?? []
        let earlier = written.first { $0.host == edit.host && $0.path == edit.path.path }?.added ?? []
        written.removeAll { $0.host == edit.host && $0.path == edit.path.path }
        written.append(
            WrittenConfiguration(
                host: edit.host, user: edit.user, path: edit.path.path, added: earlier + edit.added.filter { !earlier.contains($0) }))
        try run.remember(WrittenConfiguration.fact, written)
    }

    func write(_ edit: BackRestEdit) async throws {
        guard let new = edit.new else { return }
        let host = try await access.host(edit.host)
        try await host.makeDirectory(edit.path.directory, mode: 0o750, as: edit.user, deadline: .after(.seconds(20)))
        try await host.write(new, to: edit.path, as: edit.user, mode: edit.old == nil ? 0o640 : nil, deadline: .after(.seconds(20)))
    }
}

/// Part of step 1: the source archives its WAL into the stanza.
struct ArchiveSource: Step {
    let seed: Seed
    static let name = "archiving"
    var title: String { "Archive the WAL of \(seed.source) into the stanza" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let layout = try await seed.layout()
        let (state, command) = try await seed.archiveState()
        if command == layout.backRest(for: .source).archiveCommand { return .done("archive_command is \(command)") }
        switch state {
        case .ready: return .done("archive_command is \(command)")
        case .emptyOrTrue:
            return .needed([Change("\(seed.source): ALTER SYSTEM SET archive_command = '\(layout.backRest(for: .source).archiveCommand)', reload, read back")])
        case .off, .pushes, .other, .library:
            return .blocked([seed.archiveProblem(state)])
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let command = try await seed.layout().backRest(for: .source).archiveCommand
        if try run.memory.recall(ArchiveCommand.fact) == nil {
            try run.remember(ArchiveCommand.fact, ArchiveCommand(ours: command, before: try await seed.alteredArchiveCommand()))
        }
        try await seed.spock(seed.source).server.alterSystem(ArchiveCommand.setting, to: command, deadline: .after(.seconds(20)))
        return "archive_command is \(command)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { try await seed.restoreArchiveCommand(run) }
}

/// The archive_command of this run, and what `postgresql.auto.conf` said before; `nil` where it said nothing.
struct ArchiveCommand: Sendable, Codable {
    static let fact = Fact<ArchiveCommand>("archive_command"), setting = "archive_command"
    var ours: String
    var before: String?

    enum TakingBack: Equatable {
        case restore, reload
        case left(Problem)
    }

    /// What takes this run's archive_command back where `postgresql.auto.conf` says `now`.
    func takingBack(from now: String?, on node: String) -> TakingBack {
        if now == ours { return .restore }
        if now == before { return .reload }
        func said(_ command: String?) -> String { command.map { "'\(Redaction.redacted($0))'" } ?? "not set" }
        let undoing = before.map { "SET archive_command = '\($0)'" } ?? "RESET archive_command"
        return .left(
            Problem(
                "\(node): archive_command in postgresql.auto.conf is \(said(now)), which this run did not set: left alone (it was \(said(before)) before)",
                hint: "keep it if it is meant; ALTER SYSTEM \(undoing); SELECT pg_reload_conf(); is what it was. Then undo again"))
    }
}

extension Seed {
    func archiveState() async throws -> (state: ArchiveState, command: String) {
        let settings = try await spock(source).server.settings(["archive_mode", "archive_command", "archive_library"], deadline: .after(.seconds(10)))
        let command = settings["archive_command"] ?? ""
        let state = ArchiveState(
            mode: settings["archive_mode"] ?? "off", command: command, library: settings["archive_library"] ?? "", stanza: try await layout().stanza)
        return (state, command)
    }

    nonisolated func archiveProblem(_ state: ArchiveState) -> Problem {
        switch state {
        case .off:
            Problem(
                "\(source): archive_mode is off, and a backup needs the archive",
                hint: "set archive_mode = on and restart \(source) when that suits you; archive_command may stay empty")
        default:
            Problem(
                "\(source): \(state), which is not the stanza \(playbook.copy.stanza)",
                hint: "name the stanza it archives into under copy.stanza, or set archive_command to '' first")
        }
    }

    /// Puts archive_command back, where it still is this run's.
    func restoreArchiveCommand(_ run: StepRun) async throws -> UndoOutcome {
        guard let command: ArchiveCommand = try run.memory.recall(ArchiveCommand.fact) else { return .undone([]) }
        let server = try await spock(source).server
        switch command.takingBack(from: try await alteredArchiveCommand(), on: source) {
        case .restore:
            try await server.alterSystem(ArchiveCommand.setting, to: command.before, deadline: .after(.seconds(20)))
            return .undone(["\(source): archive_command is what it was"])
        case .reload:
            // An undo that was cut off may have put the setting back without the server having read it.
            try await server.reload(until: ArchiveCommand.setting, is: command.before, deadline: .after(.seconds(20)))
            return .undone([])
        case .left(let problem): return .left([problem])
        }
    }

    /// What `postgresql.auto.conf` says for archive_command; `nil` where it says nothing.
    fileprivate func alteredArchiveCommand() async throws -> String? {
        try await spock(source).server.alteredSetting(ArchiveCommand.setting, deadline: .after(.seconds(10))).altered
    }
}

/// Step 1: create the stanza, and prove that WAL arrives in it.
struct CreateStanza: Step {
    let seed: Seed
    static let name = "stanza"
    var title: String { "Create the stanza \(seed.playbook.copy.stanza), and prove that WAL of \(seed.source) arrives there" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let layout = try await seed.layout(), role = layout.repositoryRole
        let needed: Inspection = .needed([Change("\(seed.hostName(role)): pgbackrest stanza-create, check")])
        let file = try layout.backRest(for: role).configuration ?? seed.path("/etc/pgbackrest.conf")
        guard try await seed.host(role).read(file, as: layout.backRest(for: role).user, deadline: .after(.seconds(20))) != nil else { return needed }
        let info = try await layout.backRest(for: role).info(on: try await seed.host(role), deadline: .after(.seconds(60)))
        guard info.systemIdentifier != nil else { return needed }
        if try memory.recall(Self.proven) == true { return .done("it is there") }
        return .needed([Change("\(seed.hostName(role)): pgbackrest check (the stanza is there)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let layout = try await seed.layout(), role = layout.repositoryRole
        let backRest = layout.backRest(for: role), host = try await seed.host(role)
        let existed = try await backRest.info(on: host, deadline: .after(.seconds(60))).systemIdentifier != nil
        if !existed {
            try run.remember(StanzaConfiguration.fact, backRest.configuration?.path ?? "")
            try run.creating(Created("stanza", on: seed.hostName(role), layout.stanza.name))
            try await backRest.createStanza(on: host, deadline: .after(.seconds(120)))
        }
        try await backRest.check(on: host, deadline: .after(.seconds(180)))
        try run.remember(Self.proven, true)
        return (existed ? "it was there" : "created") + "; a WAL segment of \(seed.source) arrived"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let thing = try run.memory.created(by: name).first else { return .undone([]) }
        // While the source archives into it, WAL would pile up there without a stanza; and it may be all that is left of a source that is gone.
        let archiving = try await seed.restoreArchiveCommand(run)
        guard case .undone = archiving else {
            // What is wrong with archive_command is named where it was set.
            return try await seed.archiveState().state == .ready
                ? .left([stays("\(seed.source) archives into it, by a command that this run did not set")]) : try await delete(thing, run)
        }
        return archiving.and(try await delete(thing, run))
    }

    private func delete(_ thing: Created, _ run: StepRun) async throws -> UndoOutcome {
        let host = try await seed.access.host(thing.place), stanza = try seed.stanza()
        let user = thing.place == seed.repositoryHost ? seed.repositoryUser : seed.playbook.cluster.osUser
        let configuration = try run.memory.recall(StanzaConfiguration.fact).flatMap { HostPath($0) }
        let backRest = BackRest(stanza: stanza, user: user, configuration: configuration)
        // With another configuration it would be looked for in another place.
        let written: [WrittenConfiguration] = try run.memory.recall(WrittenConfiguration.fact) ?? []
        let mine = written.first { $0.host == thing.place }
        if let file = try mine.map({ try seed.path($0.path) }) ?? configuration {
            guard let now = try await host.read(file, as: user, deadline: .after(.seconds(20))) else {
                return .left([stays("\(thing.place): \(file), which says where it is, is gone")])
            }
            guard try !IniFile(now, path: file).lacks(mine?.added ?? [], of: stanza) else {
                return .left([stays("\(thing.place): \(file), which says where it is, is not as this run wrote it")])
            }
        }
        try await backRest.endOwnBackup(run, on: host)
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
            "the stanza \(seed.playbook.copy.stanza) is left alone: \(why)",
            hint: "put that right and undo again; or, if nobody needs the stanza: pgbackrest stop, stanza-delete --force")
    }

    private static let proven = Fact<Bool>("stanza proven")
}

/// The configuration file that the stanza was made with; empty for pgBackRest's default place.
private enum StanzaConfiguration { static let fact = Fact<String>("configuration of the stanza") }

extension Memory {
    /// The labels of the backups that this run took. One that pgBackRest finished by itself after pggraft was killed is no
    /// fact of the journal: it is the one that was not there before.
    fileprivate func ownBackups(among backups: [StanzaInfo.Backup]) throws -> [String] {
        if let label: String = try recall(TakenBackup.fact) { return [label] }
        guard let before: [String] = try recall(LabelsBefore.fact) else { return [] }
        let new = backups.map(\.label).filter { !before.contains($0) }
        return new.count == 1 ? new : []
    }
}

extension BackRest {
    /// Ends a backup that this run began and that outlived it. The stanza is this run's own.
    fileprivate func endOwnBackup(_ run: StepRun, on host: any Host) async throws {
        guard try run.memory.recall(LabelsBefore.fact) != nil else { return }
        try await endRunningProcesses(of: "backup", on: host, deadline: .after(.seconds(60)))
    }
}
