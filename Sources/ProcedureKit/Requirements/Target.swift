import EventLoop
public import Instance
import PgBackRest
import PostgresConfig
import RemoteHost
import Report
public import Run
import Server

/// What the requirements of the place of a copy rest on: its host was reached, its source is up, its instance was found.
public actor TargetGround {
    private let source: SourceGround
    private let survey: Survey
    /// Looked for once: what one requirement has not found is not found by another, who would tell nothing of it.
    private var finding: Task<Instance, any Error>?

    public init(_ source: SourceGround, survey: Survey) { (self.source, self.survey) = (source, survey) }

    nonisolated var copy: BackRestCopy { source.copy }
    nonisolated var node: String { copy.node.name }

    /// The instance, for what rests on it: why it cannot be found is told by ``ProgramsMatch``, the others have not looked.
    /// - Throws: ``NotLooked``, `CancellationError`.
    public func instance() async throws -> Instance {
        do {
            return try await find()
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw NotLooked()
        }
    }

    /// - Throws: ``NotLooked``, what finding it throws.
    fileprivate func find() async throws -> Instance {
        try await survey.require([node])
        try await source.isUp()
        let finding = finding ?? Task { [copy] in try await copy.node.instance() }
        self.finding = finding
        return try await finding.value
    }
}

/// The copy's programs are of the source's major version.
public struct ProgramsMatch: Requirement {
    public let name = "programs"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        let instance = try await ground.find(), original = try await ground.copy.access.instance(ground.copy.source), source = ground.copy.source
        let ours = instance.binaries.versions["postgres"] ?? "?", theirs = original.binaries.versions["postgres"] ?? "?"
        let found = "PostgreSQL \(ours) in \(instance.binaries.directory)"
        if instance.binaries.version != original.binaries.version {
            return [
                Finding(name, on: ground.node, "\(found); \(source) has \(theirs)", .notMet(hint: "install the major version of \(source), or correct bin_directory"))
            ]
        }
        return [Finding(name, on: ground.node, found, ours == theirs ? .met : .note(hint: "\(source) has \(theirs): the same minor version is better"))]
    }
}

/// The libraries that the source preloads are there for the copy.
public struct PreloadedLibrariesAreThere: Requirement {
    public let name = "library"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        let instance = try await ground.instance(), source = ground.copy.source, original = try await ground.copy.access.instance(source)
        let server = try await ground.copy.access.server(source), deadline = Deadline.after(.seconds(60))
        guard let place = try await server.build(["PKGLIBDIR"], deadline: deadline)["PKGLIBDIR"],
            let list = LibraryList(try await server.settings(["shared_preload_libraries"], deadline: deadline)["shared_preload_libraries"] ?? "")
        else { return [] }
        let libraries = original.relocated(place, to: instance)
        let files = list.names.map { ($0.hasPrefix("/") ? $0 : libraries + "/" + $0) + ($0.hasSuffix(".so") ? "" : ".so") }
        return try await instance.unreadable(files, deadline: deadline).map {
            Finding(name, on: ground.node, "\($0) is not there, and \(source) preloads it", .notMet(hint: "install the package that brings it"))
        }
    }
}

/// Nothing is where the copy goes, unless a run has put it there.
public struct PlaceIsFree: Requirement {
    public let name = "data directory"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(RestoreBackup.self) else { return [] }
        let instance = try await ground.instance(), deadline = Deadline.after(.seconds(60)), port = instance.port
        var findings: [Finding] = []
        switch try await instance.dataDirectoryState(deadline: deadline) {
        case .absent, .empty: findings.append(Finding(name, on: ground.node, "\(instance.dataDirectory) is free"))
        case let other:
            findings.append(
                Finding(name, on: ground.node, "\(instance.dataDirectory): \(other)", .notMet(hint: "name an empty directory, or move away what is there")))
        }
        findings.append(
            try await !instance.host.isListening(onPort: port, deadline: deadline)
                ? Finding("port", on: ground.node, "\(port) is free")
                : Finding("port", on: ground.node, "somebody listens on \(port) already", .notMet(hint: "stop it, or give the new node another port")))
        return findings
    }
}

/// There is room for the copy, on each file system that takes a part of it.
public struct DiskHasRoom: Requirement {
    public let name = "disk"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(RestoreBackup.self) else { return [] }
        let instance = try await ground.instance(), copy = ground.copy, original = try await copy.access.instance(copy.source)
        let usage = try await original.usage(deadline: .after(.seconds(600)))
        // A link to the WAL becomes a directory.
        var parts: [(path: HostPath, bytes: UInt64)] = [(instance.dataDirectory, UInt64(max(0, usage.dataDirectoryBytes)))]
        let spaces = try await copy.tablespaces()
        for other in usage.elsewhere {
            let target = spaces.first { "pg_tblspc/\($0.space.oid)" == other.link }?.target ?? instance.dataDirectory
            parts.append((target, UInt64(max(0, other.bytes))))
        }
        let states = try await instance.pathStates(parts.map(\.path), deadline: .after(.seconds(60)))
        let mounts = Dictionary(grouping: zip(parts, states), by: \.1.mount)
        return mounts.values.compactMap { parts -> Finding? in
            guard let first = parts.first else { return nil }
            let needed = parts.reduce(0) { $0 + $1.0.bytes }, free = first.1.free
            let places = list(Set(parts.map(\.0.path.path)).sorted())
            // A tenth on top, for the WAL of the time of the copy.
            return Finding(
                name, on: ground.node, "\(free.inBytes) free in \(places), the source has \(needed.inBytes)" + (mounts.count > 1 ? " of that" : ""),
                free >= needed + needed / 10 ? .met : .notMet(hint: "make room: the size of the source and a tenth more for WAL"))
        }.sorted { $0.found < $1.found }
    }
}

/// What configuration the copy finds at its place does not archive into the source's stanza.
public struct CopyDoesNotArchive: Requirement {
    public let name = "archiving"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.began(RestoreBackup.self) else { return [] }
        let instance = try await ground.instance(), deadline = Deadline.after(.seconds(60))
        let files = try await instance.configurationFiles(deadline: deadline)
        guard let content = try await instance.host.read(files.configFile, as: instance.user, deadline: deadline) else { return [] }
        let settings = SettingsFile(content)
        let found = BackRestLayout.findArchiving(
            ofCopy: ground.node, of: ground.copy.order.stanza, mode: settings.value(of: "archive_mode") ?? "off", command: settings.value(of: "archive_command") ?? "")
        return found.map { Finding(notMet: name, on: ground.node, $0.problem) }
    }
}
