public import EventLoop
public import PostgresClient
import RemoteHost

/// The number that all copies of one `initdb` share, and no other cluster has.
public struct SystemIdentifier: Sendable, Hashable, Codable, CustomStringConvertible, PostgresDecodable {
    public let number: UInt64

    public init(_ number: UInt64) { self.number = number }

    public init?(postgresText: String) {
        guard let number = UInt64(postgresText) else { return nil }
        self.number = number
    }

    public var description: String { "\(number)" }
}

/// What `pg_controldata` says of a data directory. <https://www.postgresql.org/docs/current/app-pgcontroldata.html>
public struct ControlData: Sendable, Hashable {
    public enum ClusterState: String, Sendable, Hashable {
        case startingUp = "starting up"
        case shutDown = "shut down"
        case shutDownInRecovery = "shut down in recovery"
        case shuttingDown = "shutting down"
        case inCrashRecovery = "in crash recovery"
        case inArchiveRecovery = "in archive recovery"
        case inProduction = "in production"
    }

    public let systemIdentifier: SystemIdentifier
    public let state: ClusterState
    public let catalogVersion: UInt32
    public let checkpoint: LSN
    public let checkpointRedo: LSN
    /// Of the last checkpoint: after a promotion it is behind until the next one.
    public let timeline: UInt32
    /// Recovery must reach this before the data is consistent; zero outside of recovery.
    public let minimumRecoveryEnd: LSN
    public let hasDataChecksums: Bool
    /// Of a file of the log.
    public let walSegmentBytes: UInt64
    /// `max_connections`, `wal_level` … as the primary last ran with them: a standby needs as much.
    public let settings: [String: String]

    /// Reads the program's output in English; `nil` where something is missing.
    init?(_ output: String) {
        var fields: [String: String] = [:]
        for line in lines(of: output) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[String(line[..<colon])] = String(line[line.index(after: colon)...].drop(while: \.isWhitespace))
        }
        guard let identifier = fields["Database system identifier"].flatMap(SystemIdentifier.init(postgresText:)),
            let state = fields["Database cluster state"].flatMap(ClusterState.init(rawValue:)),
            let catalogVersion = fields["Catalog version number"].flatMap({ UInt32($0) }),
            let checkpoint = fields["Latest checkpoint location"].flatMap({ LSN($0) }),
            let redo = fields["Latest checkpoint's REDO location"].flatMap({ LSN($0) }),
            let timeline = fields["Latest checkpoint's TimeLineID"].flatMap({ UInt32($0) }),
            let minimum = fields["Minimum recovery ending location"].flatMap({ LSN($0) })
        else { return nil }
        (systemIdentifier, self.state, self.catalogVersion, self.checkpoint) = (identifier, state, catalogVersion, checkpoint)
        (checkpointRedo, self.timeline, minimumRecoveryEnd) = (redo, timeline, minimum)
        hasDataChecksums = (fields["Data page checksum version"] ?? "0") != "0"
        walSegmentBytes = fields["Bytes per WAL segment"].flatMap { UInt64($0) }.flatMap { $0 > 0 ? $0 : nil } ?? 16 << 20
        settings = fields.reduce(into: [:]) { settings, field in
            // `max_connections setting`, and before 9.5 `Current max_connections setting`.
            guard field.key.hasSuffix(" setting"), let name = field.key.dropLast(8).split(separator: " ").last else { return }
            settings[String(name)] = field.value
        }
    }
}

extension Instance {
    /// - Throws: `CommandFailed` where there is no cluster or the programs are of another version; ``InstanceError/unreadable(node:host:what:)``.
    public func controlData(deadline: Deadline) async throws -> ControlData {
        let result = try await host.require(program("pg_controldata", [dataDirectory.path]), deadline: deadline)
        guard let data = ControlData(result.text) else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "what pg_controldata says of \(dataDirectory)")
        }
        return data
    }
}
