import EventLoop
import PgBackRest
import Playbook
import PostgresClient
import PostgresConfig
import RemoteHost
import Run
import Spock

/// Part of step 1: pgBackRest's configuration on every host that takes part.
struct ConfigureBackRest: Step {
    let seed: Seed
    let id = StepID("1", "pgbackrest-configuration")
    var title: String { "Configure pgBackRest for the stanza \(seed.playbook.copy.stanza)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let edits = try await seed.backRestEdits().filter { $0.old != $0.new }
        if edits.isEmpty { return .done("every host has it") }
        return .needed(edits.map { Change("\($0.host): \($0.path)", diff: $0.diff) })
    }

    func perform(_ run: StepRun) async throws -> String {
        let edits = try await seed.backRestEdits().filter { $0.old != $0.new }
        for edit in edits {
            if edit.old == nil { try run.creating(Created("file", on: edit.host, edit.path.path)) }
            try run.remember("\(edit.host) \(edit.path) added", edit.added)
            try await seed.write(edit)
        }
        return edits.map { "\($0.host): \($0.path)" }.joined(separator: ", ")
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        var undone: [String] = [], left: [Problem] = []
        for edit in try await seed.backRestEdits(removing: { try run.memory.recall("\($0) \($1) added") }) {
            let mine = try run.memory.created(by: id).contains(Created("file", on: edit.host, edit.path.path))
            guard let old = edit.old, let new = edit.new, old != new || mine else { continue }
            let host = try await seed.access.host(edit.host)
            if mine {
                guard String(decoding: new, as: UTF8.self).allSatisfy(\.isWhitespace) || edit.isBareSection else {
                    left.append(Problem("\(edit.host): \(edit.path) holds more than this run wrote: left alone", hint: "remove it if nothing needs it"))
                    continue
                }
                try await host.remove(edit.path, as: edit.user, deadline: .after(.seconds(20)))
                _ = try await host.run(Command("rmdir", edit.path.directory.path).as(edit.user), deadline: .after(.seconds(20)))
                undone.append("\(edit.host): \(edit.path) is removed")
            } else {
                try await seed.write(edit)
                undone.append("\(edit.host): \(edit.path) is as it was")
            }
        }
        return left.isEmpty ? .undone(undone) : .left(left, undone: undone)
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
    /// Nothing but a section's head is left.
    var isBareSection: Bool {
        String(decoding: new ?? [], as: UTF8.self).split(separator: "\n").allSatisfy { $0.hasPrefix("[") || $0.allSatisfy(\.isWhitespace) }
    }
}

extension Seed {
    /// What the configuration files of all roles must become; with `removing`, what they become without what was added.
    func backRestEdits(removing: ((_ host: String, _ path: HostPath) throws -> [String]?)? = nil) async throws -> [BackRestEdit] {
        let layout = try await layout()
        var edits: [BackRestEdit] = []
        for role in layout.roles {
            let backRest = layout.backRest(for: role), host = try await host(role)
            let path = try backRest.configuration ?? self.path("/etc/pgbackrest.conf")
            let old = try await host.read(path, as: backRest.user, deadline: .after(.seconds(20)))
            let configuration = BackRestConfiguration(try IniFile(old ?? [], path: path))
            let result: BackRestConfiguration, added: [BackRestOption]
            if let removing {
                let texts = try removing(hostName(role), path) ?? []
                added = layout.options(for: role).filter { texts.contains($0.description) }
                result = configuration.removing(added, from: layout.stanza)
            } else {
                (result, added) = try configuration.adding(layout.options(for: role), to: layout.stanza)
            }
            edits.append(BackRestEdit(
                host: hostName(role), user: backRest.user, path: path, old: old, new: added.isEmpty ? old : result.file.bytes,
                added: added.map(\.description)))
        }
        return edits
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
    let id = StepID("1", "archiving")
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
        if try run.memory.recall(Self.before, as: String?.self) == nil { try run.remember(Self.before, try await seed.alteredArchiveCommand()) }
        try await seed.setArchiveCommand(command)
        return "archive_command is \(command)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let command = try await seed.layout().backRest(for: .source).archiveCommand
        guard try await seed.archiveState().command == command else { return .undone([]) }
        try await seed.setArchiveCommand(try run.memory.recall(Self.before))
        return .undone(["\(seed.source): archive_command is what it was"])
    }

    private static let before = "archive_command in postgresql.auto.conf before"
}

extension Seed {
    func archiveState() async throws -> (state: ArchiveState, command: String) {
        let row = try await spock(source).connection.query(
            "SELECT current_setting('archive_mode') AS mode, current_setting('archive_command') AS command, coalesce(current_setting('archive_library', true), '') AS library",
            deadline: .after(.seconds(10))).one()
        let command: String = try row.get("command")
        return (ArchiveState(mode: try row.get("mode"), command: command, library: try row.get("library"), stanza: try await layout().stanza), command)
    }

