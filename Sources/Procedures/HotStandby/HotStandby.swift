import EventLoop
import Instance
import PgBackRest
public import Playbook
import PostgresConfig
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Server

/// Makes a streaming standby of a running server: "Setting up a hot standby", in its order and with its words.
///
/// What the document does first on the primary (role, archive, rule, settings, restart) is done where it is missing; then the secondary's
/// files are copied, by `pg_basebackup` or from a pgBackRest repository, and it is configured, started and verified. What the document does not have is a
/// slot, which keeps the WAL from before the copy on.
public struct HotStandby: Procedure {
    private let playbook: Playbook.HotStandby
    private let text: RunOrigin
    private let access: ClusterAccess

    private let lock: ClusterLock
    private let pair: StandbyPair
    private let standby: Standby
    private let node: CopiedNode
    /// Where the copy goes through a repository.
    private let backRest: BackRestCopy?
    /// The stanza that the primary archives into, where the copy does not come from there.
    private let archiver: BackRestCopy?
    private let archive: ArchiveDirectory?
    private let sender: ConfiguredNode
    /// `nil` where there is no slot.
    private let fuse: SlotFuse?

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.HotStandby, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        (self.playbook, text) = (playbook, origin)
        let access = ClusterAccess(try Roster(playbook), ways), made = playbook.standby
        let existing: CopiedNode.Existing =
            switch made.existing {
            case .refuse: .refused
            case .moveAside: .movedAside
            case .delta: .overwritten
            }
        let node = CopiedNode(
            made.node.name, of: playbook.upstream, access, section: "standby", tablespaces: try made.tablespaces.mapValues(HostPath.init(checking:)),
            walDirectory: try made.walDirectory.map(HostPath.init(checking:)), existing: existing, staysStandby: true, purgesData: undo.purgesData)
        let archive: ArchiveDirectory? =
            if case .directory(let directory) = playbook.archive { try ArchiveDirectory(directory) } else { nil }
        let patience: Patience
        switch playbook.copy.method {
        case .baseBackup(let copy): (backRest, patience) = (nil, Patience(limit: copy.stallLimit))
        case .pgBackRest(let copy): (backRest, patience) = (BackRestCopy(try BackRestCopy.Order(copy), to: node, turnsArchivingOn: true), Patience(limit: copy.stallLimit))
        }
        if case .stanza(let stanza) = playbook.archive { archiver = BackRestCopy(try BackRestCopy.Order(stanza), to: node) } else { archiver = nil }
        let slot: SlotName? =
            switch playbook.replication.slot {
            case .none: nil
            case .ofStandby: SlotName(ofStandby: made.node.name)
            case .named(let name): SlotName(rawValue: name)
            }
        standby = Standby(
            node, by: .role(playbook.replication.user), slot: slot, patience: patience, archiveCleanupCommand: { archive?.cleanupCommand },
            restoreCommand: { [stanza = backRest ?? archiver] in if let stanza { try await stanza.restoreCommand() } else { archive?.restoreCommand } },
            archiving: { [stanza = backRest ?? archiver] in .afterPromotion(command: try await stanza?.archiveCommand() ?? archive?.ofStandby.archiveCommand) })
        pair = StandbyPair(
            access: access, primary: playbook.primary, standby: standby, role: playbook.replication.user, connectionLimit: playbook.replication.connectionLimit,
            asksPassword: playbook.replication.asksPassword, archiveCommand: archive?.archiveCommand, restarts: playbook.restarts, copiesByStream: backRest == nil)
        (self.access, self.node, self.archive) = (access, node, archive)
        fuse = slot.map { SlotFuse($0, on: playbook.upstream, for: made.node.name, keepingFree: UInt64(max(0, playbook.replication.keepsFree.bytes)), access) }
        sender = try ConfiguredNode(playbook.upstream, of: access)
        lock = ClusterLock(playbook.cluster.name, on: playbook.primary, of: access, saying: "works on cluster \(playbook.cluster.name)")
    }

    public static let name = "hot-standby"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    /// The headings of the document have no numbers.
    public var steps: [ListedStep] { (primarySteps + copySteps + standbySteps).map { ListedStep("", $0) } }

    private var repositoryHost: String? { (backRest ?? archiver)?.repositoryHost }

    private var primarySteps: [any Step] {
        var steps: [any Step] = [CreateReplicationRole(pair: pair)]
        if let archive {
            steps += [SetUpArchive(archive.path, on: pair.primary, for: node), SetUpArchive(archive.ofStandby.path, on: node.name, for: node, isLater: true)]
        }
        return steps + [
            AllowStandby(pair, on: sender), ConfigurePrimary(pair: pair, node: sender), RestartPrimary(pair: pair, node: sender, lock: lock),
        ]
    }

    private var copySteps: [any Step] {
        var steps: [any Step] = [StopService(pair: pair)]
        if let slot = standby.slot { steps.append(CreateStandbySlot(slot, of: standby, keepingFree: fuse?.keepsFree)) }
        if let archiver { steps.append(ConfigureBackRest(copy: archiver)) }
        switch playbook.copy.method {
        case .baseBackup(let copy): steps.append(watched(CopyFiles(CopyFiles.Order(copy), standby: standby, hasBeenMade: pair.streams)))
        case .pgBackRest:
            guard let backRest else { break }
            steps += [
                ConfigureBackRest(copy: backRest), ArchiveSource(copy: backRest), CreateStanza(copy: backRest), watched(TakeBackup(copy: backRest)),
                watched(RestoreBackup(copy: backRest, standby: standby, hasBeenMade: pair.streams)),
            ]
        }
        return steps
    }

    private var standbySteps: [any Step] {
        [
            SetUpStreaming(
                standby: standby, saying: "place database in hot standby mode, set up recovery configuration file, configure for recovery", rules: rules, userMaps: userMaps),
            watched(StartStandby(standby: standby)), watched(VerifyReplication(pair: pair)),
        ]
    }

    /// While `step` takes its time, what the slot keeps does not fill the disk.
    private func watched<Inner: Step>(_ step: Inner) -> WatchingSlot<Inner, SlotFuse> { WatchingSlot(step) { [fuse] _ in fuse } }

    /// Those of the node that it streams from: who is let in there is let in here.
    @Sendable private func rules() async throws -> HBAFile {
        HBAFile(try await standby.sourceRules().hba, for: HBAServer(try await access.instance(standby.source).version))
    }

    @Sendable private func userMaps() async throws -> [UInt8]? { try await standby.sourceRules().ident }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), ups = [playbook.primary, playbook.upstream].reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        let source = SourceGround(of: node) {
            try await survey.require(ups)
            for name in ups { _ = try await access.server(name) }
        }
        let ground = TargetGround(source, survey: survey, isMade: pair.streams)
        let hosts = HostIsReached.each(of: ups + [node.name] + [repositoryHost].compactMap(\.self), of: access, survey: survey)
        var target: [any Requirement] = [
            ReplicationRoleIsUsable(pair: pair, ground: source), ProgramsMatch(ground), MachinesMatch(pair: pair, ground: ground),
            PreloadedLibrariesAreThere(ground), PlaceIsFree(ground), TablespacesHavePlace(ground), DirectoriesAreThere(standby, ground), DiskHasRoom(ground),
            SenderSuffices(pair: pair, ground: ground), SlotsAreWatched(pair: pair, ground: source, fuse: fuse), ConfigurationIsKnown(pair: pair, ground: ground),
            StandbyHasPassword(pair: pair, ground: ground),
        ]
        target += ServiceIsOurs.each(of: ups + [node.name], of: access, survey: survey)
        if let archive {
            target += [
                ArchiveHasPlace(step: SetUpArchive(archive.path, on: pair.primary, for: node), requireUp: source.requireUp),
                ArchiveHasPlace(step: SetUpArchive(archive.ofStandby.path, on: node.name, for: node, isLater: true)) { _ = try await ground.instance() },
            ]
        } else if let archiver {
            target += [StanzaIsReached(archiver, ground, survey: survey), CopyDoesNotArchive(ground, stanza: archiver.order.stanza)]
        } else if backRest == nil {
            target.append(StandbyArchivesLater(pair: pair, ground: ground))
        }
        if let backRest {
            target += [SourceArchives(source, copy: backRest), CopyDoesNotArchive(ground, stanza: backRest.order.stanza), BackRestIsUsable(backRest, ground, survey: survey)]
        } else if case .baseBackup(let copy) = playbook.copy.method {
            target.append(BaseBackupIsUsable(pair: pair, ground: ground, compresses: copy.compression != .none))
        }
        return [
            RequirementGroup("hosts", hosts),
            RequirementGroup(
                "servers",
                [PrimaryIsOne(pair: pair, survey: survey)] + (pair.isCascading ? [UpstreamIsStandby(pair: pair, survey: survey)] : [])),
            RequirementGroup("the copy", target),
        ]
    }

    /// The lock on the primary.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(
            hosts: [repositoryHost].compactMap(\.self), instances: [playbook.upstream, node.name], servers: [playbook.primary, playbook.upstream])
        try await lock.take(holder: holder)
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await lock.take(holder: holder)
        await access.endEarlierSessions(on: [playbook.primary, playbook.upstream])
    }

    public func inUse(_ memory: Memory) async throws -> [String] {
        guard memory.began(StartStandby.self), !memory.isUndone(StartStandby.self) else { return [try await node.purgeable(memory)].compactMap(\.self) }
        return ["\(node.name) is a standby of \(node.source): it stops, and its slot goes", try await node.purgeable(memory)].compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        ["Done. \(node.name) is a hot standby of \(node.source).", "  pggraft undo \(run)     takes it back"]
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        let kept = standby.slot.map { memory.began(CreateStandbySlot.self) ? " The slot \($0) on \(node.source) keeps WAL for it." : "" } ?? ""
        return .stays("\(playbook.primary) takes writes as before.\(kept)")
    }

    public func close() async {
        await lock.release()
        await sender.close()
        await access.close()
    }
}
