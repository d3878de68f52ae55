import EventLoop
public import Instance
public import PostgresClient
public import PostgresConfig
public import RemoteHost
import Report
public import Run
public import Server

/// A node that follows another one, or shall: how it streams from it.
public struct Follower: Sendable, Hashable, Codable {
    public var name: String
    public var upstream: String
    /// What its `primary_conninfo` says then. Never a secret.
    public var conninfo: Conninfo
    /// Its slot on the upstream; `nil` where it has none.
    public var slot: SlotName?

    public init(name: String, upstream: String, conninfo: Conninfo, slot: SlotName?) {
        (self.name, self.upstream, self.conninfo, self.slot) = (name, upstream, conninfo.withoutSecrets, slot)
    }

    /// The name by which the upstream knows it.
    public var applicationName: String { conninfo["application_name"] ?? name }
    /// The role that it streams as.
    public var role: String { conninfo["user"] ?? "" }

    /// For a login that shows whether it may stream.
    public var replicationConninfo: Conninfo { conninfo.asReceiver }

    private enum CodingKeys: CodingKey { case name, upstream, conninfo, slot }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            name: try values.decode(String.self, forKey: .name), upstream: try values.decode(String.self, forKey: .upstream),
            conninfo: try Conninfo(ofServer: try values.decode(String.self, forKey: .conninfo)), slot: try values.decodeIfPresent(SlotName.self, forKey: .slot))
    }

    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: CodingKeys.self)
        try values.encode(name, forKey: .name)
        try values.encode(upstream, forKey: .upstream)
        try values.encode(conninfo.connectionString, forKey: .conninfo)
        try values.encodeIfPresent(slot, forKey: .slot)
    }
}

extension Follower {
    /// How a node streams from `upstream` that streams by `own` from another one, or shall as that one does.
    public static func conninfo(like own: Conninfo, from upstream: GroupView.Node, as application: String) -> Conninfo {
        var conninfo = own.withoutSecrets
        // What belongs to the connection to the other one, and what a receiver shows of libpq's defaults.
        for keyword in ["hostaddr", "dbname", "replication", "fallback_application_name", "target_session_attrs"] { conninfo[keyword] = nil }
        conninfo["host"] = upstream.address
        conninfo["port"] = "\(upstream.port)"
        conninfo["application_name"] = application
        return conninfo
    }
}

extension SlotName {
    /// The slot of a standby, as it is called where nobody has named it: the standby's name, with `_` for what no slot may have.
    public init(ofStandby name: String) {
        let word = String(name.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") ? $0 : "_" }.prefix(63))
        self = SlotName(rawValue: word) ?? "standby"
    }
}

extension Follower {
    /// What its files must say so that whoever starts it starts a standby of its upstream.
    ///
    /// - Parameters:
    ///   - settings: what else its `postgresql.auto.conf` says; `nil` for nothing.
    ///   - restoreCommand: what fetches WAL from an archive; `nil` leaves what is there.
    ///   - targets: what its other files say that would end its recovery: overridden.
    public func edits(
        _ features: ServerFeatures, in directory: HostPath, from files: [StandbyConfiguration.File: [UInt8]], settings: KeyValuePairs<String, String?> = [:],
        restoring restoreCommand: String? = nil, overriding targets: [RecoveryTarget] = []
    ) throws -> [ConfigurationEdit] {
        var before = files
        if settings.count > 0 || !targets.isEmpty {
            var auto = SettingsFile(files[.autoConf] ?? [])
            for (name, value) in settings { if let value { auto.set(name, to: value) } else { auto.remove(name) } }
            for target in targets { auto.set(target.name, to: target.harmlessValue) }
            before[.autoConf] = auto.render()
        }
        let configuration = StandbyConfiguration(
            primaryConninfo: conninfo.connectionString, primarySlotName: features.slots.exist ? slot?.rawValue ?? "" : nil, restoreCommand: restoreCommand)
        var after = before
        for change in try configuration.changes(for: features, from: before) { after[change.file] = change.after }
        // The mark first: until the rest is there it is a standby that knows nobody.
        return StandbyConfiguration.File.allCases.filter { after[$0] != files[$0] }.map {
            ConfigurationEdit(path: directory / $0.rawValue, before: files[$0], after: after[$0])
        }
    }

    /// What of its files differs from that. Before 9.4 what else it says stands in the files that decide.
    public func edits(
        _ instance: Instance, settings: KeyValuePairs<String, String?> = [:], restoring restoreCommand: String? = nil, deadline: Deadline
    ) async throws -> [ConfigurationEdit] {
        guard instance.features.readsAutoConf || settings.count == 0 else {
            let own = try Self.edits(settings, in: try await instance.settingsTree(deadline: deadline))
            return try await own + edits(instance, restoring: restoreCommand, deadline: deadline)
        }
        let directory = instance.dataDirectory
        async let targets = instance.features.standbyMarker == .signalFile ? RecoveryTarget.underAutoConf(try await instance.settingsTree(deadline: deadline)) : []
        let content = try await instance.host.read(StandbyConfiguration.File.allCases.map { directory / $0.rawValue }, as: instance.user, deadline: deadline)
        let files = StandbyConfiguration.File.allCases.reduce(into: [StandbyConfiguration.File: [UInt8]]()) { $0[$1] = content[directory / $1.rawValue] }
        return try edits(instance.features, in: directory, from: files, settings: settings, restoring: restoreCommand, overriding: try await targets)
    }

