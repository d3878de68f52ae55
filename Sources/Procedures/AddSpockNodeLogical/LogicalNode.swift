import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// The node that joins with what Spock copies and replicates to it.
actor LogicalNode: MeshJoiner {
    nonisolated let mesh: SpockMesh
    /// By which it follows the source until it reads every member.
    nonisolated let copyName: SubscriptionName
    private var reachedState: JoiningState?

    init(_ mesh: SpockMesh) throws {
        self.mesh = mesh
        guard let name = SubscriptionName("pggraft_copy_", of: try mesh.name(mesh.newNode)) else {
            throw Problem("\(mesh.newNode): the subscription by which it is filled would have no name that Spock allows", hint: "give it another name in the playbook")
        }
        copyName = name
    }

    nonisolated var name: String { mesh.newNode }
    nonisolated var anew: String { "undo this run with --purge-data, and begin anew" }

    func reached(_ state: JoiningState) { reachedState = state }
    func hasJustReached(_ state: JoiningState) -> Bool { reachedState == state }
    /// Says that it has to be looked at again: what was begun last was cut off.
    func forgetReached() { reachedState = nil }
    nonisolated func obstacle(to thing: String, _ memory: Memory) throws -> Problem? {
        try memory.recall(OpenLogicalNode.isOpen) == true ? mesh.unreadWrites(keeping: thing) : nil
    }

    func state(_ memory: Memory) async throws -> JoiningState {
        if let reachedState { return reachedState }
        // While it leaves the source its server is stopped for a moment.
        if memory.began(LeaveSource.self), try await !instance(memory).status(deadline: .after(.seconds(30))).isRunning { return .promoted }
        let deadline = Deadline.after(.seconds(30)), session = try await mesh.spock(name), state = try await session.state(deadline: deadline)
        guard let local = state.local else { return .empty }
        guard local.name.rawValue == name else {
            throw Problem("\(name) is the Spock node \(local.name) already", hint: "name it so in the playbook, or give the new node a server of its own")
        }
        if state.subscriptions.contains(where: { $0.name == copyName }) { return .standby }
        guard try memory.recall(RemoveIdentity.positions) != nil else { return .restored }
        return try await mesh.isJoined(state.subscriptions, deadline: deadline) ? .subscribed : .cleaned
    }

    /// Its instance, whose server may be stopped by this run.
    nonisolated func instance(_ memory: Memory) async throws -> Instance { try await mesh.access.instance(name, programs: try memory.recall(CopiedNode.programs)) }

    /// Drops the named origins that have come since it had `kept`.
    nonisolated func dropOrigins(except kept: [OriginName], deadline: Deadline) async throws {
        let server = try await mesh.access.server(name), there = try await server.origins(deadline: deadline).compactMap(\.name)
        try await server.dropOrigins(there.filter { !kept.contains($0) }, deadline: deadline)
    }

    /// The slot of the copy, on the source.
    nonisolated func copySlot(deadline: Deadline) async throws -> SlotName {
        try await mesh.spock(mesh.source).generateSlotName(database: mesh.database, provider: try mesh.name(mesh.source), subscription: copyName, deadline: deadline)
    }

    /// Waits until it, whose server has broken down, takes connections again.
    nonisolated func awaitServer(deadline: Deadline) async throws {
        await mesh.access.forgetServer(name)
        try await wait(for: "\(name) to take connections again", until: deadline, every: .milliseconds(100)) { () -> Look<Void> in
            do {
                _ = try await mesh.access.server(name)
                return .found(())
            } catch let error as PostgresError {
                return .notYet(Problem(explaining: error).fact)
            }
        }
    }
}
