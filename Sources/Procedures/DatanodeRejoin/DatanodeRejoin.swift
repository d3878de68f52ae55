import EventLoop
import Instance
public import Playbook
import PostgresClient
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Server

/// A server that was the master of a datanode of Postgres-XC comes back as a slave of the one that is, after a failover.
///
/// As it is, with the timeline switched, where it has nothing of its own; else rewound, or copied anew where the playbook says so. Nothing of it is
/// changed before every coordinator was seen to reach the new master.
public struct DatanodeRejoin: Procedure {
    private let playbook: Playbook.DatanodeRejoin
    private let text: RunOrigin
    private let access: ClusterAccess
    private let locks: ClusterLocks
    private let node: RejoiningNode
    private let copy: NewCopy?
    private let standbys: SynchronousStandbys

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.DatanodeRejoin, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(playbook.cluster), ways)
        let group = Group([playbook.datanode, playbook.slave], of: access)
        node = RejoiningNode(playbook.slave, in: group, as: playbook.replicationUser)
        copy = NewCopy(playbook, of: node, purgesData: undo.purgesData)
        standbys = SynchronousStandbys(.add(playbook.slave), group, ways)
        locks = ClusterLocks(playbook.cluster.name, on: Group(playbook.cluster.datanodes.map(\.name), of: access))
    }

    public static let name = "datanode-rejoin"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    private var coordinators: [String] { playbook.cluster.coordinators.map(\.name) }

    /// The document has none of it.
    public var steps: [ListedStep] {
        let back: [any Step] = [PrepareRejoin(node: node), CheckpointNewPrimary(node: node), StopOldPrimary(node: node), watched(RewindNode(node: node, copy: copy))]
        let follow: [any Step] = [
            watched(FollowPrimary(node: node, patience: Patience(limit: .seconds(300)), copy: copy, stopsOnUndo: true)), RemoveStaleSlots(node: node), VerifyRejoin(node: node),
        ]
        let synchronous: [any Step] =
            playbook.isSynchronous
            ? [
                CatchUpStandbys(standbys: standbys),
                ChangeSlaveToSynchronous(slave: node.name, datanode: playbook.datanode, standbys: standbys, access: access),
            ] : []
        return (back + (copy?.steps(watchedBy: fuse) ?? []) + follow + synchronous).map { ListedStep("", $0) }
    }

    private func watched<Inner: Step>(_ step: Inner) -> WatchingSlot<Inner, SlotFuse> { WatchingSlot(step, fuse) }

    @Sendable private func fuse(_ memory: Memory) async throws -> SlotFuse? { try memory.recall(RejoiningNode.follower).flatMap(fuse(of:)) }

    @Sendable private func fuse(of follower: Follower) -> SlotFuse? {
        guard let slot = follower.slot else { return nil }
        return SlotFuse(slot, on: follower.upstream, for: node.name, keepingFree: UInt64(max(0, playbook.keepsFree.bytes)), access)
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), group = GroupSurvey(node.group, survey)
        return [
            RequirementGroup("hosts", HostIsReached.each(of: [playbook.datanode, playbook.slave], of: access, survey: survey)),
            RequirementGroup(
                "the cluster",
                coordinators.map { CoordinatorHasMaster($0, datanode: playbook.datanode, slave: playbook.slave, access: access, survey: survey) }
                    + [MasterIsOurs(datanode: playbook.datanode, access: access, survey: survey)]),
            RequirementGroup("the datanode", [NodeIsNoPrimary(node: node, copy: copy, survey: group)]),
            RequirementGroup(
                "the way back",
                [
                    NodeCanComeBack(node: node, copies: copy != nil, survey: group), PrimaryHasRoom(node: node, survey: group, fuse: fuse(of:)),
                    ServiceIsOurs(node.name, of: access, survey: survey),
                ]),
            RequirementGroup("the copy", [copy.map { CopyIsPossible(copy: $0, survey: survey) }].compactMap(\.self)),
        ]
    }

    /// The lock on the datanodes' masters.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: [playbook.datanode, playbook.slave], servers: [playbook.datanode] + coordinators)
        try await locks.take(holder: holder)
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await locks.take(holder: holder)
        await access.endEarlierSessions(on: [playbook.datanode] + coordinators)
    }

    /// Taken back, the datanode has one slave less.
    public func inUse(_ memory: Memory) async throws -> [String] {
        var uses: [String] = []
        if let follower = try memory.recall(RejoiningNode.follower), try await node.group.look().follows(follower) {
            uses.append("\(node.name) streams from \(follower.upstream), and is stopped")
        }
        if let copy, memory.beganCopy { uses += [try await copy.parts(memory).copied.purgeable(memory)].compactMap(\.self) }
        return uses + [try await ChangeSynchronousStandbys(standbys: standbys).missingAfterUndo(memory)].compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        let waits = playbook.isSynchronous ? ", and its commits wait for it" : "; commits do not wait for it (`synchronous: no`)"
        return ["\(node.name) is a slave of \(playbook.datanode)\(waits)."] + (try memory.recall(VerifyRejoin.words) ?? [])
            + [
                "To have it take the place of \(playbook.datanode): `procedure: datanode-failover`, once the master is lost or stopped.",
                "  pggraft undo \(run)     takes it back",
            ]
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        guard memory.began(ChangeSynchronousStandbys.self) else {
            return .stays("\(playbook.datanode) works on at its place, and waits for nobody more; \(node.name) is not back.")
        }
        return .stays("\(node.name) streams, and commits of \(playbook.datanode) may wait for it: where they hang, undo the run, and they wait no more.")
    }

    public func close() async {
        await locks.release()
        await standbys.close()
        await access.close()
    }
}
