import Datanode
import EventLoop
import Instance
public import Playbook
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Server

/// A slave takes the place of a datanode's master that is lost: "When Datanode1 Master Fails", with what that leaves out.
///
/// The old master is fenced first. The slave is promoted, transactions that the coordinators have left in doubt are settled while nobody can write there, and
/// every coordinator is told with `ALTER NODE` and shown to reach the new master. One that cannot be reached keeps the run open.
public struct DatanodeFailover: Procedure {
    private let playbook: Playbook.DatanodeFailover
    private let text: RunOrigin
    private let access: ClusterAccess
    private let locks: ClusterLocks
    private let order: FailedDatanode

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.DatanodeFailover, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        access = ClusterAccess(try Roster(playbook.cluster), ways)
        order = FailedDatanode(playbook, access, consents: origin.consents)
        // A coordinator's would be taken on all others, too, and they may be down.
        locks = ClusterLocks(playbook.cluster.name, on: Group([order.slave] + order.others, of: access))
    }

    public static let name = "datanode-failover"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    /// The document has promotion and `ALTER NODE` alone, without numbers.
    public var steps: [ListedStep] {
        let steps: [any Step] = [
            FencePrimary(failed: order.failed), CatchUpSlave(order: order), ClearInherited(order: order), PromoteSuccessor(failed: order.failed), SettleInDoubt(order: order),
            RestartGTM(order: order), TellCoordinators(order: order), VerifyDatanode(order: order), ReportLoss(failed: order.failed), TellAbsent(order: order),
        ]
        return steps.map { ListedStep("", $0) }
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey()
        return [
            RequirementGroup("hosts", HostIsReached.each(of: [order.slave], of: access, survey: survey)),
            RequirementGroup(
                "the datanode",
                [PrimaryIsLost(failed: order.failed), SlaveIsUsable(order: order, survey: survey)] + ServiceIsOurs.each(of: [order.slave], of: access, survey: survey)),
            RequirementGroup(
                "the cluster",
                order.coordinators.map { CoordinatorIsUsable($0, order: order, known: playbook.cluster.coordinators.map(\.name)) }
                    + order.others.map { OtherDatanodeAnswers($0, order: order) } + [GTMIsReached(order: order)]),
        ]
    }

    /// The lock on the servers of the datanodes that can be reached.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: [order.slave, order.datanode], servers: [order.slave] + order.others + order.coordinators)
        try await takeLocks(holder, startsGTM: false)
    }

    /// Without the GTM no server can be asked anything. A run that has begun may have stopped it.
    private func takeLocks(_ holder: Holder, startsGTM: Bool) async throws {
        do {
            try await locks.take(holder: holder)
        } catch let error where !(error is CancellationError || error is LockTaken) {
            guard try await order.gtmIsDown(starts: startsGTM) else { throw error }
            try await locks.take(holder: holder)
        }
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await takeLocks(holder, startsGTM: true)
        await access.endEarlierSessions(on: [order.slave] + order.others + order.coordinators)
    }

    /// A failover that has promoted is not undone: clients have written since.
    public func inUse(_ memory: Memory) async throws -> [String] {
        guard memory.began(PromoteSuccessor.self), let new = try await order.failed.promoted(memory) else { return [] }
        throw Problem(
            "\(new) is the master of \(order.datanode) since this run, and clients may have written there: left alone",
            hint: "make the old one its slave with `procedure: datanode-rejoin`")
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        guard try memory.recall(FailedGroup.succession) != nil else { return ["Done."] }
        let place = try order.place, old = try access.roster.entry(order.datanode)
        let parts = [FencePrimary.name, CatchUpSlave.name, ClearInherited.name, PromoteSuccessor.name, SettleInDoubt.name, RestartGTM.name, TellCoordinators.name]
        let took = memory.took(parts).map { took in
            "Every coordinator was shown to reach it \(took.all.inSeconds) after the first change: \(took.each.map { "\($0.step) \($0.time.inSeconds)" }.joined(separator: ", "))."
        }
        return ["\(order.datanode) is at \(place) now, and every coordinator reaches it."] + [took].compactMap(\.self)
            + [try memory.recall(CatchUpSlave.acknowledged)].compactMap(\.self) + (try memory.recall(ReportLoss.words) ?? [])
            + [
                "No commit waits for a slave there. The old master is not started: `procedure: datanode-rejoin` makes a slave of it.",
                "Playbooks have to say from now on: datanodes: \(order.datanode): {address: \(place.host), port: \(place.port)}; and that of the rejoin under slaves: "
                    + "\(order.datanode)_old: {of: \(order.datanode), address: \(old.address), port: \(old.port), data_directory: \(old.dataDirectory?.path ?? "")}.",
            ]
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        do {
            if let new = try await order.failed.promoted(memory) {
                return .stays(
                    memory.began(TellCoordinators.self)
                        ? "\(new) is the master of \(order.datanode), and the coordinators that were told use it."
                        : "\(new) is the master of \(order.datanode), and no coordinator was told: what needs that datanode fails until the run is resumed.")
            }
        } catch {
            return .stays("Whether \(order.slave) was promoted cannot be seen: \(Problem(explaining: error).fact)")
        }
        let fenced = memory.began(FencePrimary.self) ? ", and the master is fenced: what needs that datanode fails until the run is resumed" : ""
        return .stays("Nobody was promoted\(fenced).")
    }

    public func close() async {
        await locks.release()
        await access.close()
    }
}