    nonisolated func archiveProblem(_ state: ArchiveState) -> Problem {
        switch state {
        case .off:
            Problem("\(source): archive_mode is off, and a backup needs the archive", hint: "set archive_mode = on and restart \(source) when that suits you; archive_command may stay empty")
        default:
            Problem("\(source): \(state), which is not the stanza \(playbook.copy.stanza)", hint: "name the stanza it archives into under copy.stanza, or set archive_command to '' first")
        }
    }

    /// What `postgresql.auto.conf` says for archive_command; `nil` where it says nothing.
    fileprivate func alteredArchiveCommand() async throws -> String? {
        try await spock(source).connection.query(
            "SELECT setting FROM pg_file_settings WHERE name = 'archive_command' AND sourcefile = current_setting('data_directory') || '/postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1",
            deadline: .after(.seconds(10))).first?.optional("setting")
    }

    /// Sets archive_command (`nil` takes the setting out) and waits until it is in force.
    fileprivate func setArchiveCommand(_ command: String?) async throws {
        let connection = try await spock(source).connection, deadline = Deadline.after(.seconds(20))
        if let command {
            try await connection.query("ALTER SYSTEM SET archive_command = \(literal: command)", deadline: deadline)
        } else {
            try await connection.query("ALTER SYSTEM RESET archive_command", deadline: deadline)
        }
        try await connection.query("SELECT pg_reload_conf()", deadline: deadline)
        try await wait(for: "archive_command to be in force on \(source)", until: deadline) {
            let row = try await connection.query(
                "SELECT setting, coalesce((SELECT applied FROM pg_file_settings WHERE name = 'archive_command' ORDER BY seqno DESC LIMIT 1), true) AS applied FROM pg_settings WHERE name = 'archive_command'",
                deadline: deadline).one()
            let now: String = try row.get("setting")
            if let command { return now == command ? .found(()) : .notYet("it is '\(now)'") }
            return try row.get("applied") ? .found(()) : .notYet("it is '\(now)'")
        }
    }
}

/// Step 1: create the stanza, and prove that WAL arrives in it.
struct CreateStanza: Step {
    let seed: Seed
    let id = StepID("1", "stanza")
    var title: String { "Create the stanza \(seed.playbook.copy.stanza), and prove that WAL of \(seed.source) arrives there" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let layout = try await seed.layout(), role = layout.repositoryRole
        let needed: Inspection = .needed([Change("\(seed.hostName(role)): pgbackrest stanza-create, check")])
        let file = try layout.backRest(for: role).configuration ?? seed.path("/etc/pgbackrest.conf")
        guard try await seed.host(role).read(file, as: layout.backRest(for: role).user, deadline: .after(.seconds(20))) != nil else { return needed }
        let info = try await layout.backRest(for: role).info(on: try await seed.host(role), deadline: .after(.seconds(60)))
        guard info.systemIdentifier != nil else { return needed }
        if try memory.recall(Self.proven, as: Bool.self) == true { return .done("it is there") }
        return .needed([Change("\(seed.hostName(role)): pgbackrest check (the stanza is there)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let layout = try await seed.layout(), role = layout.repositoryRole
        let backRest = layout.backRest(for: role), host = try await seed.host(role)
        let existed = try await backRest.info(on: host, deadline: .after(.seconds(60))).systemIdentifier != nil
        if !existed {
            try run.creating(Created("stanza", on: seed.hostName(role), layout.stanza.name))
            try await backRest.createStanza(on: host, deadline: .after(.seconds(120)))
        }
        try await backRest.check(on: host, deadline: .after(.seconds(180)))
        try run.remember(Self.proven, true)
        return (existed ? "it was there" : "created") + "; a WAL segment of \(seed.source) arrived"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try !run.memory.created(by: id).isEmpty else { return .undone([]) }
        let layout = try await seed.layout(), role = layout.repositoryRole
        let backRest = layout.backRest(for: role), host = try await seed.host(role)
        let info = try await backRest.info(on: host, deadline: .after(.seconds(60)))
        guard info.systemIdentifier != nil else { return .undone([]) }
        let mine: String? = try run.memory.recall(TakenBackup.key)
        let others = info.backups.map(\.label).filter { $0 != mine }
        guard others.isEmpty else {
            return .left([Problem(
                "the stanza \(layout.stanza) holds backups that this run did not take (\(others.joined(separator: ", "))): left alone",
                hint: "if nobody needs them: pgbackrest stop, stanza-delete --force")])
        }
        try await backRest.deleteStanza(on: host, deadline: .after(.seconds(300)))
        return .undone(["the stanza \(layout.stanza) on \(seed.hostName(role)) is deleted"])
    }

    private static let proven = "stanza proven"
}
