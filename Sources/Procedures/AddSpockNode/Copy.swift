import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import RemoteHost
import Report
import Run
import Spock

/// The label of the backup this run took.
enum TakenBackup { static let key = "backup taken" }
/// The labels that the stanza had before this run took its backup.
enum LabelsBefore { static let key = "backups before" }
/// The label of the backup that is restored.
enum ChosenBackup { static let key = "backup" }

/// Step 2: take a full backup of the source, or choose the one that is there.
struct TakeBackup: Step {
    let seed: Seed
    let id = StepID("2", "backup")
    var title: String {
        switch seed.playbook.copy.backup {
        case .full: "Take a full backup of \(seed.source)"
        case .newest: "Use the newest backup of \(seed.source)"
        case .set(let label): "Use the backup \(label) of \(seed.source)"
        }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let size = try await seed.databaseSize()
        if try await seed.cloneState(memory) > .empty, let label: String = try memory.recall(ChosenBackup.key) {
            return .done("\(seed.newNode) holds the backup \(label)")
        }
        if let label: String = try memory.recall(ChosenBackup.key),
            try await seed.backups().contains(where: { $0.label == label })
        {
            return .done("\(label) is in the repository")
        }
        if case .full = seed.playbook.copy.backup {
            let again = memory.began(id) ? ["what an earlier attempt left in the repository is resumed or made anew by pgBackRest"] : []
            return .needed((["\(seed.hostName(try await seed.layout().repositoryRole)): pgbackrest backup --type=full, \(size.inBytes)"] + again).map { Change($0) })
        }
        return .needed([Change("look it up in the repository")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let layout = try await seed.layout(), role = layout.repositoryRole
        switch seed.playbook.copy.backup {
        case .full:
            let cores = try await BackRest.cores(of: seed.host(role), deadline: .after(.seconds(20)))
            let processes = seed.playbook.copy.processMax ?? BackRest.backupProcesses(cores: cores)
            let began = ContinuousClock.Instant.now, size = try await seed.databaseSize()
            if let label = try await seed.backupLeftBehind(run) {
                try run.remember(TakenBackup.key, label)
                try run.remember(ChosenBackup.key, label)
                return "\(label), which an earlier attempt began and pgBackRest finished by itself"
            }
            let (label, warnings) = try await layout.backRest(for: role).backUp(
                on: try await seed.host(role), processes: processes, bytesTotal: size, deadline: Deadline.copy
            ) { run.progress("backup: \($0.text)", fraction: $0.percent / 100) }
            try run.remember(TakenBackup.key, label)
            try run.remember(ChosenBackup.key, label)
            warnings.forEach { run.note("\($0)") }
            return "\(label), \(size.inBytes) in \(began.duration(to: .now).inSeconds) with \(processes) processes"
        case .newest, .set:
            let label = try await seed.chosen(try await seed.backups()).label
            try run.remember(ChosenBackup.key, label)
            return label
        }
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        // The backup goes with the stanza where this run made that; in a stanza that was there it is one more backup, and expires.
        guard let label: String = try run.memory.recall(TakenBackup.key) else { return .undone([]) }
        let madeStanza = try run.memory.created().contains { $0.kind == "stanza" }
        return .undone(madeStanza ? [] : ["the backup \(label) stays in the stanza, which was there before"])
    }
}

/// Step 3: restore the backup to the new node.
struct Restore: Step {
    let seed: Seed
    let id = StepID("3", "restore")
    var title: String { "Restore the backup to \(seed.newNode)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let state = try await seed.cloneState(memory)
        let path = seed.playbook.newNode.dataDirectory
        switch state {
        case .empty: return .needed([Change("\(seed.newNode): pgbackrest restore --type=standby into \(path), primary_conninfo: \(try await seed.primaryConninfo())")])
        case .partlyRestored: return .needed([Change("\(seed.newNode): pgbackrest restore --delta goes on with what is in \(path)")])
        default: return .done("\(seed.newNode) is \(state)")
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let layout = try await seed.layout()
        let label: String = try run.recall(ChosenBackup.key)
        let isPart = try await seed.cloneState(run.memory) == .partlyRestored
        let backup = try await seed.backups().first { $0.label == label }
        let host = try await seed.host(.target), user = seed.playbook.cluster.osUser
        let programs = try await seed.instance(seed.newNode)
        try run.remember(NewNodePrograms.key, NewNodePrograms(version: programs.version, directory: programs.binaries.directory.path))
        let system: String = try await seed.spock(seed.source).connection.query(
            "SELECT system_identifier::text AS identifier FROM pg_control_system()", deadline: .after(.seconds(20))
        ).one().get("identifier")
        try run.remember(CopiedSystem.key, system)
        if try await host.stat(layout.target.dataDirectory, as: user, deadline: .after(.seconds(20))) == nil {
            try run.creating(Created("directory", on: seed.newNode, layout.target.dataDirectory.path))
        }
        try run.creating(Created("data directory", on: seed.newNode, layout.target.dataDirectory.path))
        if !isPart { try await host.makeDirectory(layout.target.dataDirectory, mode: 0o700, as: user, deadline: .after(.seconds(20))) }
        // What an earlier connection left running would write into the same directory.
        try await layout.backRest(for: .target).endRunningProcesses(on: host, deadline: .after(.seconds(60)))
        let options = try RestoreOptions(primaryConninfo: try await seed.primaryConninfo(), set: label, delta: isPart, archiveOff: true)
        let cores = try await BackRest.cores(of: seed.host(.target), deadline: .after(.seconds(20)))
        let processes = seed.playbook.copy.processMax ?? BackRest.restoreProcesses(cores: cores)
        let began = ContinuousClock.Instant.now
        let (_, warnings) = try await layout.backRest(for: .target).restore(
            options, on: host, processes: processes, bytesTotal: backup?.size, deadline: Deadline.copy
        ) { run.progress("restore: \($0.text)", fraction: $0.percent / 100) }
        warnings.forEach { run.note("\($0)") }
        return "\(label) in \(began.duration(to: .now).inSeconds) with \(processes) processes" + (isPart ? " (went on with --delta)" : "")
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { try await seed.purgeDataDirectory(run) }
}

extension Deadline {
    /// For copying a database of any size: a week.
    static var copy: Deadline { .after(.seconds(7 * 24 * 3600)) }
}

extension CopyProgress {
    /// `3.2 GB of 11 GB, 29 %, 4 min left`.
    var text: String {
        "\(bytesDone.inBytes) of \(bytesTotal.inBytes), \(Int(percent.rounded(.down))) %" + (remaining.map { ", \($0.inSeconds) left" } ?? "")
    }
}

extension Seed {
    /// Bytes of all databases of the source.
    func databaseSize() async throws -> UInt64 {
        let row = try await spock(source).connection.query(
            "SELECT sum(pg_database_size(oid))::bigint AS bytes FROM pg_database", deadline: .after(.seconds(60))
        ).one()
        return UInt64(max(0, try row.get("bytes", as: Int64.self)))
    }

    /// The backup that an earlier attempt of this run began and did not see through, if pgBackRest has finished it by itself.
    ///
    /// One that still runs is waited for: it is this run's own, or somebody's who may not be disturbed.
    func backupLeftBehind(_ run: StepRun) async throws -> String? {
        let layout = try await layout(), role = layout.repositoryRole, backRest = layout.backRest(for: role), host = try await host(role)
        guard let before: [String] = try run.memory.recall(LabelsBefore.key) else {
            try run.remember(LabelsBefore.key, try await backups().map(\.label))
            return nil
        }
        try await wait(for: "a backup of stanza \(layout.stanza) that still runs on \(host.name) to end", until: .copy, every: .seconds(1)) {
            let running = try await backRest.runningProcesses(on: host, deadline: .after(.seconds(30))).filter { $0.command.hasPrefix("backup") }
            guard !running.isEmpty else { return .found(()) }
            run.progress("a backup that was begun earlier still runs on \(host.name)")
            return .notYet("pid \(list(running.map { "\($0.pid)" }))")
        }
        return try await backups().last { !before.contains($0.label) && $0.hasErrors != true && $0.kind == .full }?.label
    }

    /// The backups of the source in the repository.
    func backups() async throws -> [StanzaInfo.Backup] {
        let layout = try await layout(), role = layout.repositoryRole
        return try await layout.backRest(for: role).info(on: try await host(role), deadline: .after(.seconds(60))).backups
    }

    /// The backup that the playbook asks for.
    func chosen(_ backups: [StanzaInfo.Backup]) throws -> StanzaInfo.Backup {
        let sound = backups.filter { $0.hasErrors != true }
        let found: StanzaInfo.Backup? = if case .set(let label) = playbook.copy.backup { sound.first { $0.label == label } } else { sound.last }
        guard let found else {
            throw Problem(
                "the repository has no such backup: there are \(backups.isEmpty ? "none" : backups.map(\.label).joined(separator: ", "))",
                hint: "say backup: full to take one")
        }
        return found
    }

    /// What the standby streams by. The password stays in the OS user's password file.
    func primaryConninfo() async throws -> Conninfo {
        let user = playbook.cluster.osUser
        var conninfo = Conninfo([
            "host": playbook.source.address, "port": "\(playbook.source.port)", "user": playbook.copy.replicationUser,
            "application_name": newNode,
        ])
        let file = try await access.host(newNode).require(
            .script(#"file=$(getent passwd "$1" | cut -d: -f6)/.pgpass; [ -e "$file" ] && echo "$file"; true"#, user).as(user),
            deadline: .after(.seconds(20))
        ).text
        if !file.isEmpty { conninfo["passfile"] = file }
        return conninfo
    }
}
