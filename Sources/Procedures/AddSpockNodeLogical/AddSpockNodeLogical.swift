import EventLoop
public import Playbook
public import ProcedureKit
import Report
public import Run
import Spock

/// Adds a node to a Spock cluster by Spock's own copy of structure and data: for small or partial nodes, for another major version, and for hosts to which no
/// physical copy can be made.
///
/// The phases of "Adding a Node to a Cluster with Zero Downtime" (Z0DAN), with its mistakes corrected: the slots are there before the copy begins; the new node
/// follows the source in everything, and not in the source's own changes alone, until it has caught up; each peer is read from the position up to which the new
/// node has it, by the source's log, and not by a moment.
public struct AddSpockNodeLogical: Procedure {
    private let playbook: Playbook.AddSpockNodeLogical
    private let text: RunOrigin
    private let access: ClusterAccess
    private let undo: UndoOptions

    private let lock: ClusterLock
    private let mesh: SpockMesh
    private let node: LogicalNode
    private let roles: MissingRoles
    private let sessions: HandoverSessions
    private let patience: Patience
    private let proofOrder: Proof.Order
    private let window: ClosedWindow

    /// - Throws: `Problem` for what no playbook can say.
    public init(_ playbook: Playbook.AddSpockNodeLogical, from origin: RunOrigin, _ ways: Ways, undo: UndoOptions = UndoOptions()) throws {
        (self.playbook, text, self.undo) = (playbook, origin, undo)
        access = ClusterAccess(try Roster(playbook), ways, sessionSettings: SpockSession.settings)
        mesh = SpockMesh(playbook, access)
        node = try LogicalNode(mesh)
        roles = MissingRoles(mesh: mesh, isTold: origin.consents.contains(.createRoles))
        sessions = HandoverSessions(mesh)
        patience = Patience(limit: playbook.copy.stallLimit)
        lock = ClusterLock(playbook.cluster.name, on: mesh.source, of: access, saying: "works on cluster \(playbook.cluster.name)")
        proofOrder = Proof.Order(playbook)
        // For an undo.
        window = ClosedWindow([mesh.newNode], of: access, by: .spockReadOnly, limit: .seconds(30), lease: .seconds(30))
    }

    public static let name = "add-spock-node-logical"
    public var name: String { Self.name }
    public var cluster: String { playbook.cluster.name }
    public func origin() -> RunOrigin { text }

    public var steps: [ListedStep] {
        let details = CreateNewNode.Details(location: playbook.newNode.location, country: playbook.newNode.country, info: playbook.newNode.info)
        let proof = Proof(mesh: mesh, nodes: mesh.nodes, joined: mesh, isPhysical: false, order: proofOrder)
        return [
            ListedStep("", CreateNewNode(node: node, details: details, roles: roles)),
            ListedStep("", fused(CreateSlots(mesh: mesh, node: node, pause: .none(slotWait: playbook.slotWait), sessions: sessions))),
            ListedStep("", fused(DrainIntoSource(node: node, sessions: sessions, patience: patience))),
            ListedStep("", fused(CopyData(node: node, patience: patience, purgesData: undo.purgesData))),
            ListedStep("", fused(CatchUpLogical(node: node, patience: patience))),
            ListedStep("", fused(LeaveSource(node: node, patience: patience))),
            ListedStep("", fused(outlasting(AddSets(node: node)))),
            ListedStep("", fused(outlasting(SubscribeLogical(inner: Subscribe(mesh: mesh, node: node, sessions: sessions))))),
            ListedStep("", outlasting(Verify(mesh: mesh, proof: proof))),
            ListedStep("", outlasting(OpenLogicalNode(node: node, window: window, givesUpWrites: undo.givesUpWrites))),
        ]
    }

    /// A step while which the new node's slots may hold WAL that nobody reads.
    private func fused<Inner: Step>(_ step: Inner) -> WatchingSlot<Inner, MeshFuse> {
        WatchingSlot(step) { [mesh, node, share = playbook.walFuse] in MeshFuse(mesh: mesh, node: node, share: share, memory: $0) }
    }

