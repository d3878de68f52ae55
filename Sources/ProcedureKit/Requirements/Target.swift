import EventLoop
public import Instance
public import PgBackRest
import PostgresConfig
import RemoteHost
import Report
public import Run
import Server

/// What the requirements of the place of a copy rest on: its host was reached, its source is up, its instance was found.
public actor TargetGround {
    private let source: SourceGround
    private let survey: Survey
    private let isMade: @Sendable () async throws -> Bool
    /// Looked for once: what one requirement has not found is not found by another, who would tell nothing of it.
    private var finding: Task<Instance, any Error>?

    /// - Parameter isMade: whether the copy is there already, by other hands.
    public init(_ source: SourceGround, survey: Survey, isMade: @escaping @Sendable () async throws -> Bool = { false }) {
        (self.source, self.survey, self.isMade) = (source, survey, isMade)
    }

    nonisolated var copy: CopiedNode { source.node }
    nonisolated var node: String { copy.name }

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

    /// Whether a copy has yet to be begun: what is in its place by then is its own.
    public func isToBeCopied(_ memory: Memory) async throws -> Bool {
        if memory.beganCopy { return false }
        _ = try await instance()
        return try await !isMade()
    }

    /// - Throws: ``NotLooked``, what finding it throws.
    fileprivate func find() async throws -> Instance {
        try await survey.require([node])
        try await source.isUp()
        let finding = finding ?? Task { [copy] in try await copy.instance() }
        self.finding = finding
        return try await finding.value
    }
}

/// The copy's programs are of the source's major version, and built as its data directory wants it.
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
        let deadline = Deadline.after(.seconds(30)), server = try await ground.copy.access.server(source)
        async let built = instance.buildSettings(deadline: deadline)
        let differing = Self.differences(try await built, try await server.settings(server.features.buildSettings, deadline: deadline))
        guard differing.isEmpty else {
            return [
                Finding(
                    name, on: ground.node, "\(found) are built with \(list(differing.map { "\($0.name) = \($0.ours)" })); \(source) has \(list(differing.map(\.theirs)))",
                    .notMet(hint: "install programs that are built as those of \(source): others do not start with its data directory"))
            ]
        }
        return [Finding(name, on: ground.node, found, ours == theirs ? .met : .note(hint: "\(source) has \(theirs): the same minor version is better"))]
    }
}

extension ProgramsMatch {
    /// What the programs were built with, and the source's data directory is not; what one of them does not say is left out.
    static func differences(_ ours: [String: String], _ theirs: [String: String]) -> [(name: String, ours: String, theirs: String)] {
        ours.sorted { $0.key < $1.key }.compactMap { name, value in theirs[name].flatMap { $0 == value ? nil : (name, value, $0) } }
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
        guard try await ground.isToBeCopied(memory) else { return [] }
        let instance = try await ground.instance(), deadline = Deadline.after(.seconds(60)), port = instance.port
        var findings: [Finding] = []
        switch try await instance.dataDirectoryState(deadline: deadline) {
        case .absent, .empty: findings.append(Finding(name, on: ground.node, "\(instance.dataDirectory) is free"))
        case let other: findings.append(try await occupied(instance, other, deadline: deadline))
        }
        let owner = ground.copy.existing == .refused ? nil : try await instance.status(deadline: deadline).postmaster
        if owner?.port == port { return findings }
        findings.append(
            try await !instance.host.isListening(onPort: port, deadline: deadline)
                ? Finding("port", on: ground.node, "\(port) is free")
                : Finding("port", on: ground.node, "somebody listens on \(port) already", .notMet(hint: "stop it, or give the new node another port")))
        return findings
    }
}

extension PlaceIsFree {
    /// What is said of a data directory that holds something.
    private func occupied(_ instance: Instance, _ state: DataDirectoryState, deadline: Deadline) async throws -> Finding {
        let directory = instance.dataDirectory, node = ground.node
        let running = try await instance.status(deadline: deadline).isRunning ? ", and its server, which runs, is stopped for it" : ""
        switch ground.copy.existing {
        case .refused, .adopted: return Finding(name, on: node, "\(directory): \(state)", .notMet(hint: "name an empty directory, or move away what is there"))
        case .movedAside:
            let link = try await instance.host.stat(directory, followingLinks: false, as: instance.user, deadline: deadline)?.kind == .symbolicLink
            guard !link else {
                return Finding(name, on: node, "\(directory) is a link: it can be moved aside, and what it leads to cannot", .notMet(hint: "name the directory that it leads to"))
            }
            return Finding(name, on: node, "\(directory): \(state); it is moved aside\(running)", .note(hint: nil))
        case .removed: return Finding(name, on: node, "\(directory): \(state); it is removed\(running)", .note(hint: "nothing brings it back"))
        case .overwritten:
            guard case .cluster = state else { return Finding(name, on: node, "\(directory): \(state)", .notMet(hint: "name a data directory that the copy may overwrite")) }
            return Finding(name, on: node, "\(directory): \(state); what differs in it is overwritten\(running)", .note(hint: "an undo cannot bring that back"))
        }
    }
}

