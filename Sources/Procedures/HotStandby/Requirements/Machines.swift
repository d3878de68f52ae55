import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// The secondary host matches the one that it streams from: processor, C library, ICU.
struct MachinesMatch: Requirement {
    let name = "machine"
    let pair: StandbyPair
    let ground: TargetGround
    var place: String? { pair.standby.name }

    /// What of a host decides whether a data directory of another one can be used there.
    struct Machine: Sendable, Hashable {
        var architecture: String
        var cLibrary: String
        /// Of the server's program; empty without it.
        var icu: String

        static let script = """
            uname -m
            getconf GNU_LIBC_VERSION 2>/dev/null || ldd --version 2>&1 | head -n 1
            ldd "$1" 2>/dev/null | sed -n 's/.*libicuuc\\.so\\.\\([0-9.]*\\).*/\\1/p' | head -n 1
            """

        init(_ text: String) {
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            func line(_ index: Int) -> String { lines.indices.contains(index) ? lines[index] : "" }
            (architecture, cLibrary, icu) = (line(0), line(1), line(2))
        }
    }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        async let theirs = machine(try await pair.access.instance(pair.sender))
        async let sorted = pair.access.server(pair.sender).sortedDatabases(deadline: .after(.seconds(20)))
        let ours = try await machine(try await ground.instance()), other = try await theirs
        return Self.findings(ours, other, sorting: try await sorted.map { "\($0.name) (\($0.collation))" }, on: pair.standby.name, sender: pair.sender)
    }

    private func machine(_ instance: Instance) async throws -> Machine {
        Machine(try await instance.host.require(.script(Machine.script, (instance.binaries.directory / "postgres").path).as(instance.user), deadline: .after(.seconds(20))).text)
    }

    /// A difference of libraries is told and refused by nobody: the copy is right byte for byte, and a standby on a newer system is how one moves to it.
    /// - Parameter sorting: the databases that sort by a library.
    static func findings(_ ours: Machine, _ theirs: Machine, sorting: [String], on standby: String, sender: String) -> [Finding] {
        guard ours.architecture == theirs.architecture else {
            return [
                Finding(
                    "machine", on: standby, "\(ours.architecture), and \(sender) is \(theirs.architecture)",
                    .notMet(hint: "a data directory is of one architecture: take a host like that of \(sender)"))
            ]
        }
        var findings = [Finding("machine", on: standby, "\(ours.architecture), \(ours.cLibrary), as \(sender)")]
        let whose = sorting.isEmpty ? "columns with a collation of their own (no database sorts by a library)" : list(sorting)
        let hint =
            "text may sort differently there: an index on it gives wrong answers, in \(whose). Install the same version; "
            + "or read nothing there by such an index, and REINDEX after a promotion"
        if ours.cLibrary != theirs.cLibrary {
            findings = [Finding("collations", on: standby, "\(ours.cLibrary), and \(sender) has \(theirs.cLibrary)", .note(hint: hint))]
        }
        if ours.icu != theirs.icu {
            findings.append(
                Finding("collations", on: standby, "ICU \(ours.icu.isEmpty ? "none" : ours.icu), and \(sender) has \(theirs.icu.isEmpty ? "none" : theirs.icu)", .note(hint: hint)))
        }
        return findings
    }
}

