public import EventLoop
public import Instance
public import PostgresClient
import PostgresConfig
import RemoteHost
import Report
public import Run
public import Server

/// A copy as a standby of its source: how it streams, how far it is, its promotion.
public struct Standby: Sendable {
    public let node: CopiedNode
    /// How it streams.
    private let way: Way
    /// The slot that is made for it on its source; `nil` where none is.
    public let slot: SlotName?
    /// Whether a promotion makes another node of it: nothing of its source may go on there then.
    private let becomesAnotherNode: Bool
    /// The way to the archive, for what the source has recycled already.
    private let restoreCommand: @Sendable () async throws -> String?
    /// What clears the archive of what it has replayed, where that is its own.
    private let archiveCleanupCommand: @Sendable () async throws -> String?
    /// Whether it archives once it is promoted.
    private let archiving: @Sendable () async throws -> CloneConfiguration.Archiving
    /// With one that does not get on.
    public let patience: Patience

    /// How a standby streams.
    public enum Way: Sendable {
        /// To where the source is, as this role.
        case role(String)
        /// As it did when it was somebody else's.
        case asBefore(AdoptedStandby)
    }

    /// - Parameter becomesAnotherNode: whether it is promoted to be another node than its source, and not to take its place.
    public init(
        _ node: CopiedNode, by way: Way, slot: SlotName? = nil, becomesAnotherNode: Bool = false, patience: Patience = Patience(),
        archiveCleanupCommand: @escaping @Sendable () async throws -> String? = { nil }, restoreCommand: @escaping @Sendable () async throws -> String? = { nil },
        archiving: @escaping @Sendable () async throws -> CloneConfiguration.Archiving = { .off }
    ) {
        (self.node, self.way, self.patience, self.restoreCommand) = (node, way, patience, restoreCommand)
        (self.slot, self.becomesAnotherNode, self.archiveCleanupCommand, self.archiving) = (slot, becomesAnotherNode, archiveCleanupCommand, archiving)
    }

    var access: ClusterAccess { node.access }
    public var name: String { node.name }
    public var source: String { node.source }

    /// What it streams by. The password stays in the OS user's password file.
    public func primaryConninfo() async throws -> Conninfo {
        let replicationUser: String
        switch way {
        case .role(let role): replicationUser = role
        case .asBefore(let adopted): return try await adopted.conninfo()
        }
        let primary = try access.roster.entry(source), user = try access.roster.entry(name).osUser
        var conninfo = Conninfo(["host": primary.address, "port": "\(primary.port)", "user": replicationUser, "application_name": name])
        if try await access.instance(source).features.conninfoTakesPassfile {
            conninfo["passfile"] = try await Passfile.find(of: user, on: try await access.host(name), deadline: .after(.seconds(20)))
        }
        return conninfo
    }

    /// The slot that its source keeps WAL in for it; `nil` where it streams without one.
    public func slotInUse() async throws -> SlotName? {
        if case .asBefore(let adopted) = way { try await adopted.streaming().slot } else { slot }
    }

    /// Whose files it has of its own: a standby that was there before the run.
    private var keepsOwnFiles: Bool { if case .asBefore = way { true } else { false } }

    // MARK: How far it is

    /// Whether it receives WAL from its source right now, or does within `time`.
    public func isStreaming(within time: Duration = .zero) async throws -> Bool {
        try await access.server(name).isStreaming(from: try await access.server(source), as: name, within: time, deadline: .after(.seconds(10)))
    }

    /// Bytes that it has still to replay, and how far it is.
    public func replay() async throws -> (lag: Int64, state: RecoveryState) {
        try await access.server(name).replay(behind: try await access.server(source), deadline: .after(.seconds(10)))
    }

    /// Starts it, and waits until it streams, for as long as it gets on.
    public func start(_ run: StepRun) async throws {
        try await access.start(try await node.instance(), patience, run)
        try await access.awaitStreaming(name, from: source, as: name, patience, run)
    }

