import Datanode
import EventLoop
import Instance
public import Playbook
import PostgresClient
import PostgresConfig
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Server

/// Makes slaves of datanodes' masters, each on another host: "Overview of Datanode HA configuration" in its order and with its words, all of them side by side.
///
/// Where the document reloads and the server wants a restart, that is done, and the coordinators are shown to reach the master again. Commits wait for a slave only once
/// it has caught up, and a write through every coordinator shows that they return.
public struct DatanodeStandby: Procedure {
    private let playbook: Playbook.DatanodeStandby
    private let text: RunOrigin
    private let access: ClusterAccess
    /// On the master of each datanode, by name, those whose slaves are not made among them: a failover takes it there, too.
    private let locks: [(datanode: String, lock: ClusterLock)]
    private let slaves: [MadeSlave]
    private let coordinators: [String]

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.DatanodeStandby, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        (self.playbook, text, coordinators) = (playbook, origin, playbook.cluster.coordinators.map(\.name))
        let access = ClusterAccess(try Roster(playbook.cluster, makesSlaves: true), ways), name = playbook.cluster.name
        let locks = playbook.cluster.datanodes.map { (datanode: $0.name, lock: ClusterLock(name, on: $0.name, of: access, saying: "works on cluster \(name)")) }
        var made: [MadeSlave] = []
        for slave in playbook.slaves {
            guard let lock = locks.first(where: { $0.datanode == slave.datanode })?.lock else { throw UnknownNode(name: slave.datanode) }
            let earlier = made
            made.append(
                try MadeSlave(slave, of: playbook, access, ways, lock: lock, purgesData: undo.purgesData) {
                    for other in earlier { if let password = try await other.password() { return password } }
                    return nil
                })
        }
        (self.access, self.locks, slaves) = (access, locks, made)
    }

    public static let name = "datanode-standby"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    // MARK: The steps

    /// The headings of the document have no numbers.
    public var steps: [ListedStep] { (masterSteps + slaveSteps + lastSteps).map { ListedStep("", $0) } }

    private var masters: String { list(slaves.map(\.datanode)) }
    private var names: String { list(slaves.map(\.name)) }
    private var standbys: String { list(slaves.map { "\($0.datanode) standby" }) }

    /// The same for each slave, or for some of them.
    private func each(_ title: String, of slaves: [MadeSlave]? = nil, sideBySide: Bool = true, _ step: (MadeSlave) -> any Step) -> PartedStep {
        let those = slaves ?? self.slaves
        return PartedStep(title, of: those.map { ($0.name, step($0)) }, sideBySide: sideBySide)
    }

    private var masterSteps: [any Step] {
        let archived = slaves.filter { $0.archive != nil }
        // The first slave has a password that is made for the others, too.
        var steps: [any Step] = [
            each("Create internal database user \(playbook.replication.user), through \(coordinators.first ?? "")", sideBySide: false) { CreateReplicationRole(pair: $0.pair) }
        ]
        if !archived.isEmpty {
            let places = list(archived.compactMap { slave in slave.archive.map { "\($0.directory) on the host of \(slave.name)" } })
            steps.append(
                PartedStep(
                    "Set up the WAL archive: \(places)",
                    of: archived.compactMap { slave in slave.archive.map { (slave.name, SetUpArchive($0.directory, on: slave.name, for: slave.node)) } },
                    // Two may be in one directory that is missing.
                    sideBySide: false))
        }
        return steps + [
            each("Configure \(masters) master for hot standby") { ConfigurePrimary(pair: $0.pair, node: $0.master) },
            each("Restart \(masters), where a setting needs that") { RestartPrimary(pair: $0.pair, node: $0.master, lock: $0.lock) },
            each("See that every coordinator reaches \(masters)") { ReachMaster(datanode: $0.datanode, coordinators: coordinators, access: access) },
            each("Configure pg_hba.conf of the master: \(masters)") { AllowStandby($0.pair, on: $0.master) },
        ]
    }

    private var slaveSteps: [any Step] {
        let order = CopyFiles.Order(playbook.copy)
        return [
            each("Obtain base backup of \(masters)") { CopyFiles(order, standby: $0.standby, hasBeenMade: $0.pair.streams) },
            each("Configure recovery.conf file for \(standbys); configure \(standbys)") { slave in
                SetUpStreaming(
                    standby: slave.standby, saying: "a standby of \(slave.datanode), hot_standby = on, its own port", rules: slave.rules,
                    userMaps: { try await slave.standby.sourceRules().ident })
            },
            each("Start \(standbys)") { StartStandby(standby: $0.standby) },
            each("See that \(names) \(slaves.count == 1 ? "has" : "have") all that \(masters) \(slaves.count == 1 ? "has" : "have")") { SeeReplayed(pair: $0.pair) },
        ]
    }

    private var lastSteps: [any Step] {
        let change: [any Step] =
            playbook.isSynchronous
            ? [
                each("Change \(names) to synchronous mode") { slave in
                    ChangeSlaveToSynchronous(slave: slave.name, datanode: slave.datanode, standbys: slave.synchronous, access: access)
                }
            ] : []
        return change + [VerifySlaves(slaves: slaves, coordinators: coordinators, isSynchronous: playbook.isSynchronous, access: access)]
    }

    // MARK: Requirements

    public var requirements: [RequirementGroup] {
        let survey = Survey(), datanodes = slaves.map(\.datanode), those = slaves.map(\.name)
        var targets: [any Requirement] = []
        for slave in slaves {
            let source = SourceGround(of: slave.node) {
                try await survey.require([slave.datanode])
                _ = try await access.server(slave.datanode)
            }
            let ground = TargetGround(source, survey: survey, isMade: slave.pair.streams)
            targets += [
                ReplicationRoleIsUsable(pair: slave.pair, ground: source), NameIsFree(slave: slave, ground: source), ProgramsMatch(ground),
                MachinesMatch(pair: slave.pair, ground: ground), PreloadedLibrariesAreThere(ground), PlaceIsFree(ground), TablespacesHavePlace(ground),
                DirectoriesAreThere(slave.standby, ground), DiskHasRoom(ground), SenderSuffices(pair: slave.pair, ground: ground),
                SlotsAreWatched(pair: slave.pair, ground: source, fuse: nil), ConfigurationIsKnown(pair: slave.pair, ground: ground),
                StandbyHasPassword(pair: slave.pair, ground: ground), BaseBackupIsUsable(pair: slave.pair, ground: ground, compresses: playbook.copy.compression != .none),
            ]
            if let archive = slave.archive {
                targets += [
                    ArchiveHasPlace(step: SetUpArchive(archive.directory, on: slave.name, for: slave.node)) { _ = try await ground.instance() },
                    ArchiveIsReached(archive: archive, slave: slave, ground: ground),
                ]
            }
        }
        return [
            RequirementGroup("hosts", HostIsReached.each(of: datanodes + those, of: access, survey: survey)),
            RequirementGroup("the masters", slaves.map { MasterIsOne(slave: $0, survey: survey) }),
            RequirementGroup(
                "the coordinators",
                coordinators.map { CoordinatorReachesMasters(coordinator: $0, datanodes: datanodes, access: access, survey: survey) }),
            RequirementGroup("the copies", targets + ServiceIsOurs.each(of: datanodes + those, of: access, survey: survey)),
        ]
    }

    // MARK: The run

    /// The lock on the master of every datanode; of those whose slaves are not made, where they can be reached.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: slaves.flatMap { [$0.datanode, $0.name] }, servers: slaves.map(\.datanode) + coordinators)
        try await take(holder)
    }

    private func take(_ holder: Holder) async throws {
        let needed = slaves.map(\.datanode)
        // One after the other: of two that begin at the same time one is refused by the first server, and neither by the other.
        for (datanode, lock) in locks {
            do {
                try await lock.take(holder: holder)
            } catch let error where !needed.contains(datanode) && !(error is LockTaken) && !(error is CancellationError) {
                continue
            }
        }
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await take(holder)
        await access.endEarlierSessions(on: slaves.map(\.datanode) + coordinators)
    }

    public func inUse(_ memory: Memory) async throws -> [String] {
        var lines: [String] = []
        for slave in slaves {
            let own = memory.of(slave.name)
            if own.began(StartStandby.self), !own.isUndone(StartStandby.self) { lines.append("\(slave.name) is a slave of \(slave.datanode): it stops") }
            if let line = try await slave.node.purgeable(own) { lines.append(line) }
        }
        return lines
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        let pairs = list(slaves.map { "\($0.name) of \($0.datanode)" }), one = slaves.count == 1
        let mode = playbook.isSynchronous ? ". Commits wait for \(one ? "it" : "them"): stop a master before its slave, or make it asynchronous first" : ", asynchronous"
        return ["Done. \(pairs) \(one ? "is a slave" : "are slaves")\(mode).", "  pggraft undo \(run)     takes it back"]
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        guard !memory.began(ChangeSynchronousStandbys.name) else {
            return .stays("Commits of \(list(slaves.map(\.datanode))) may wait for \(list(slaves.map(\.name))): where they hang, undo the run, and they wait no more.")
        }
        guard memory.began(RestartPrimary.name) else { return .stays("The masters work as before.") }
        var away: [String] = []
        for slave in slaves {
            do { _ = try await access.server(slave.datanode).reached(deadline: .after(.seconds(10))) } catch { away.append(slave.datanode) }
        }
        return .stays(away.isEmpty ? "The masters work." : "\(list(away)) cannot be asked: see whether \(away.count == 1 ? "it runs" : "they run"), and resume.")
    }

    public func close() async {
        for (_, lock) in locks { await lock.release() }
        for slave in slaves { await slave.close() }
        await access.close()
    }
}
