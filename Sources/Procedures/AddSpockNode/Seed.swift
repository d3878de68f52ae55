import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// What the steps of one seeding share: the playbook, the way to the nodes, and what only this process knows.
actor Seed {
    nonisolated let playbook: Playbook.AddSpockNode
    nonisolated let access: ClusterAccess

    /// The open window; `nil` outside of it.
    var window: Window?
    /// Open transactions that see every node at the drained point, for the proof.
    private(set) var snapshots: [String: SpockSession] = [:]
    private(set) var windowSummary: String?

    /// What an undo may do.
    nonisolated let undo: UndoOptions

    private var lock: ClusterLock?
    private var holder: Holder?

    /// Takes the cluster's lock on the source, until ``unlock()``; says who has it where this process has it already.
    func takeLock(holder: Holder) async throws {
        self.holder = holder
        if let lock { return try await lock.describe(holder) }
        lock = try await ClusterLock.take(playbook.cluster.name, saying: "works on cluster \(playbook.cluster.name)", holder: holder) { [self] name in
            try await access.connection(source, database: playbook.cluster.database, applicationName: name, deadline: .after(.seconds(20)))
        }
    }

    /// Takes the lock again where it was lost with its connection.
    /// - Throws: ``Problem`` when somebody else has it by now.
    func keepLock() async throws {
        guard let holder, let lock, await !lock.isHeld else { return }
        await lock.release()
        self.lock = nil
        try await takeLock(holder: holder)
    }

    /// Ends what an earlier process of the run has left on the servers: sessions whose machine is gone and that nobody has told
    /// them to end may hold locks for hours. Only the holder of the cluster's lock may do that.
    func endLeftOverSessions() async {
        // A node that cannot be reached is a problem of the step that needs it.
        _ = await attemptOnEach(members + [newNode]) { node in
            let deadline = Deadline.after(.seconds(10))
            let session = try await self.access.separateSpock(node, deadline: deadline)
            try await session.server.terminateEarlierSessions(named: ClusterAccess.applicationName, deadline: deadline)
            await session.connection.close()
        }
    }

    func unlock() async {
        await lock?.release()
        lock = nil
    }

    /// Renews the leases of the nodes in the window.
    var leaseKeeper: Task<Void, Never>?
    /// Why the window cannot be kept any longer.
    var lostWindow: Problem?

    /// The nodes that this process has asked to become read-only.
    var asked: Set<String> = []
    /// Those that were opened again since the last ``openAll(_:inOrder:)`` began.
    var reopened: Set<String> = []

    var knownLayout: BackRestLayout?

    init(playbook: Playbook.AddSpockNode, access: ClusterAccess, undo: UndoOptions) {
        (self.playbook, self.access, self.undo) = (playbook, access, undo)
    }

    nonisolated var source: String { playbook.source.name }
    nonisolated var peers: [String] { playbook.peers.map(\.name) }
    /// The nodes of the cluster as it is: the source, then its peers.
    nonisolated var members: [String] { [source] + peers }
    nonisolated var newNode: String { playbook.newNode.node.name }

    nonisolated func name(_ node: String) throws -> NodeName {
        guard let name = NodeName(rawValue: node) else { throw Problem("\(node) is no name for a node") }
        return name
    }

    func spock(_ node: String) async throws -> SpockSession { try await access.spock(node) }

    /// The state this window's own steps have brought the new node to, so that it need not be looked at again in the window.
    private var stateInWindow: CloneState?
    private var subscriptionNames: [String: SubscriptionName] = [:]

    // MARK: The window

    /// Says what a step of the open window has made of the new node; without a window nothing is kept.
    func reached(_ state: CloneState) { stateInWindow = window == nil ? nil : state }

    /// How far the new node has come: as its host and its server show it, or as this window has left it.
    func cloneState(_ memory: Memory) async throws -> CloneState {
        if window != nil, let stateInWindow { return stateInWindow }
        return try await lookAtClone(memory)
    }

    func open(_ window: Window) { self.window = window }

    func book(_ part: String) { window?.book(part) }

    /// The window, which must be open.
    func currentWindow() throws -> Window {
        guard let window else {
            throw Problem("the read-only window is not open", hint: "resume the run: it opens the window anew")
        }
        return window
    }

    func closeWindow() {
        windowSummary = window?.summary
        (window, stateInWindow) = (nil, nil)
    }

    func keep(_ snapshots: [String: SpockSession]) { self.snapshots = snapshots }

    func dropSnapshots() async {
        for session in snapshots.values { await session.connection.close() }
        snapshots = [:]
    }

    // MARK: The mesh

    /// The subscriptions of the existing mesh that the new ones are modelled on: those of the source.
    func model() async throws -> Subscription {
        let subscriptions = try await spock(source).subscriptions(deadline: .after(.seconds(20)))
        guard let model = subscriptions.first(where: { $0.subscriber.rawValue == source }) else {
            throw Problem("\(source) subscribes to no node", hint: "pggraft adds a node to a mesh of at least two")
        }
        return model
    }

    /// The names of the subscriptions from `provider` to `subscriber`: the playbook's, or as the mesh names its own.
    func subscriptionName(provider: String, subscriber: String) async throws -> SubscriptionName {
        let key = provider + " " + subscriber
        if let known = subscriptionNames[key] { return known }
        let text: String?
        if let names = playbook.subscriptions.name {
            text = names.name(provider: provider, subscriber: subscriber)
        } else {
            var all: [Subscription] = []
            for member in members {
                all += try await spock(member).subscriptions(deadline: .after(.seconds(20)))
                    .filter { $0.subscriber.rawValue == member && $0.provider.rawValue != newNode }
            }
            let pattern = SubscriptionPattern(of: all) ?? .usual
            text = pattern.name(provider: try name(provider), subscriber: try name(subscriber))?.rawValue
        }
        guard let name = text.flatMap(SubscriptionName.init(rawValue:)) else {
            throw Problem("the subscription from \(provider) to \(subscriber) has no name that Spock allows", hint: "give subscriptions.name in the playbook")
        }
        subscriptionNames[key] = name
        return name
    }

    /// One direction of the new node's part in the mesh.
    struct NewDirection: Sendable, Hashable, Codable {
        var provider: String
        var subscriber: String
        var subscription: SubscriptionName
        var slot: SlotName
    }

    /// Where each existing node is reached by the others, as the mesh itself says.
    func dsn(of node: String) async throws -> Conninfo {
        if node == newNode { return try newNodeDSN }
        let state = try await spock(source).state(deadline: .after(.seconds(20)))
        guard let dsn = state.nodes.first(where: { $0.name.rawValue == node })?.dsn else {
            throw Problem("\(source) knows no DSN of node \(node)", hint: "see spock.node_interface on \(source)")
        }
        return dsn
    }

    nonisolated var newNodeDSN: Conninfo {
        get throws {
            if let given = playbook.newNode.dsn { return try Conninfo(parsing: given) }
            return Conninfo([
                "host": playbook.newNode.node.address, "port": "\(playbook.newNode.node.port)",
                "dbname": playbook.cluster.database, "user": playbook.cluster.user,
            ])
        }
    }
}