    /// Waits until it is less than `limit` bytes behind, for as long as it gets on.
    /// - Returns: how many it is.
    public func catchUp(to limit: Int64, _ run: StepRun) async throws -> Int64 {
        let words = UInt64(max(0, limit)).inBytes, instance = try await node.instance()
        return try await wait(
            for: "\(name) to come within \(words) of \(source)", with: patience, why: { try await obstacle(instance) }, tell: { run.note($0) }
        ) { () -> MovingLook<Int64, [LSN?]> in
            let (lag, state) = try await replay()
            run.progress("\(name) is \(UInt64(max(0, lag)).inBytes) behind \(source)")
            return lag < limit ? .found(lag) : .notYet("\(lag) bytes behind", [state.receivedLSN, state.replayedLSN])
        }
    }

    /// Why it does not get on, as its log says.
    private func obstacle(_ instance: Instance) async throws -> Obstacle? { try await instance.recoveryObstacle(deadline: .after(.seconds(20))) }

    /// Waits until it has replayed the source's WAL up to `target`.
    public func waitReplayed(to target: LSN, deadline: Deadline) async throws {
        try await access.server(name).waitReplayed(to: target, of: source, deadline: deadline)
    }

    // MARK: Promotion

    /// Makes a primary of it.
    public func promote(deadline: Deadline) async throws -> Promotion {
        try await node.instance().promote(deadline: deadline)
    }

    /// Waits until it has left recovery, and says on which timeline.
    public func promotion(deadline: Deadline) async throws -> Promotion {
        try await node.instance().promotion(deadline: deadline)
    }

    /// Waits for the end of a promotion that was asked for and not seen through: the server takes its time between the signal
    /// and the new timeline, and is no standby any more from the signal on.
    /// - Parameter tell: takes the line that says that it does not end.
    public func awaitPromotion(tell: (String) -> Void) async throws {
        let instance = try await node.instance(), server = try await access.server(name)
        try await wait(for: "a promotion of \(name) that was begun to end", with: Patience(limit: .seconds(120)), why: { try await obstacle(instance) }, tell: tell) {
            () -> MovingLook<Void, LSN?> in
            let recovery = try await server.recovery(deadline: .after(.seconds(20)))
            guard recovery.isInRecovery else { return .found(()) }
            let isAsked = try await instance.host.stat(instance.dataDirectory / "promote", as: instance.user, deadline: .after(.seconds(20))) != nil
            if isAsked { return .notYet("the signal to promote was not taken yet", recovery.replayedLSN) }
            // Without a receiver it is being promoted, or its source is gone: the end of the wait tells.
            return recovery.isReceiving ? .found(()) : .notYet("it receives no WAL, and is still in recovery", recovery.replayedLSN)
        }
    }

    // MARK: Files

    /// What its configuration files must say, computed from what the source runs with and what the copy holds. Before the
    /// restore, what the copy will hold is read from the source.
    /// - Parameter libraries: those that it must not load.
    public func configuration(without libraries: [String] = []) async throws -> CloneConfiguration {
        let deadline = Deadline.after(.seconds(30))
        let original = try await access.instance(source), copy = try await node.instance()
        async let looked = original.settings(through: try await access.server(source).connection, deadline: deadline)
        async let state = node.state()
        async let conninfo = primaryConninfo(), slot = slotInUse()
        async let command = restoreCommand(), cleanup = archiveCleanupCommand(), archiving = archiving()
        let files = try await copy.configurationFiles(deadline: deadline), isCopied = try await state > .partlyRestored
        let prefix = copy.dataDirectory.path + "/"
        // Where the copy has files of its own, or those that came with it.
        let isReadable = isCopied || !files.configFile.path.hasPrefix(prefix)
        async let tree = isReadable ? copy.settingsTree(files, deadline: deadline) : nil
        let paths = CloneConfiguration.paths(of: files), own = paths.filter { isCopied || !$0.path.hasPrefix(prefix) }
        let twins = paths.filter { !own.contains($0) }.map { (path: $0, twin: original.dataDirectory / String($0.path.dropFirst(prefix.count))) }
        async let travelling = original.host.read(twins.map(\.twin), as: original.user, deadline: deadline)
        var content = try await copy.host.read(own, as: copy.user, deadline: deadline)
        for (path, twin) in twins { content[path] = try await travelling[twin] }
        let configured = [content[files.autoConfFile], content[files.configFile]]
        let entries = try await tree?.entries ?? [], settings = try await looked
        return CloneConfiguration(
            source: settings, features: copy.features,
            target: .init(
                files: files, port: copy.port,
                listenAddresses: Self.listenAddresses(
                    at: try access.roster.entry(name).address, own: configured, source: settings.value(of: "listen_addresses")), content: content,
                lines: entries.map { SourceSettings.FileLine(file: $0.file, name: $0.name, value: $0.value, isApplied: $0.isApplied) }),
            withoutLibraries: libraries, withoutSubscriptions: becomesAnotherNode, primaryConninfo: try await conninfo, restoreCommand: try await command,
            archiveCleanupCommand: try await cleanup, primarySlotName: try await slot?.rawValue, archiving: try await archiving, keepsOwnFiles: keepsOwnFiles)
    }

