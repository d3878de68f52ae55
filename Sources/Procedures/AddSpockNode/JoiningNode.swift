import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server
import Spock

/// The node that joins: how far it has come from an empty directory to a member of the mesh.
actor JoiningNode: MeshJoiner {
    nonisolated let copy: CopiedNode
    nonisolated let standby: Standby
    nonisolated let mesh: SpockMesh
    nonisolated let admittance: NodeAccess
    /// The state that this run's own steps have brought it to, one right behind the other, so that it need not be looked at again.
    private var reachedState: JoiningState?
    /// What will open it, as it is being looked for.
    private var preparedOpening: Task<[ConfigurationEdit], any Error>?

    init(_ standby: Standby, mesh: SpockMesh, admittance: NodeAccess) {
        (copy, self.standby, self.mesh, self.admittance) = (standby.node, standby, mesh, admittance)
    }

    nonisolated var name: String { copy.name }
    private nonisolated var access: ClusterAccess { copy.access }

    /// Says what a step of this run, which goes on at once, has made of it.
    func reached(_ state: JoiningState) { reachedState = state }

    /// Says that it has to be looked at again: what was begun last was cut off.
    func forgetReached() { reachedState = nil }

    /// Whether this run has just brought it to `state`: the next steps are needed then, without a look.
    func hasJustReached(_ state: JoiningState) -> Bool { reachedState == state }

    /// How far it has come: as its host and its server show it, or as this run has just left it.
    func state(_ memory: Memory) async throws -> JoiningState {
        if let reachedState { return reachedState }
        return try await look(memory)
    }

    private func look(_ memory: Memory) async throws -> JoiningState {
        switch try await copy.state() {
        case .empty: return .empty
        case .partlyRestored: return .partlyRestored
        case .restored where !memory.startedAdopted: return .restored
        case .restored: break
        case .started: break
        }
        guard let session = try await session(memory) else { return try await stoppedState(deadline: .after(.seconds(30))) }
        if memory.began(PromoteNewNode.self) { try await standby.awaitPromotion { memory.note($0) } }
        let deadline = Deadline.after(.seconds(30)), state = try await session.state(deadline: deadline)
        if state.isInRecovery { return .standby }
        guard let local = state.local, state.extensionVersion != nil else {
            let inherited = try memory.recall(RemoveIdentity.origins) ?? []
            return state.origins.contains { $0.name.map(inherited.contains) ?? false } ? .promoted : .cleaned
        }
        guard local.name.rawValue == name else { return .promoted }
        return try await mesh.isJoined(state.subscriptions, deadline: deadline) ? .subscribed : .node
    }

    /// A session on it; `nil` when it does not run. One that is starting or stopping is waited for.
    private func session(_ memory: Memory) async throws -> SpockSession? {
        let instance = try await copy.instance(), time = Duration.seconds(20)
        return try await wait(
            for: "\(name) to take connections, or to be stopped", with: standby.patience, why: { try await instance.recoveryObstacle(deadline: .after(time)) },
            tell: { memory.note($0) }
        ) { () -> MovingLook<SpockSession?, String> in
            guard try await instance.status(deadline: .after(.seconds(30))).isRunning else { return .found(nil) }
            do {
                return .found(try await mesh.spock(name))
            } catch let error as PostgresError where error.code == "57P03" {
                return .notYet(Problem(explaining: error).fact, try await instance.startupProgress(deadline: .after(time)))
            }
        }
    }

    /// What a stopped server last was. Whether it has lost the source's identity is seen from its preload list: Spock
    /// comes back into it only after that.
    private func stoppedState(deadline: Deadline) async throws -> JoiningState {
        switch try await copy.instance().controlData(deadline: deadline).state {
        case .shutDownInRecovery, .inArchiveRecovery: .standby
        default: try await preload(deadline: deadline).contains("spock") ? .cleaned : .promoted
        }
    }

    /// What a hint says where the copy is of no use any more.
    nonisolated var anew: String {
        copy.existing == .adopted ? "undo this run, make the standby anew, and begin again" : "undo this run with --purge-data, and begin anew"
    }

    /// That it is a member, and what an undo takes of that; `nil` where no node reads it.
    nonisolated func membership(_ memory: Memory) async throws -> String? {
        guard memory.began(Subscribe.self), !memory.isUndone(Subscribe.self) else { return nil }
        let reads = await attemptOnEach(mesh.members) { [mesh, name] member in
            try await mesh.spock(member).subscriptions(deadline: .after(.seconds(20))).contains { $0.provider.rawValue == name }
        }
        try Task.checkCancellation()
        // A member that cannot be asked may read it.
        let readers = reads.filter { if case .success(false) = $0.result { false } else { true } }.map(\.name).sorted()
        guard !readers.isEmpty else { return nil }
        let isOpen = try memory.holdsUnreadWrites
        return "\(name) is a member of the mesh\(isOpen ? " and takes writes" : ""): it stops, and its subscriptions and slots on \(list(readers)) are dropped"
    }

    nonisolated func obstacle(to thing: String, _ memory: Memory) throws -> Problem? { try copy.obstacle(to: thing, memory) }

    nonisolated func isSpockLoaded() async throws -> Bool { try await mesh.spock(name).isLoaded(deadline: .after(.seconds(10))) }

    /// Its preload list, as its files say.
    nonisolated func preload(deadline: Deadline) async throws -> LibraryList {
        guard let entry = try await copy.instance().settingsTree(deadline: deadline).deciding("shared_preload_libraries") else { return .empty }
        guard let list = LibraryList(entry.value) else { throw Problem("\(name): \(entry): the list is not valid") }
        return list
    }

    // MARK: Rules

    /// The rules under which it runs until it has joined: for the nodes and for pggraft, whatever else the source's say.
    nonisolated func closedRules() async throws -> HBAFile { try await admittance.admissions().closed() }

    /// The rules that let in the nodes and pggraft once it has joined, too: those that it was closed with.
    nonisolated func nodeRules(_ memory: Memory) async throws -> [HBARule] {
        guard let lines = try memory.recall(NodeAccess.rules) else { return try await admittance.admissions().rules() }
        return HBAFile(lines.joined(separator: "\n"), for: HBAServer(try await copy.instance().version)).rules
    }
}

extension JoiningNode {
    /// Begins to look for what will open it, while other steps go on: nothing of that changes any more.
    func prepareOpening(_ memory: Memory) { preparedOpening = Task { try await lookForOpening(memory) } }

    /// What opens it to clients.
    func opening(_ memory: Memory) async throws -> [ConfigurationEdit] {
        if let preparedOpening, case .success(let edits) = await preparedOpening.result { return edits }
        return try await lookForOpening(memory)
    }

    private nonisolated func lookForOpening(_ memory: Memory) async throws -> [ConfigurationEdit] {
        async let rules = standby.sourceRules(), ensured = nodeRules(memory)
        let configuration = try await standby.configuration(without: CopiedDatabase.knownReplicators), (hba, ident) = try await rules
        return configuration.opening(sourceHBA: hba, sourceIdent: ident, ensuring: try await ensured, current: configuration.target.content)
    }

    /// What it has become since, where it is no standby any more.
    func stateBeyondStandby(_ memory: Memory) async throws -> String? {
        let state = try await state(memory)
        return state > .standby ? "\(state)" : nil
    }
}