/// There is room for the copy, on each file system that takes a part of it.
public struct DiskHasRoom: Requirement {
    public let name = "disk"
    private let ground: TargetGround

    public init(_ ground: TargetGround) { self.ground = ground }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let instance = try await ground.instance(), copy = ground.copy, original = try await copy.access.instance(copy.source)
        let usage = try await original.usage(deadline: .after(.seconds(600)))
        // A link to the WAL becomes a directory, where it has no place of its own here.
        var parts: [(path: HostPath, bytes: UInt64)] = [(instance.dataDirectory, UInt64(max(0, usage.dataDirectoryBytes)))]
        let spaces = try await copy.placedTablespaces()
        for other in usage.elsewhere {
            let isWAL = other.link == original.features.walDirectory
            let target = spaces.first { "pg_tblspc/\($0.space.oid)" == other.link }?.target ?? (isWAL ? copy.walDirectory : nil) ?? instance.dataDirectory
            parts.append((target, UInt64(max(0, other.bytes))))
        }
        let states = try await instance.pathStates(parts.map(\.path), deadline: .after(.seconds(60)))
        let freed = try await freed(instance)
        let mounts = Dictionary(grouping: zip(parts, states), by: \.1.mount)
        return mounts.values.compactMap { parts -> Finding? in
            guard let first = parts.first else { return nil }
            let needed = parts.reduce(0) { $0 + $1.0.bytes }, free = first.1.free + freed[first.1.mount, default: 0]
            let places = list(Set(parts.map(\.0.path.path)).sorted())
            if copy.existing == .overwritten {
                return Finding(
                    name, on: ground.node, "\(free.inBytes) free in \(places), the source has \(needed.inBytes)", .note(hint: "what is there already is overwritten: it needs less")
                )
            }
            // A tenth on top, for the WAL of the time of the copy.
            return Finding(
                name, on: ground.node, "\(free.inBytes) free in \(places), the source has \(needed.inBytes)" + (mounts.count > 1 ? " of that" : ""),
                free >= needed + needed / 10 ? .met : .notMet(hint: "make room: the size of the source and a tenth more for WAL"))
        }.sorted { $0.found < $1.found }
    }

    /// What is removed before, in bytes on each file system.
    private func freed(_ instance: Instance) async throws -> [String: UInt64] {
        guard ground.copy.existing == .removed else { return [:] }
        let usage = try await instance.usage(deadline: .after(.seconds(600)))
        let parts = [(instance.dataDirectory, usage.dataDirectoryBytes)] + usage.elsewhere.map { ($0.path, $0.bytes) }
        let states = try await instance.pathStates(parts.map(\.0), deadline: .after(.seconds(60)))
        return zip(parts, states).reduce(into: [:]) { $0[$1.1.mount, default: 0] += UInt64(max(0, $1.0.1)) }
    }
}

/// What configuration the copy finds at its place does not archive into the source's stanza.
public struct CopyDoesNotArchive: Requirement {
    public let name = "archiving"
    private let ground: TargetGround
    private let stanza: StanzaName

    public init(_ ground: TargetGround, stanza: StanzaName) { (self.ground, self.stanza) = (ground, stanza) }
    public var place: String? { ground.node }

    public func look(_ memory: Memory) async throws -> [Finding] {
        guard try await ground.isToBeCopied(memory) else { return [] }
        let instance = try await ground.instance(), deadline = Deadline.after(.seconds(60))
        let files = try await instance.configurationFiles(deadline: deadline)
        guard let content = try await instance.host.read(files.configFile, as: instance.user, deadline: deadline) else { return [] }
        let settings = SettingsFile(content)
        let found = BackRestLayout.findArchiving(
            ofCopy: ground.node, of: stanza, mode: settings.value(of: "archive_mode") ?? "off", command: settings.value(of: "archive_command") ?? "")
        return found.map { Finding(notMet: name, on: ground.node, $0.problem) }
    }
}