/// What a copy does not bring along, and what of the source's data directory is told beforehand.
struct ConfigurationIsKnown: Requirement {
    let name = "configuration"
    let pair: StandbyPair
    let ground: TargetGround
    var place: String? { pair.sender }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let deadline = Deadline.after(.seconds(20)), original = try await pair.access.instance(pair.sender), server = try await pair.access.server(pair.sender)
        async let settings = server.settings(["data_checksums", "block_size", "wal_segment_size"] + server.features.hotStandbyMinima, deadline: deadline)
        let files = try await original.configurationFiles(through: server.connection, deadline: deadline), values = try await settings
        let standby = pair.standby.name
        var findings = [
            Finding(
                "data", on: pair.sender,
                "checksums \(values["data_checksums"] ?? "unknown"), blocks of \(values["block_size"] ?? "?") bytes; "
                    + server.features.hotStandbyMinima.map { "\($0) \(values[$0] ?? "?")" }.joined(separator: ", ") + ", which \(standby) gets, too")
        ]
        if !files.configFile.path.hasPrefix(original.dataDirectory.path + "/") {
            findings.append(
                Finding(
                    name, on: pair.sender, "\(files.configFile) is outside of the data directory, and not in the copy",
                    .note(hint: "what it sets goes into postgresql.auto.conf of \(standby); the rules of pg_hba.conf are taken over")))
        }
        for (node, instance) in [(pair.sender, original), (standby, try await ground.instance())] {
            let link = try await instance.host.stat(instance.dataDirectory, followingLinks: false, as: instance.user, deadline: deadline)?.kind == .symbolicLink
            if link { findings.append(Finding(name, on: node, "the data directory \(instance.dataDirectory) is a link", .note(hint: "what it leads to is the data directory"))) }
        }
        return findings
    }
}

/// The archive's directory is there, or can be made.
struct ArchiveHasPlace: Requirement {
    let name = "archive"
    let step: SetUpArchive
    let requireUp: @Sendable () async throws -> Void
    var place: String? { step.node }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await requireUp()
        return switch try await step.inspect(memory) {
        case .done(let seen): [Finding(name, on: place, "\(step.directory): \(seen)")]
        case .needed(let changes): [Finding(name, on: place, "will be made: \(list(changes.map(\.text)))")]
        case .blocked(let problems): problems.map { Finding(notMet: name, on: place, $0) }
        }
    }
}

/// Where the primary archives by a command of somebody else's, the standby does so after a promotion.
struct StandbyArchivesLater: Requirement {
    let name = "archiving"
    let pair: StandbyPair
    let ground: TargetGround
    var place: String? { pair.standby.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let settings = try await pair.access.server(pair.sender).settings(["archive_mode", "archive_command", "archive_library"], deadline: .after(.seconds(20)))
        guard settings["archive_mode"] != "off" else { return [Finding(name, on: place, "off, as on \(pair.sender)")] }
        let library = settings["archive_library"] ?? "", way = library.isEmpty ? "'\(Redaction.redacted(settings["archive_command"] ?? ""))'" : library
        return [Finding(name, on: place, "once it is promoted it archives as \(pair.sender) does: \(way)", .note(hint: "see that this works on \(pair.standby.name)"))]
    }
}

/// `pg_basebackup` is there, and can do what is asked of it.
struct BaseBackupIsUsable: Requirement {
    let name = "pg_basebackup"
    let pair: StandbyPair
    let ground: TargetGround
    let compresses: Bool
    var place: String? { pair.standby.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        let instance = try await ground.instance(), deadline = Deadline.after(.seconds(20)), node = pair.standby.name, known = instance.features.baseBackup
        guard try await instance.has("pg_basebackup", deadline: deadline) else {
            return [Finding(name, on: node, "is not in \(instance.binaries.directory)", .notMet(hint: "install the client programs of PostgreSQL \(instance.version)"))]
        }
        if compresses, !known.compressesOnServer {
            return [Finding(name, on: node, "PostgreSQL \(instance.version) cannot compress what it sends", .notMet(hint: "take `copy.compression` out"))]
        }
        if pair.standby.node.walDirectory != nil, known.walDirectoryOption == nil {
            return [Finding(name, on: node, "PostgreSQL \(instance.version) cannot put the WAL elsewhere", .notMet(hint: "take `standby.wal_directory` out"))]
        }
        guard known.hasManifest, try await !instance.has("pg_verifybackup", deadline: deadline) else { return [Finding(name, on: node, "is there")] }
        return [Finding(name, on: node, "is there, and pg_verifybackup is not", .note(hint: "the copy is not compared with the list of its files"))]
    }
}
