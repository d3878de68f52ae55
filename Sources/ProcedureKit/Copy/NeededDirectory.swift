import EventLoop
import Instance
import PostgresConfig
import RemoteHost
import Report
import Run
import Server

/// A directory beside its data directory that a copy needs on its host.
struct NeededDirectory: Sendable, Hashable {
    enum Purpose: Sendable, Hashable, CustomStringConvertible {
        case tablespace(name: String, oid: UInt32)
        case wal
        /// The setting that names it.
        case setting(String)

        var description: String {
            switch self {
            case .tablespace(let name, _): "tablespace \(name)"
            case .wal: "WAL"
            case .setting(let name): name
            }
        }
    }

    var path: HostPath
    var purpose: Purpose

    var mode: FileMode { if case .setting("unix_socket_directories") = purpose { 0o755 } else { 0o700 } }
}

extension CopiedNode {
    /// The tablespaces of the source, and where each goes; `nil` for one inside of the data directory, which is not copied.
    func placedTablespaces() async throws -> [(space: Tablespace, target: HostPath?)] {
        let data = try await access.instance(source).dataDirectory, deadline = Deadline.after(.seconds(20))
        return try await access.server(source).tablespaces(deadline: deadline).map { space in
            guard let location = HostPath(space.location), !(location.path + "/").hasPrefix(data.path + "/") else { return (space, nil) }
            return (space, tablespaces[space.name] ?? tablespaces[space.location] ?? location)
        }
    }

    /// What a restore has to be told of them: those that go somewhere else.
    func tablespaceMap() async throws -> [UInt32: HostPath] {
        let moved = try await placedTablespaces().filter { $0.target != nil && $0.target?.path != $0.space.location }
        return Dictionary(moved.compactMap { space, target in target.map { (space.oid, $0) } }) { first, _ in first }
    }

    /// The directories for the tablespaces and the WAL, and those that the settings name which come along.
    func neededDirectories(of standby: Standby) async throws -> [NeededDirectory] {
        async let configuration = standby.configuration()
        let spaces = try await placedTablespaces().compactMap { space, target in
            target.map { NeededDirectory(path: $0, purpose: .tablespace(name: space.name, oid: space.oid)) }
        }
        let wal = walDirectory.map { [NeededDirectory(path: $0, purpose: .wal)] } ?? []
        return spaces + wal + (try await configuration.namedDirectories)
    }

    /// What stands at them on the host of the copy.
    func states(of directories: [NeededDirectory]) async throws -> [(directory: NeededDirectory, state: PathState)] {
        let instance = try await instance()
        @Sendable func states(_ directories: [NeededDirectory], without pattern: String) async throws -> [(directory: NeededDirectory, state: PathState)] {
            Array(zip(directories, try await instance.pathStates(directories.map(\.path), without: pattern, deadline: .after(.seconds(30)))))
        }
        async let spaces = states(directories.filter(\.isOfTablespace), without: "PG_*")
        async let wal = states(directories.filter { $0.purpose == .wal }, without: "*")
        async let others = states(directories.filter { !$0.isOfTablespace && $0.purpose != .wal }, without: "")
        return try await spaces + wal + others
    }

    /// Makes those that are not there. Undo takes them away again where nothing is in them.
    func makeDirectories(_ needed: [(directory: NeededDirectory, state: PathState)], _ run: StepRun) async throws {
        let instance = try await instance(), deadline = Deadline.after(.seconds(60))
        var made: Set<HostPath> = []
        for (directory, state) in needed {
            guard case .absent(let missing) = state.kind else { continue }
            // Two of them may be in one that is missing, or be the same.
            for path in missing where made.insert(path).inserted {
                try run.creating(Created("directory", on: name, path.path))
                try await instance.host.makeDirectory(path, mode: path == directory.path ? directory.mode : 0o755, as: instance.user, deadline: deadline)
            }
        }
    }
}

extension NeededDirectory {
    var isOfTablespace: Bool { if case .tablespace = purpose { true } else { false } }
}

extension CloneConfiguration {
    /// The directories that settings of the copy name and its server does not make itself.
    var namedDirectories: [NeededDirectory] {
        func named(_ setting: String, _ values: [String]) -> [NeededDirectory] {
            values.compactMap { HostPath($0) }.map { NeededDirectory(path: $0, purpose: .setting(setting)) }
        }
        let sockets = fileValue(of: "unix_socket_directories").flatMap { SettingList($0, syntax: .paths)?.names } ?? []
        let collects = ["on", "true", "yes", "1"].contains((fileValue(of: "logging_collector") ?? "off").lowercased())
        return named("unix_socket_directories", sockets)
            + named("log_directory", collects ? [fileValue(of: "log_directory") ?? ""] : [])
            + named("stats_temp_directory", features.version < .postgres(15) ? [fileValue(of: "stats_temp_directory") ?? ""] : [])
    }
}