    /// What a node must listen on, where its own configuration would leave it out of the others' reach (a fresh cluster of
    /// Debian listens on localhost): everything if the source does, else localhost and its address.
    static func listenAddresses(at address: String, own configuration: [[UInt8]?], source: String?) -> String? {
        func words(_ list: String?) -> [String] { (list ?? "localhost").split { $0 == "," || $0.isWhitespace }.map(String.init) }
        func reaches(_ list: [String]) -> Bool { list.contains { ["*", "0.0.0.0", address].contains($0) } }
        let own = configuration.lazy.compactMap { $0.flatMap { SettingsFile($0).value(of: "listen_addresses") } }.first
        if reaches(words(own)) { return nil }
        return words(source).contains("*") ? "*" : "localhost,\(address)"
    }

    /// The source's `pg_hba.conf` and user maps.
    public func sourceRules() async throws -> (hba: [UInt8], ident: [UInt8]?) {
        let deadline = Deadline.after(.seconds(30)), original = try await access.instance(source)
        let files = try await original.configurationFiles(through: try await access.server(source).connection, deadline: deadline)
        let contents = try await original.host.read([files.hbaFile, files.identFile], as: original.user, deadline: deadline)
        guard let hba = contents[files.hbaFile] else { throw Problem("\(source): \(files.hbaFile) is not there") }
        return (hba, contents[files.identFile])
    }

    /// Whether its server knows the way to the archive, where it has one.
    func knowsArchive() async throws -> Bool {
        // A server that has it in recovery.conf shows it to nobody, and has read it at its start.
        guard try await restoreCommand() != nil, try await node.instance().features.standbyMarker == .signalFile else { return true }
        let settings = try await access.server(name).settings(["restore_command"], deadline: .after(.seconds(10)))
        return settings["restore_command"]?.isEmpty == false
    }

    /// Whether its source has still all that the copy has to replay. Where it has replayed nothing, the server that a run before has left waiting is
    /// stopped. The archive, of which the server learns the way while it runs, is not needed then until it streams.
    func isWALAtSource(_ run: StepRun) async throws -> Bool {
        let copy = try await node.instance(), deadline = Deadline.after(.seconds(20))
        guard copy.features.isReloadable("restore_command") == true, try await restoreCommand() != nil,
            let first = try await copy.firstSegment(deadline: deadline)
        else { return false }
        try await halt(run)
        return try await access.server(source).hasSegment(first, deadline: deadline)
    }

    /// Stops the server of the copy, if it runs.
    /// - Throws: `Problem`: why it may not be stopped.
    func halt(_ run: StepRun) async throws {
        if case .left(let problems, _) = try await node.stop(run.memory), let problem = problems.first { throw problem }
    }

    /// Puts the way to the archive into its configuration, or has it know none: not even one that another file of it names.
    public func setRestoreCommand(_ isThere: Bool, _ run: StepRun) async throws {
        let copy = try await node.instance(), deadline = Deadline.after(.seconds(60))
        // Where the server reads it only at its start, it stays.
        guard let command = try await restoreCommand(), copy.features.standbyMarker == .signalFile, isThere || copy.features.isReloadable("restore_command") == true else { return }
        async let status = copy.status(deadline: deadline)
        try await node.changeAutoConf(run, deadline: deadline) { file, _ in
            file.set("restore_command", to: isThere ? command : "")
        }
        guard try await status.isRunning else { return }
        _ = try await copy.reload(through: try await access.server(name).connection, deadline: deadline)
    }
}
