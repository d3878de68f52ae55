import EventLoop
import Playbook
import ProcedureKit
import Report
public import Run

/// Has the commits of a primary wait for standbys, or wait no more.
///
/// The synchronous half of "Overview of Datanode HA configuration": "Change datanode1 slave to synchronous mode", and "change replication to
/// asynchronous mode". The document turns it on without looking at the standby; here only one that streams and has caught up is waited for, and a
/// commit shows that it returns. Where it does not everything is put back at once.
public struct Synchronous: Procedure {
    private let playbook: Playbook.Synchronous
    private let text: RunOrigin
    private let access: ClusterAccess
    private let standbys: SynchronousStandbys
    private let locks: ClusterLocks

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.Synchronous, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(pair: playbook.cluster), ways)
        let group = Group(playbook.cluster.nodes.map(\.name), of: access)
        standbys = SynchronousStandbys(playbook, group, ways)
        locks = ClusterLocks(playbook.cluster.name, on: group)
    }

    public static let name = "synchronous"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var requirements: [RequirementGroup] {
        [
            RequirementGroup("servers", [ThereIsOnePrimary(standbys: standbys)]),
            RequirementGroup("standbys", standbys.waitedFor.map { StandbyCanBeWaitedFor(standby: $0, standbys: standbys) } + [CommitsAskForIt(standbys: standbys)]),
        ]
    }

    public var steps: [ListedStep] {
        [
            ListedStep("", CatchUpStandbys(standbys: standbys)),
            ListedStep("", ChangeSynchronousStandbys(standbys: standbys)),
            ListedStep("", SeeCommitReturn(standbys: standbys)),
        ]
    }

    public func takeLock(holder: Holder) async throws { try await locks.take(holder: holder, where: try await standbys.look()) }

    public func inUse(_ memory: Memory) async throws -> [String] {
        [try await ChangeSynchronousStandbys(standbys: standbys).missingAfterUndo(memory)].compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        guard let value = try memory.recall(ChangeSynchronousStandbys.value) else { return ["Done."] }
        return [value.isEmpty ? "Done. Commits wait for no standby." : "Done. Commits wait for \(value).", "  pggraft undo \(run)     takes it back"]
    }

    /// A list that commits hang on is worth nothing.
    public var isTakenBackOnFailure: Bool { true }

    public func close() async {
        await locks.release()
        await standbys.close()
        await access.close()
    }
}
