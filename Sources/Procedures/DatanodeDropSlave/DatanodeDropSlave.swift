import EventLoop
import Instance
public import Playbook
import PostgresConfig
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Server

/// Takes a slave of a datanode out for good, whoever made it: what its master has for it goes, in its files too, so that no restart brings it back.
///
/// Commits wait for it no more before it is stopped. The master archives nothing for it any more, and lets it in no more. Its data stays unless the playbook says otherwise; the
/// role that it streamed as is every slave's.
public struct DatanodeDropSlave: Procedure {
    private let playbook: Playbook.DatanodeDropSlave
    private let text: RunOrigin
    private let access: ClusterAccess
    private let dropped: DroppedStandby
    private let standbys: SynchronousStandbys
    private let master: ConfiguredNode
    private let archive: SlaveArchive?
    private let lock: ClusterLock

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.DatanodeDropSlave, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        let slave = playbook.slave, access = ClusterAccess(try Roster(playbook.cluster, makesSlaves: true), ways), group = Group([slave.datanode, slave.node.name], of: access)
        self.access = access
        dropped = DroppedStandby(name: slave.node.name, group: group)
        master = try ConfiguredNode(slave.datanode, of: access)
        standbys = SynchronousStandbys(.remove(slave.node.name), group, ways, primary: master)
        archive = try SlaveArchive(slave)
        lock = ClusterLock(playbook.cluster.name, on: slave.datanode, of: access, saying: "works on cluster \(playbook.cluster.name)")
    }

    public static let name = "datanode-drop-slave"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }
    private var datanode: String { playbook.slave.datanode }

    public var requirements: [RequirementGroup] {
        [
            RequirementGroup("servers", [StandbyMayGo(dropped: dropped, removesData: playbook.removesData)]),
            RequirementGroup(
                "standbys", [ThereIsOnePrimary(standbys: standbys), ArchiveIsKnown(archive: archive, slave: dropped.name, master: master, access: access)]),
        ]
    }

    public var steps: [ListedStep] {
        // Stopped first, a synchronous slave would hold every commit; still archived for, it would fill the master's disk.
        var steps: [any Step] = [ChangeSynchronousStandbys(standbys: standbys)]
        if let archive { steps.append(StopArchiving(archive: archive, slave: dropped.name, master: master)) }
        steps += [StopStandby(dropped: dropped), DropStandbySlot(dropped: dropped), ForbidSlave(slave: dropped.name, master: master, access: access)]
        if playbook.removesData {
            steps.append(RemoveStandbyData(dropped: dropped))
            if let archive { steps.append(RemoveSlaveArchive(archive: archive, slave: dropped.name, access: access)) }
        }
        return steps.map { ListedStep("", $0) }
    }

    public func takeLock(holder: Holder) async throws { try await lock.take(holder: holder) }

    public func inUse(_ memory: Memory) async throws -> [String] {
        [try await ChangeSynchronousStandbys(standbys: standbys).missingAfterUndo(memory)].compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        let left = playbook.removesData ? [] : ["Its data\(archive == nil ? " is" : ", and what was archived for it, are") left."]
        return ["Done. \(dropped.name) is no slave of \(datanode) any more. The role that it streamed as is left: other slaves may use it."] + left
            + ["  pggraft undo \(run)     takes it back"]
    }

    public func close() async {
        await lock.release()
        await standbys.close()
        await master.close()
        await access.close()
    }
}
