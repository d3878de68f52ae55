import EventLoop
public import Playbook
public import ProcedureKit
import Report
public import Run
import Server

/// Takes a slave away from its datanode for good: nothing of it is left on the master, in its files, so that no restart brings it back.
///
/// In this order: stopped first, a synchronous slave would hold every commit; still archived for, it would fill the master's disk.
public struct DatanodeDropSlave: Procedure {
    private let playbook: Playbook.DatanodeDropSlave
    private let text: RunOrigin
    private let access: ClusterAccess
    private let dropped: DroppedStandby
    private let standbys: SynchronousStandbys
    private let master: DroppedSlavesMaster
    private let locks: ClusterLocks

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.DatanodeDropSlave, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(playbook.cluster), ways)
        let group = Group([playbook.datanode, playbook.slave], of: access)
        dropped = DroppedStandby(name: playbook.slave, group: group)
        standbys = SynchronousStandbys(.remove(playbook.slave), group, ways)
        master = try DroppedSlavesMaster(playbook, access)
        locks = ClusterLocks(playbook.cluster.name, on: Group(playbook.cluster.datanodes.map(\.name), of: access))
    }

    public static let name = "datanode-drop-slave"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var requirements: [RequirementGroup] {
        let survey = Survey()
        return [
            RequirementGroup("hosts", HostIsReached.each(of: [playbook.datanode], of: access, survey: survey)),
            RequirementGroup("the datanode", [MasterIsOurs(datanode: playbook.datanode, access: access, survey: survey)]),
            RequirementGroup("the slave", [StandbyMayGo(dropped: dropped, removesData: playbook.removesData), ThereIsOnePrimary(standbys: standbys)]),
        ]
    }

    public var steps: [ListedStep] {
        let steps: [any Step] =
            [ChangeSynchronousStandbys(standbys: standbys)] + (playbook.archive.map { [EndArchive(master: master, directory: $0)] } ?? [])
            + [StopStandby(dropped: dropped), DropStandbySlot(dropped: dropped), ForbidSlave(master: master)]
            + (playbook.removesData ? [RemoveStandbyData(dropped: dropped)] : [])
        return steps.map { ListedStep("", $0) }
    }

    /// The lock on the datanodes' masters.
    public func takeLock(holder: Holder) async throws { try await locks.take(holder: holder) }

    public func inUse(_ memory: Memory) async throws -> [String] {
        [try await ChangeSynchronousStandbys(standbys: standbys).missingAfterUndo(memory)].compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        [
            "\(playbook.slave) is no slave of \(playbook.datanode) any more\(playbook.removesData ? "" : "; its data is left").",
            "Its archive, the role that it streamed as and its line in ~/.pgpass are left as they are. Take it out of cluster.slaves of your playbooks.",
            "  pggraft undo \(run)     takes it back",
        ]
    }

    public func close() async {
        await locks.release()
        await standbys.close()
        await master.node.close()
        await access.close()
    }
}
