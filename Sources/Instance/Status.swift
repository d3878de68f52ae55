public import EventLoop
public import PostgresConfig
import RemoteHost

/// What `postmaster.pid` says. <https://www.postgresql.org/docs/current/storage-file-layout.html>
public struct PostmasterPID: Sendable, Hashable {
    public enum Phase: String, Sendable, Hashable {
        case starting, stopping, ready
        /// Recovery goes on, and connections are not allowed (`hot_standby = off`).
        case standby
    }

    public let pid: Int32
    public let dataDirectory: String
    /// Seconds since 1970.
    public let startTime: Int64
    public let port: UInt16?
    public let socketDirectory: String?
    public let listenAddress: String?
    /// Since version 10.
    public let phase: Phase?

    /// `nil` for a file that is not one: cut short, or of a server that works in single-user mode.
    public init?(_ lines: [String]) {
        guard lines.count >= 3, let pid = Int32(lines[0]), pid > 0, let startTime = Int64(lines[2]) else { return nil }
        func text(_ index: Int) -> String? {
            guard lines.indices.contains(index), !lines[index].isEmpty else { return nil }
            return lines[index]
        }
        self.pid = pid
        dataDirectory = lines[1]
        self.startTime = startTime
        port = text(3).flatMap { UInt16($0) }
        socketDirectory = text(4)
        listenAddress = text(5)
        phase = text(7).flatMap { Phase(rawValue: String($0.prefix { !$0.isWhitespace })) }
    }
}

/// Whether an instance runs, and what there is if it does not.
public enum InstanceStatus: Sendable, Hashable {
    case running(PostmasterPID)
    /// A cluster without a server. `stalePID` is the dead process of a `postmaster.pid` left behind.
    case stopped(MajorVersion, stalePID: Int32?)
    case notACluster(DataDirectoryState)

    public var isRunning: Bool { postmaster != nil }

    /// The running server; `nil` where none runs.
    public var postmaster: PostmasterPID? { if case .running(let postmaster) = self { postmaster } else { nil } }

    /// The state of the directory, then of the process that `postmaster.pid` names.
    static let script =
        DataDirectoryState.script + """

            [ -f "$1/PG_VERSION" ] && [ -f "$1/postmaster.pid" ] || exit 0
            cd -- "$1" || exit 1
            # At once: a server that ends removes it.
            file=$(cat postmaster.pid 2>/dev/null) || exit 0
            pwd -P
            readlink "/proc/$(printf '%s\\n' "$file" | head -n 1)/cwd" || echo
            printf '%s\\n' "$file"
            """

    /// What ``script`` wrote; `nil` for anything else.
    static func parse(_ output: String) -> InstanceStatus? {
        let all = lines(of: output)
        guard let state = DataDirectoryState.parse(all) else { return nil }
        guard case .cluster(let version) = state else { return .notACluster(state) }
        // The process must live, and in this directory: numbers are used again, and data directories copied.
        guard all.count > 4 else { return .stopped(version, stalePID: nil) }
        guard let file = PostmasterPID(Array(all[4...])), all[2] == all[3] else { return .stopped(version, stalePID: Int32(all[4])) }
        return .running(file)
    }
}

extension Instance {
    public func status(deadline: Deadline) async throws -> InstanceStatus {
        let result = try await host.require(.script(InstanceStatus.script, dataDirectory.path).as(user), deadline: deadline)
        guard let status = InstanceStatus.parse(result.text) else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "the state of \(dataDirectory)")
        }
        return status
    }

    /// The running postmaster.
    /// - Throws: ``InstanceError/notRunning(node:host:dataDirectory:)``, ``InstanceError/noCluster(node:host:dataDirectory:state:)``.
    public func postmaster(deadline: Deadline) async throws -> PostmasterPID {
        switch try await status(deadline: deadline) {
        case .running(let postmaster): return postmaster
        case .stopped: throw InstanceError.notRunning(node: node, host: host.name, dataDirectory: dataDirectory)
        case .notACluster(let state):
            throw InstanceError.noCluster(node: node, host: host.name, dataDirectory: dataDirectory, state: state)
        }
    }
}
