import EventLoop
import PgBackRest
public import Playbook
public import ProcedureKit
import RemoteHost
import Report
public import Run
import Spock

/// Adds a node to a Spock cluster from a pgBackRest copy of one of its nodes, or from a standby of it that is there.
///
/// The sixteen steps of "Adding a Node with Minimal Downtime with pgBackRest", with the document's numbers, in the order
/// that keeps every row: Spock leaves the preload list (7) before the copy is first started (8), both before the cluster
/// is closed (5, 6); the slots of its subscriptions (15) are there, and it has left the timeline of its source (9), before
/// the others take writes again (14). From then on the slots keep every write until the new node reads it. The document has no step that waits
/// until everything has arrived, none that opens the new node, and no proof. Or nobody is closed at all (5, 6, 14): then everything that was written
/// before the slots is waited for, with everybody writing, and each subscription goes on exactly where the copy stands.
public struct AddSpockNode: Procedure {
    private let playbook: Playbook.AddSpockNode
    private let text: RunOrigin
    private let access: ClusterAccess
    private let undo: UndoOptions

    private let lock: ClusterLock
    private let mesh: SpockMesh
    /// `nil` where a standby that is there is taken.
    private let copy: BackRestCopy?
    /// `nil` where a copy is made.
    private let adopted: AdoptedStandby?
    private let copied: CopiedNode
    private let standby: Standby
    private let admittance: NodeAccess
    private let node: JoiningNode
    private let window: ClosedWindow
    private let sessions: HandoverSessions
    private let proofOrder: Proof.Order
    private let databases: CopiedDatabases

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.AddSpockNode, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        (self.playbook, text, self.undo) = (playbook, origin, undo)
        let access = ClusterAccess(try Roster(playbook), ways, sessionSettings: SpockSession.settings)
        let mesh = SpockMesh(playbook, access), newNode = mesh.newNode
        let copied = CopiedNode(
            newNode, of: mesh.source, access, tablespaces: try playbook.newNode.tablespaces.mapValues(HostPath.init(checking:)),
            existing: playbook.copy.backRest == nil ? .adopted : .refused, purgesData: undo.purgesData
        ) { thing, memory in
            try memory.holdsUnreadWrites ? mesh.unreadWrites(keeping: thing) : nil
        }
        let copy = try playbook.copy.backRest.map { BackRestCopy(try BackRestCopy.Order($0), to: copied) }
        let adopted = copy == nil ? AdoptedStandby(copied, as: playbook.copy.replicationUser) : nil
        (self.access, self.mesh, self.copy, self.adopted, self.copied) = (access, mesh, copy, adopted, copied)
        proofOrder = try Proof.Order(playbook)
        lock = ClusterLock(playbook.cluster.name, on: mesh.source, of: access, saying: "works on cluster \(playbook.cluster.name)")
        standby = Standby(
            copied, by: adopted.map { .asBefore($0) } ?? .role(playbook.copy.replicationUser ?? ""), becomesAnotherNode: true,
            patience: Patience(limit: playbook.copy.stallLimit),
            restoreCommand: { if let copy { try await copy.restoreCommand() } else { try await adopted?.streaming().restoreCommand } })
        window = ClosedWindow(
            mesh.nodes, of: access, by: .spockReadOnly, limit: playbook.handover.window.limit, lease: playbook.handover.window.lease,
            // Once it was emptied, nobody may write there any more.
            staysClosed: { memory in try memory.recall(OpenNewNode.isEmptied) == true ? [newNode] : [] })
        admittance = NodeAccess(mesh, standby, acceptsTrust: playbook.newNode.trustOverNetwork)
        node = JoiningNode(standby, mesh: mesh, admittance: admittance)
        sessions = HandoverSessions(mesh)
        databases = CopiedDatabases(mesh)
    }

    public static let name = "add-spock-node"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var steps: [ListedStep] { data + caughtUp + (isLive ? live : readOnly) + joined + closing }

    private var isLive: Bool { playbook.handover.mode == .live }

    /// Where the data comes from.
    private var data: [ListedStep] {
        if let adopted { return [ListedStep("", AdoptStandby(adopted, as: standby))] }
        guard let copy else { return [] }
        return [
            ListedStep("1", ConfigureBackRest(copy: copy)),
            ListedStep("1", ArchiveSource(copy: copy)),
            ListedStep("1", CreateStanza(copy: copy)),
            ListedStep("2", TakeBackup(copy: copy)),
            ListedStep("3", RestoreBackup(copy: copy, standby: standby)),
        ]
    }

    /// From the data to a standby that has caught up.
    private var caughtUp: [ListedStep] {
        [
            ListedStep(
                "4", SetUpStreaming(standby: standby, saying: "archiving off, closed to clients", removingLater: CopiedDatabase.knownReplicators, rules: node.closedRules)),
            ListedStep("7", RemovePreload(node: node)),
            ListedStep("8", StartStandby(standby: standby, hasLeft: node.stateBeyondStandby) { await node.reached(.standby) }),
            ListedStep("8", CatchUp(node: node, databases: databases, limit: playbook.handover.window.catchUpLag.bytes, rehearses: !isLive)),
        ]
    }

    /// The handover while all nodes refuse writes for a moment.
    private var readOnly: [ListedStep] {
        let times = playbook.handover.window
        return [
            ListedStep("5", MakeReadOnly(mesh: mesh, node: node, window: window, lock: lock, sessions: sessions, limit: times.limit, lease: times.lease)),
            ListedStep("6", EndTransactions(mesh: mesh, node: node, window: window, grace: times.transactionGrace)),
            ListedStep("15", fused(CreateSlots(mesh: mesh, node: node, pause: .window(window), sessions: sessions))),
            ListedStep("", fused(DrainMesh(mesh: mesh, node: node, window: window, sessions: sessions))),
            ListedStep("9", fused(PromoteNewNode(node: node, window: window))),
            ListedStep("14", fused(MakeReadWrite(mesh: mesh, node: node, window: window))),
        ]
    }

    /// The handover with everybody writing.
    private var live: [ListedStep] {
        [
            ListedStep("15", fused(CreateSlots(mesh: mesh, node: node, pause: .none(slotWait: playbook.handover.slotWait), sessions: sessions))),
            ListedStep("", fused(PassSlots(mesh: mesh, node: node, sessions: sessions, patience: standby.patience))),
            ListedStep("9", fused(PromoteNewNode(node: node, window: window))),
        ]
    }

    /// From a copy that has left its source to a member of the mesh.
    private var joined: [ListedStep] {
        [
            ListedStep("10", fused(outlasting(RemoveIdentity(mesh: mesh, node: node, databases: databases)))),
            ListedStep("11", fused(outlasting(RestorePreload(node: node)))),
            ListedStep("12", fused(outlasting(RestartNewNode(node: node, sessions: sessions)))),
            ListedStep("13", fused(outlasting(AddNode(mesh: mesh, node: node)))),
            ListedStep("15", fused(outlasting(Subscribe(mesh: mesh, node: node, sessions: sessions)))),
        ] + (adopted == nil ? [] : [ListedStep("", outlasting(DropLeftSlot(of: standby)))])
    }

    /// The proof, and clients on the new node.
    private var closing: [ListedStep] {
        let open = OpenNewNode(mesh: mesh, node: node, window: window, grace: playbook.handover.window.transactionGrace, givesUpWrites: undo.givesUpWrites)
        let verify = ListedStep("16", outlasting(Verify(mesh: mesh, proof: Proof(mesh: mesh, nodes: mesh.nodes, joined: mesh, order: proofOrder))))
        return playbook.handover.open == .afterProof ? [verify, ListedStep("", outlasting(open))] : [ListedStep("", outlasting(open)), verify]
    }

    /// A step while which the new node's slots may hold WAL that nobody reads.
    private func fused<Inner: Step>(_ step: Inner) -> WatchingSlot<Inner, MeshFuse> {
        WatchingSlot(step) { [mesh, node, share = playbook.handover.walFuse] in MeshFuse(mesh: mesh, node: node, share: share, memory: $0) }
    }

    /// A step behind the promotion, in which nobody is closed: a server that has crashed meanwhile and recovers is waited for.
    private func outlasting<Inner: Step>(_ step: Inner) -> OutlastingServers<Inner> {
        OutlastingServers(step, on: mesh.nodes, of: access) { [node, lock] in
            await node.forgetReached()
            try await lock.keep()
        }
    }

    /// The window: whatever happens between steps 5 and 14, source and peers take writes again.
    public func brackets(_ memory: Memory) -> [Bracket] {
        guard !isLive else { return [] }
        return [
            Bracket(
                "read-only window", opens: MakeReadOnly.name, closes: MakeReadWrite.name, watch: window.watch,
                release: {
                    await sessions.drop()
                    await databases.drop()
                    await window.end()
                    return await window.open(memory)
                })
        ]
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), members = MeshSurvey(mesh, survey)
        let source = SourceGround(of: copied) { [adopted] in
            try await members.requireSource()
            try await adopted?.require()
        }
        let ground = TargetGround(source, survey: survey)
        let hosts = HostIsReached.each(of: mesh.nodes + [copy?.repositoryHost].compactMap(\.self), of: access, survey: survey)
        let nodes = members.members(mesh.members, on: hosts)
        var target: [any Requirement] = [
            SourceCanBeCopied(source, replicatingAs: playbook.copy.replicationUser), ProgramsMatch(ground), PreloadedLibrariesAreThere(ground),
            SpockIsInstalled(ground, survey: members),
        ]
        if let copy {
            target += [
                SourceArchives(source, copy: copy), PlaceIsFree(ground), TablespacesHavePlace(ground), DirectoriesAreThere(standby, ground), DiskHasRoom(ground),
                CopyDoesNotArchive(ground, stanza: copy.order.stanza), BackRestIsUsable(copy, ground, survey: survey),
            ]
        } else if let adopted {
            target.append(
                StandbyCanBeAdopted(adopted) {
                    try await members.requireHost(mesh.newNode)
                    try await members.requireSource()
                })
        }
        let routes: [any Requirement] =
            mesh.members.map { NewNodeReachesMember(member: $0, ground, survey: members) } + [StreamingIsAllowed(standby, ground)]
            + mesh.members.map { MemberReachesNewNode(member: $0, survey: members) } + [CallersAreLetIn(admittance, ground, survey: members)]
        let passwords: [any Requirement] =
            mesh.nodes.map { NodeHasPassword(node: $0, access: admittance, ground: ground, survey: members) }
            + [OperatorHasPassword(access: admittance, ground: ground, survey: members)]
        // Each group rests on what the one before it has found.
        return [
            RequirementGroup("hosts", hosts + nodes),
            RequirementGroup(
                "mesh",
                [ClocksAgree(survey: survey, because: "the newest of two updates wins in Spock")]
                    + mesh.members.map { LeaseOutlivesSession($0, of: access, survey: survey) }
                    + [MajorVersionsAgree(survey: members), MeshIsSound(survey: members, mode: isLive ? .live : .readOnly, window: playbook.handover.window.limit)]
                    + (isLive ? [TransactionsAreShort(survey: members, slotWait: playbook.handover.slotWait)] : [])),
            RequirementGroup("the copy", target + routes + passwords),
        ]
    }

    /// The lock on the source.
    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(hosts: [copy?.repositoryHost].compactMap(\.self), instances: mesh.nodes, servers: mesh.members)
        try await lock.take(holder: holder)
    }

    /// Also ends the sessions that an earlier process of the run has left on the servers.
    public func takeOver(holder: Holder) async throws {
        try await lock.take(holder: holder)
        await access.endEarlierSessions(on: mesh.nodes)
    }

    public func inUse(_ memory: Memory) async throws -> [String] {
        var things = [try await node.membership(memory)]
        if undo.givesUpWrites, try memory.holdsUnreadWrites {
            things.append("what clients wrote on \(node.name) and no other node has read is given up (--give-up-writes)")
        }
        things.append(try await node.copy.purgeable(memory))
        return things.compactMap(\.self)
    }

    public func leftForUndo(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }
    public func removeLeft(_ thing: Created, _ memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] { try Verify.closingWords(memory) }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        if !failure.notOpened.isEmpty { return .stays(failure.step == nil ? "\(Problem(explaining: failure.cause).fact)." : "") }
        let open = isLive ? "Every node takes writes, as before." : failure.opened.isEmpty ? "No node is read-only because of it." : "Every node that was closed is open again."
        return .stays([open, await mesh.retained(memory)].compactMap(\.self).joined(separator: "\n"))
    }

    public func close() async {
        await lock.release()
        await sessions.drop()
        await databases.drop()
        await access.close()
    }
}

/// What an undo may do beyond taking back what is whole elsewhere.
public struct UndoOptions: Sendable {
    /// Empty the data directory that the run restored into.
    public var purgesData: Bool
    /// Give up what clients wrote on the new node and no other node has read.
    public var givesUpWrites: Bool

    public init(purgesData: Bool = false, givesUpWrites: Bool = false) {
        (self.purgesData, self.givesUpWrites) = (purgesData, givesUpWrites)
    }
}