    /// - Parameter settings: `nil` for what nothing but `ALTER SYSTEM` has written.
    static func edits(_ settings: KeyValuePairs<String, String?>, in tree: SettingsTree) throws -> [ConfigurationEdit] {
        var files: [String: (before: SettingsFile, after: SettingsFile)] = [:]
        for case (let name, let value?) in settings where (tree.deciding(name)?.value ?? "") != value {
            let edit = try tree.setting(name, to: value)
            var after = files[edit.path]?.after ?? edit.before
            after.set(name, to: value)
            files[edit.path] = (edit.before, after)
        }
        return try files.sorted { $0.key < $1.key }.map {
            ConfigurationEdit(path: try HostPath(checking: $0.key), before: $0.value.before.render(), after: $0.value.after.render())
        }
    }
}

extension ClusterAccess {
    /// Whether its files say what ``follow(_:settings:restoring:patience:_:)`` writes into them.
    public nonisolated func isConfigured(
        _ follower: Follower, settings: KeyValuePairs<String, String?> = [:], restoring restoreCommand: String? = nil
    ) async throws -> Bool {
        try await follower.edits(try await instance(follower.name), settings: settings, restoring: restoreCommand, deadline: .after(.seconds(30))).isEmpty
    }

    /// Has `follower` stream from its upstream: writes its files where they say something else, has the server read them, by a restart
    /// where a reload is not enough, starts one that does not run, and waits until it streams, for as long as it gets on.
    ///
    /// - Parameters:
    ///   - settings: what else its `postgresql.auto.conf` says; `nil` for nothing.
    ///   - restoreCommand: what fetches WAL from an archive; `nil` leaves what is there.
    public nonisolated func follow(
        _ follower: Follower, settings: KeyValuePairs<String, String?> = [:], restoring restoreCommand: String? = nil, patience: Patience = Patience(), _ run: StepRun
    ) async throws {
        let instance = try await instance(follower.name), deadline = Deadline.after(.seconds(60))
        let edits = try await follower.edits(instance, settings: settings, restoring: restoreCommand, deadline: deadline)
        for edit in edits { try await edit.apply(on: instance.host, as: instance.user, deadline: deadline) }
        // A process of the run that was killed may have written the files, and not more.
        let reloads = instance.features.isReloadable("primary_conninfo") == true && instance.features.isReloadable("primary_slot_name") == true
        if try await !instance.status(deadline: deadline).isRunning {
            await forgetServer(follower.name)
            for timeline in try await instance.putStrayTimelinesAside(following: try await self.instance(follower.upstream), deadline: deadline) {
                run.note("\(follower.name): put aside the history of timeline \(timeline), which is not \(follower.upstream)'s: of a promotion that was broken off")
            }
            try await start(instance, patience, run)
        } else if reloads {
            _ = try await instance.reload(through: try await server(follower.name).connection, deadline: deadline)
        } else if edits.isEmpty ? try await !receives(follower) : true {
            await forgetServer(follower.name)
            try await instance.restart(deadline: .after(.seconds(300)))
        }
        try await awaitStreaming(follower.name, from: follower.upstream, as: follower.applicationName, patience, run)
    }

    /// Whether what its server goes by is its upstream.
    private nonisolated func receives(_ follower: Follower) async throws -> Bool {
        let conninfo = try await server(follower.name).replication(deadline: .after(.seconds(20))).conninfo
        return conninfo?["host"] == follower.conninfo["host"] && conninfo?["port"] == follower.conninfo["port"]
    }

    /// Starts a standby, and waits until it takes connections, for as long as it gets on.
    nonisolated func start(_ instance: Instance, _ patience: Patience, _ run: StepRun) async throws {
        try await moving(
            "\(instance.node) to start", with: patience, every: .seconds(1), why: { try await instance.recoveryObstacle(deadline: .after(.seconds(20))) }, tell: { run.note($0) },
            by: {
                let progress = try await instance.startupProgress(deadline: .after(.seconds(20)))
                run.progress("\(instance.node) \(progress)")
                return (progress, progress)
            }, { _ = try await instance.start(deadline: $0) })
    }

    /// Waits until `name` streams from `upstream`, for as long as it gets on.
    nonisolated func awaitStreaming(_ name: String, from upstream: String, as application: String, _ patience: Patience, _ run: StepRun) async throws {
        let instance = try await instance(name)
        try await wait(
            for: "\(name) to stream from \(upstream)", with: patience, every: .milliseconds(10), why: { try await instance.recoveryObstacle(deadline: .after(.seconds(20))) },
            tell: { run.note($0) }
        ) { () -> MovingLook<Void, RecoveryState> in
            let standby = try await server(name)
            if try await standby.isStreaming(from: try await server(upstream), as: application, within: .milliseconds(250), deadline: .after(.seconds(10))) { return .found(()) }
            return .notYet("\(upstream) has no walsender for it", try await standby.recovery(deadline: .after(.seconds(10))))
        }
    }
}

extension Conninfo {
    /// The same for a login by which a WAL receiver's can be tried.
    public var asReceiver: Conninfo {
        var conninfo = self
        conninfo["replication"] = "true"
        // A receiver asks its password file for a database of this name.
        conninfo["dbname"] = "replication"
        return conninfo
    }
}