    /// A step once the node has left its source: a server that has crashed meanwhile and recovers is waited for.
    private func outlasting<Inner: Step>(_ step: Inner) -> OutlastingServers<Inner> {
        OutlastingServers(step, on: mesh.nodes, of: access) { [node, lock] in
            await node.forgetReached()
            try await lock.keep()
        }
    }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), members = MeshSurvey(mesh, survey), new = NewNodeSurvey()
        let hosts = HostIsReached.each(of: mesh.nodes, of: access, survey: survey)
        let nodes = members.members(mesh.members, on: hosts)
        let routes: [any Requirement] =
            mesh.members.map { NodeReaches(node: mesh.newNode, other: $0, members: members, survey: new) }
            + mesh.members.map { NodeReaches(node: $0, other: mesh.newNode, members: members, survey: new) }
        let cluster: [any Requirement] = [
            ClocksAgree(survey: survey, because: "the newest of two updates wins in Spock"), MeshIsSound(survey: members, mode: .logical, window: .zero, newNode: new),
            TransactionsAreShort(survey: members, slotWait: playbook.slotWait), DDLIsFrozen(mesh: mesh, members: members, survey: new),
            SourceGivesAllTables(mesh: mesh, members: members), NoDblink(),
        ]
        return [
            RequirementGroup("hosts", hosts + nodes + [NewNodeIsReady(node: node, survey: new)]),
            RequirementGroup("mesh", cluster),
            RequirementGroup(
                "the new node",
                [
                    NewNodeIsEmpty(node: node, survey: new), RolesAreThere(roles: roles, survey: new), SpockIsConfiguredAlike(mesh: mesh, survey: new),
                    NewNodeHasRoom(mesh: mesh, survey: new), CopyIsOfTables(mesh: mesh, survey: new),
                ] + routes),
        ]
    }

    public func takeLock(holder: Holder) async throws {
        await access.beginToReach(instances: mesh.nodes, servers: mesh.nodes)
        try await lock.take(holder: holder)
    }

    public func takeOver(holder: Holder) async throws {
        try await lock.take(holder: holder)
        await access.endEarlierSessions(on: mesh.nodes)
    }

    public func inUse(_ memory: Memory) async throws -> [String] {
        var things: [String] = []
        if memory.began(Subscribe.name), !memory.isUndone(Subscribe.name) { things.append("\(mesh.newNode) is a member of the mesh, and read by \(list(mesh.members))") }
        if undo.purgesData, memory.began(CopyData.self) { things.append("\(mesh.newNode): everything that was copied into \(mesh.database) is removed (--purge-data)") }
        return things
    }

    public func closingWords(run: String, _ memory: Memory) throws -> [String] { try Verify.closingWords(memory) }

    public func afterFailure(_ failure: RunFailure, _ memory: Memory) async -> AfterFailure {
        .stays(["Every node takes writes, as before.", await mesh.retained(memory)].compactMap(\.self).joined(separator: "\n"))
    }

    public func close() async {
        await lock.release()
        await sessions.drop()
        await access.close()
    }
}

extension Roster {
    /// The nodes that there are, and the new one.
    init(_ playbook: Playbook.AddSpockNodeLogical) throws {
        let osUser = playbook.cluster.osUser
        self.init(
            try playbook.cluster.nodes.map { try Entry($0, osUser: osUser) } + [try Entry(playbook.newNode.node, osUser: osUser)],
            database: playbook.cluster.database, role: playbook.cluster.user)
    }
}

extension SpockMesh {
    init(_ playbook: Playbook.AddSpockNodeLogical, _ access: ClusterAccess) {
        self.init(
            of: playbook.cluster.nodes.map(\.name), from: playbook.sourceName, newNode: playbook.newNode.node.name, database: playbook.cluster.database,
            named: playbook.subscriptions.name, dsn: playbook.newNode.dsn, access)
    }
}

/// Trigger a sync on the other nodes, and wait on the source.
struct DrainIntoSource: LeavesNothing {
    static let name = "drain-into-source"
    let node: LogicalNode
    let sessions: HandoverSessions
    let patience: Patience
    private var mesh: SpockMesh { node.mesh }
    var title: String { mesh.peers.isEmpty ? "Nothing has to come to \(mesh.source) first" : "Trigger a sync on \(list(mesh.peers)), and wait on \(mesh.source)" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if mesh.peers.isEmpty { return .done("\(mesh.source) is alone") }
        if try await node.state(memory) >= .standby { return .done("\(node.name) follows \(mesh.source) already") }
        return .needed([Change("\(list(mesh.peers)): spock.sync_event() behind the slots, then wait for pg_replication_origin_progress on \(mesh.source)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        _ = try await mesh.drainIntoSource(after: await sessions.takeEvents(), with: patience) { run.note($0) }
        return "\(mesh.source) has applied what its peers wrote before the slots"
    }
}
