import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Server
import Spock

/// What was read of a node, whatever its cluster is: the findings are made of it.
struct NodeFacts: Sendable {
    var node: String
    var isStandby = false
    var version: MajorVersion = .postgres(15)
    var dataDirectory: String
    /// Files that make a standby, or a recovery, of it.
    var marks: Set<StandbyConfiguration.File> = []
    /// Settings that end a recovery, and have a value with which they do.
    var targets: [Target] = []
    var rules: [Rule] = []
    /// Whether `track_commit_timestamp` is on at the next start, where the files say something else than what is in force.
    var tracksCommitsAtStart: Bool?
    var slots: [ReplicationSlot] = []
    /// The slot on its upstream that it reads, as a standby.
    var upstreamSlot: String?
    var wal = WALRoom()
    /// Seconds by which its host's clock is ahead of this machine's.
    var clock: Double?

    var features: ServerFeatures { ServerFeatures(version) }

    struct Target: Sendable, Hashable {
        var name: String
        var value: String
        var file: String?
        var line: Int?
    }

    /// A line of its `pg_hba.conf`.
    struct Rule: Sendable {
        var file: String
        var line: Int
        var text: String
        var rule: HBARule
    }

    /// How long WAL can be kept there.
    struct WALRoom: Sendable, Hashable {
        /// Bytes that are free where it is.
        var free: UInt64 = .max
        /// Where that is mounted.
        var mount = "/"
        /// Bytes a second that are written at present; `nil` where it was not measured.
        var rate: Double?
        /// `max_slot_wal_keep_size` in bytes; `nil` for no limit.
        var limit: Int64?
    }
}

extension NodeFacts {
    /// Reads them: its server, its files and its host at once.
    /// - Throws: what reaching and asking it throws.
    init(of node: String, _ access: ClusterAccess, deadline: Deadline) async throws {
        let server = try await access.server(node, deadline: deadline), instance = try await access.instance(node, deadline: deadline)
        let directory = instance.dataDirectory, files = StandbyConfiguration.File.allCases.map { directory / $0.rawValue }
        async let asked = server.settings(["max_slot_wal_keep_size", "primary_slot_name"], deadline: deadline)
        async let slots = server.slots(deadline: deadline), recovery = server.recovery(deadline: deadline)
        async let room = instance.pathStates([directory / instance.features.walDirectory], deadline: deadline)
        async let content = instance.host.read(files, as: instance.user, deadline: deadline)
        let configuration = try await instance.configuration(through: server.connection, deadline: deadline)
        async let rules = instance.accessRules(configuration, through: server.connection, deadline: deadline)
        let settings = try await asked, place = try await room.first, there = try await content
        self.init(node: node, isStandby: try await recovery.isInRecovery, version: instance.version, dataDirectory: directory.path)
        marks = Set(StandbyConfiguration.File.allCases.filter { there[directory / $0.rawValue] != nil })
        targets = Self.targets(configuration)
        tracksCommitsAtStart = Self.atStart("track_commit_timestamp", configuration, version)
        self.rules = try await rules.rules.entries.compactMap { entry in entry.reading.rule.map { Rule(file: entry.file, line: entry.line, text: entry.text, rule: $0) } }
        self.slots = try await slots
        upstreamSlot = settings["primary_slot_name"].flatMap { $0.isEmpty ? nil : $0 }
        // Megabytes; -1 for no limit.
        let limit = settings["max_slot_wal_keep_size"].flatMap(Int64.init) ?? -1
        wal = WALRoom(free: place?.free ?? .max, mount: place?.mount ?? "", limit: limit < 0 ? nil : limit * 1_048_576)
        // By itself: what else goes on would make the answer late.
        clock = try await instance.host.clockOffset(as: instance.user, deadline: deadline)
    }
}

extension NodeFacts {
    private static func atStart(_ name: String, _ configuration: InstanceConfiguration, _ version: MajorVersion) -> Bool? {
        let report = configuration.report(name), written: String?
        switch report.state {
        case .waitsForRestart(let text), .waitsForReload(let text): written = text
        case .inForce, .unknown: return nil
        }
        guard let value = written ?? configuration.inForce?.row(name)?.defaultValue else { return nil }
        return SettingValue(value, kind: SettingKind(.bool, version: version)) == .bool(true)
    }

    /// In force, or in the files: those wait for the next start.
    private static func targets(_ configuration: InstanceConfiguration) -> [Target] {
        let inForce = (configuration.inForce?.rows ?? []).filter { StandbyConfiguration.endsRecovery($0.name) }
        let names = Set(inForce.map(\.name) + configuration.namesSet.filter(StandbyConfiguration.endsRecovery)).sorted()
        return names.compactMap { name in
            let written = configuration.tree.deciding(name), value = written?.value ?? inForce.first { isSameSetting($0.name, name) }?.value ?? ""
            guard value != StandbyConfiguration.harmlessValue(of: name) else { return nil }
            return Target(name: name, value: value, file: written?.file, line: written?.line)
        }
    }
}

/// Everything that was read.
struct DoctorFacts: Sendable {
    /// Of those that could be looked at, in the order of the playbook.
    var nodes: [NodeFacts]
    /// By what the nodes of the playbook reach each other.
    var addresses: [String] = []
    /// Coordinators of Postgres-XC reach datanodes without a password.
    var hasDatanodes = false
    /// Of the members of a Spock cluster; `nil` where it is none.
    var mesh: MeshFacts?
    /// Those of the playbook that could not be looked at; in a Spock cluster, as its nodes.
    var unlooked: [String] = []
    /// The one that is to join, or has left, where no member knows it.
    var unsettled: String?

    subscript(node: String) -> NodeFacts? { nodes.first { $0.node == node } }

    /// The procedure that takes a node out.
    var removal: String { mesh != nil ? "remove-spock-node" : hasDatanodes ? "datanode-drop-slave" : "drop-standby" }

    /// Those that only members know.
    var unnamed: [String] { (mesh?.view.unvisited ?? []).map(\.rawValue).filter { !unlooked.contains($0) } }
}
