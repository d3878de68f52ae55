import EventLoop
import Instance
import PgBackRest
import RemoteHost
import Report
public import Run

/// pgBackRest's configuration on every host that takes part in a copy.
public struct ConfigureBackRest: Step {
    public static let name = "pgbackrest-configuration"
    private let copy: BackRestCopy
    private let inspected = Inspected<[BackRestEdit]>()

    public init(copy: BackRestCopy) { self.copy = copy }

    public var title: String { "Configure pgBackRest for the stanza \(copy.order.stanza)" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        let edits = try await copy.configurationEdits()
        await inspected.keep(edits)
        if edits.isEmpty { return .done("every host has it") }
        return .needed(edits.map { Change("\($0.host): \($0.path)", diff: $0.diff) })
    }

    public func perform(_ run: StepRun) async throws -> String {
        let seen = await inspected.take(), edits = if let seen { seen } else { try await copy.configurationEdits() }, access = copy.access
        for edit in edits {
            if edit.lacksDirectory { try run.creating(Created("directory", on: edit.host, edit.path.directory.path)) }
            if edit.old == nil { try run.creating(Created("file", on: edit.host, edit.path.path)) }
            if let spool = edit.spool { try run.creating(Created("spool", on: edit.host, spool.path)) }
            try remember(edit, run)
        }
        _ = try await onEach(Array(edits.indices)) { index in
            let edit = edits[index], host = try await access.host(edit.host)
            if edit.lacksDirectory { try await host.makeDirectory(edit.path.directory, as: edit.user, deadline: .after(.seconds(20))) }
            try await edit.write(on: host)
        }
        let keepers = edits.filter { edit in edit.added.contains(where: \.isSecret) && edit.host != copy.node.name }
        if try await copy.layout().cipher != nil, !keepers.isEmpty {
            run.note(
                "the repository is encrypted: its passphrase is repo1-cipher-pass in \(list(keepers.map { "\($0.path) on \($0.host)" })), and nowhere else. "
                    + "Keep a copy in a safe place: without it the backups are lost")
        }
        return edits.map { "\($0.host): \($0.path)" }.joined(separator: ", ")
    }

    /// Adds `edit` to what the journal knows of the files, before it is made.
    private func remember(_ edit: BackRestEdit, _ run: StepRun) throws {
        var written = try run.memory.recall(WrittenConfiguration.all) ?? []
        let earlier = written.first { $0.host == edit.host && $0.path == edit.path.path }?.added ?? []
        written.removeAll { $0.host == edit.host && $0.path == edit.path.path }
        let added = edit.added.map(\.kept)
        written.append(WrittenConfiguration(host: edit.host, user: edit.user, path: edit.path.path, added: earlier + added.filter { !earlier.contains($0) }))
        try run.remember(WrittenConfiguration.all, written)
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        let written = try run.memory.recall(WrittenConfiguration.all) ?? []
        // It archives by it.
        if !written.isEmpty, let problem = try await copy.node.promoted(run.memory) {
            return .left([Problem("\(list(written.map { "\($0.host): \($0.path)" })) left as it is: \(problem.fact)", hint: problem.hint)])
        }
        let created = Set(try run.created), stanza = copy.order.stanza, needed = try hostsThatNeedIt(run.memory)
        let outcome = await takeBack(written.map { Created("file", on: $0.host, $0.path) }) { [copy] thing in
            guard let edit = written.first(where: { $0.host == thing.place && $0.path == thing.name }) else { return .absent }
            let path = try HostPath(checking: edit.path), host = try await copy.access.host(edit.host), deadline = Deadline.after(.seconds(20))
            func removeDirectory() async throws {
                // What the copy's pgBackRest has fetched ahead.
                for spool in created where spool.kind == "spool" && spool.place == edit.host {
                    try await host.remove(try HostPath(checking: spool.name), recursively: true, as: edit.user, deadline: deadline)
                }
                guard created.contains(Created("directory", on: edit.host, path.directory.path)) else { return }
                try await host.removeIfEmpty(path.directory, as: edit.user, deadline: deadline)
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
        guard case .undone = outcome else { return outcome }
        // Another node of the same host may have had its file there until now.
        for directory in created where directory.kind == "directory" {
            guard let user = written.first(where: { $0.host == directory.place })?.user else { continue }
            try await copy.access.host(directory.place).removeIfEmpty(try HostPath(checking: directory.name), as: user, deadline: .after(.seconds(20)))
        }
        return outcome
    }

    /// What is not taken back yet, by host: it still needs the host's file, and so does taking it back.
    private func hostsThatNeedIt(_ memory: Memory) throws -> [String: String] {
        var needed: [String: String] = [:]
        if memory.began(ArchiveSource.self), !memory.isUndone(ArchiveSource.self) { needed[copy.source] = "archive_command" }
        if let made = try memory.created(by: CreateStanza.name).first, !memory.isUndone(CreateStanza.self) {
            needed[made.place] = "the stanza \(copy.order.stanza)"
        }
        return needed
    }
}

/// A change to one of pgBackRest's files.
struct BackRestEdit: Sendable {
    let host: String
    let user: String
    /// As it is; `nil` where there is no file.
    let old: IniFile?
    let lacksDirectory: Bool
    let new: IniFile
    let added: [BackRestOption]

    var path: HostPath { new.path }

    /// The directory that pgBackRest makes for what it fetches ahead, where the edit names one.
    var spool: HostPath? { added.first { $0.key == "spool-path" }.flatMap { HostPath($0.value) } }

    /// Without the secrets that are added, and those that stand beside.
    var diff: String { ConfigurationEdit(path: path, before: old?.withoutSecrets, after: new.withoutSecrets).diff }

    func write(on host: any Host) async throws {
        let isPrivate = old == nil || added.contains(where: \.isSecret)
        guard try await host.write(new.bytes, to: path, replacing: old?.bytes, as: user, mode: isPrivate ? 0o600 : nil, deadline: .after(.seconds(20))) else {
            throw InstanceError.changedSinceRead(host: self.host, path: path)
        }
    }
}

extension BackRestCopy {
    /// What has to be changed in the configuration files of all roles.
    func configurationEdits() async throws -> [BackRestEdit] {
        let layout = try await layout()
        let files = layout.roles.compactMap { role in layout.options(for: role).isEmpty ? nil : layout.backRest(for: role).configuration.map { (role, $0) } }
        let there = try await onEach(files.map(\.0)) { role in
            let backRest = layout.backRest(for: role)
            guard let path = backRest.configuration else { return (file: IniFile?.none, lacksDirectory: false) }
            let host = try await self.host(role), deadline = Deadline.after(.seconds(20))
            async let directory = host.stat(path.directory, as: backRest.user, deadline: deadline)
            let file = try await host.read(path, as: backRest.user, deadline: deadline).map { try IniFile($0, path: path) }
            return (file, try await directory == nil)
        }
        return try files.compactMap { role, path in
            let old = there[role]?.file
            let (result, added) = try BackRestConfiguration(try old ?? IniFile([], path: path)).adding(layout.options(for: role), to: layout.stanza)
            guard !added.isEmpty else { return nil }
            return BackRestEdit(
                host: hostName(role), user: layout.backRest(for: role).user, old: old, lacksDirectory: there[role]?.lacksDirectory ?? false, new: result.file,
                added: added)
        }
    }
}
