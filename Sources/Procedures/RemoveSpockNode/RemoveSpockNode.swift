import EventLoop
public import Playbook
public import ProcedureKit
import Report
public import Run
import Spock

/// Takes a node out of a Spock cluster, wholly added, added in part, or gone for good.
///
/// What "remove_node" of Zodan does (sub_drop, repset_drop, node_drop), in the order that loses nothing: the node is closed to clients and every member
/// has applied all that was written there before one of them ceases to read it. What belongs to it is known from the catalogs, and its traces on the
/// members are gone in the end, also where it could not be asked.
public struct RemoveSpockNode: Procedure {
    private let playbook: Playbook.RemoveSpockNode
    private let text: RunOrigin
    private let access: ClusterAccess
    private let leaving: LeavingNode
    private let locks: [ClusterLock]
    private let window: ClosedWindow

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.RemoveSpockNode, from origin: RunOrigin, _ ways: Ways) throws {
        (self.playbook, text) = (playbook, origin)
        let access = ClusterAccess(try Roster(playbook), ways, sessionSettings: SpockSession.settings), members = playbook.staying.map(\.name)
        self.access = access
        leaving = LeavingNode(
            playbook.node, members: members, hasPlace: playbook.cluster[playbook.node] != nil, database: playbook.cluster.database, consents: origin.consents, access)
        // Whoever adds a node, from whichever source, holds one of them.
        locks = members.map { ClusterLock(playbook.cluster.name, on: $0, of: access, saying: "works on cluster \(playbook.cluster.name)") }
        // Closed without a lease: it is to stay so.
        window = ClosedWindow([playbook.node], of: access, by: .spockReadOnly, limit: .seconds(30), lease: .seconds(30))
    }

    public static let name = "remove-spock-node"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var steps: [ListedStep] {
        let grace = playbook.transactionGrace, patience = Patience(limit: playbook.stallLimit)
        let proof = Proof(mesh: leaving, nodes: leaving.members, joined: nil, order: Proof.Order(playbook))
        let steps: [any Step] = [
            CloseLeavingNode(leaving: leaving, window: window, grace: grace, patience: patience),
            DropSubscriptions(leaving: leaving, window: window, grace: grace, patience: patience),
            DropLeavingNode(leaving: leaving, window: window), RemoveTraces(leaving: leaving), VerifyRemoval(leaving: leaving, proof: proof),
            LetGo(leaving: leaving, window: window, opens: playbook.keepsOpen),
        ]
        return steps.map { ListedStep("", $0) }
    }

    public var requirements: [RequirementGroup] {
        let survey = StayingSurvey(leaving), hosts = HostIsReached.each(of: leaving.members, of: access, survey: Survey())
        let nodes = leaving.members.map { node in
            MemberIsSpockNode(node: node, mesh: leaving, hostIsLookedAt: hosts.contains { $0.place == node }) { await survey.saw(node, $0) }
        }
        return [
            RequirementGroup("hosts", hosts + nodes), RequirementGroup("mesh", [RestIsSound(survey: survey)]),
            RequirementGroup("node", [NodeMayLeave(survey: survey, lettingOthersRead: playbook.lettingOthersRead)]),
        ]
    }

    /// The lock on every member, one after the other: of two that begin at the same time one is refused by the first.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(hosts: leaving.members, servers: leaving.members + (leaving.hasPlace ? [leaving.name] : []))
        for lock in locks { try await lock.take(holder: holder) }
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await takeLock(holder: holder)
        await access.endEarlierSessions(on: leaving.members + (leaving.hasPlace ? [leaving.name] : []))
    }

    /// Once somebody has ceased to read it nothing is undone: the others would never get what is written there since.
    public func inUse(_ memory: Memory) async throws -> [String] {
        let gone = memory.began(DropSubscriptions.self) ? try await leaving.dropped(memory) : []
        if !gone.isEmpty { throw leaving.noWayBack(from: gone) }
        guard memory.began(DropLeavingNode.self) || memory.began(RemoveTraces.self) else { return [] }
        let isMember = try await leaving.state().node != nil
        if memory.began(RemoveTraces.self) || !isMember { throw leaving.noWayBack(from: leaving.members) }
        return []
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] {
        var words = ["Done. \(leaving.name) is no member any more."]
        if let lacking = try memory.recall(DropSubscriptions.lacking) { words.append("Given up: \(lacking).") }
        if let number = try memory.recall(VerifyRemoval.notInWhole), number > 0 {
            words.append("\(number == 1 ? "A table was" : "\(number) tables were") not compared, or only in a sample: see above.")
        }
        if try memory.recall(CloseLeavingNode.connectionLimit) != nil {
            words.append(
                playbook.keepsOpen
                    ? "It is a plain server with its data, and takes clients: what they write there comes to no other node."
                    : "It is a plain server with its data, closed to clients: see above. The library spock is still preloaded there.")
        }
        return words
    }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        let node = leaving.name
        do {
            if try memory.recall(DropSubscriptions.dropped) != nil || memory.began(DropLeavingNode.self) || memory.began(RemoveTraces.self) {
                return .stays("\(list(leaving.members)) take writes, as before. \(node) is being removed: resume, there is no way back.")
            }
            guard try memory.recall(CloseLeavingNode.connectionLimit) != nil else { return .stays("Nothing was changed.") }
            return .stays(
                "\(list(leaving.members)) take writes, as before. \(node) is still a member, and closed to clients, with spock.readonly for its whole instance: resume, or undo, which opens it again."
            )
        } catch {
            return .stays("What was done cannot be read from the journal: \(Problem(explaining: error).fact)")
        }
    }

    public func close() async {
        for lock in locks { await lock.release() }
        await access.close()
    }
}
