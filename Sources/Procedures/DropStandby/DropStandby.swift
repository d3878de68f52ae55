import EventLoop
public import Playbook
public import ProcedureKit
import Report
public import Run
import Server

/// Takes a standby out of its group: commits wait for it no more, it is stopped, and no WAL is kept for it.
///
/// In this order: stopped first, a synchronous standby would hold every commit. Its data, the rule that lets it in and the role that it streamed as
/// stay.
public struct DropStandby: Procedure {
    private let playbook: Playbook.DropStandby
    private let text: RunOrigin
    private let access: ClusterAccess
    private let dropped: DroppedStandby
    private let standbys: SynchronousStandbys
    private let locks: ClusterLocks

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.DropStandby, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(pair: playbook.cluster), ways)
        let group = Group(playbook.cluster.nodes.map(\.name), of: access)
        dropped = DroppedStandby(name: playbook.standby, group: group)
        standbys = SynchronousStandbys(.remove(playbook.standby), group, ways)
        locks = ClusterLocks(playbook.cluster.name, on: group)
    }

    public static let name = "drop-standby"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var requirements: [RequirementGroup] {
        [
            RequirementGroup("servers", [StandbyMayGo(dropped: dropped, removesData: playbook.removesData)]),
            RequirementGroup("standbys", [ThereIsOnePrimary(standbys: standbys)]),
        ]
    }

    public var steps: [ListedStep] {
        let steps: [any Step] =
            [ChangeSynchronousStandbys(standbys: standbys), StopStandby(dropped: dropped), DropStandbySlot(dropped: dropped)]
            + (playbook.removesData ? [RemoveStandbyData(dropped: dropped)] : [])
        return steps.map { ListedStep("", $0) }
    }

    public func takeLock(holder: Holder) async throws { try await locks.take(holder: holder, where: try await dropped.look()) }

    public func inUse(_ memory: Memory) async throws -> [String] {
        [try await ChangeSynchronousStandbys(standbys: standbys).missingAfterUndo(memory)].compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        let upstream = try memory.recall(DroppedStandby.ties)?.upstream
        let left = upstream.map { "The rule that lets it in on \($0) and the role that it streamed as are left as they are." }
        return ["Done. \(dropped.name) is out of the group\(playbook.removesData ? "" : "; its data is left")."] + [left].compactMap(\.self)
            + ["  pggraft undo \(run)     takes it back"]
    }

    public func close() async {
        await locks.release()
        await standbys.close()
        await access.close()
    }
}
