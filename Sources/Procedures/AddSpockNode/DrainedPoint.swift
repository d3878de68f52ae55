import EventLoop
import PostgresClient
import ProcedureKit
import Run
import Server

/// Every node as it is at one drained point, for the proof: the members as they are before they are open again, the new node as it is
/// before it reads any of them.
actor DrainedPoint {
    private let mesh: SpockMesh
    /// Sessions of their own, connected before they are needed.
    private var sessions: [String: ServerSession] = [:]
    private(set) var snapshots: [String: HeldSnapshot] = [:]
    /// The sync events that stand behind the slots which this window made, by node.
    private var events: [String: LSN] = [:]

    init(_ mesh: SpockMesh) { self.mesh = mesh }

    /// Keeps sync events of this window for the drain.
    func expect(_ events: [String: LSN]) { self.events = events }

    /// The kept ones, once.
    func takeEvents() -> [String: LSN] {
        defer { events = [:] }
        return events
    }

    /// Whether every node is seen as it was, still.
    func isHeld() async -> Bool {
        guard Set(snapshots.keys) == Set(mesh.nodes) else { return false }
        let alive = await attemptOnEach(snapshots.keys.sorted()) { [snapshots] in await snapshots[$0]?.holder.isAlive(deadline: .after(.seconds(10))) ?? false }
        return alive.allSatisfy { if case .success(true) = $0.result { true } else { false } }
    }

    /// Whether the members are.
    var holdsMembers: Bool { Set(snapshots.keys).isSuperset(of: mesh.members) }

    /// Connects to `nodes`, so that it need not be done in the window.
    func prepare(_ nodes: [String], deadline: Deadline) async throws {
        let made = try await onEach(nodes.filter { sessions[$0] == nil }) { [mesh] in try await mesh.access.separateServer($0, deadline: deadline) }
        sessions.merge(made) { _, new in new }
    }

    /// The session with `node` that a snapshot is taken through later.
    func session(_ node: String, deadline: Deadline) async throws -> ServerSession {
        if let session = sessions[node], await session.connection.isOpen { return session }
        sessions[node] = nil
        try await prepare([node], deadline: deadline)
        guard let session = sessions[node] else { throw UnknownNode(name: node) }
        return session
    }

    /// Takes a snapshot on each of `nodes`, and keeps them until ``drop()``.
    func hold(_ nodes: [String], deadline: Deadline) async throws {
        let held = try await onEach(nodes) { try await self.session($0, deadline: deadline).holdSnapshot(deadline: deadline) }
        snapshots.merge(held) { _, new in new }
    }

    /// The same on nodes that were drained and are closed.
    /// - Returns: whether they are held. Where one of `nodes` takes writes again, its lease having run out, they are of different moments.
    func hold(closed nodes: [String], in window: ClosedWindow, _ memory: Memory, deadline: Deadline) async throws -> Bool {
        try await hold(nodes, deadline: deadline)
        if try await Set(window.stillClosed(memory)).isSuperset(of: nodes) { return true }
        await drop()
        return false
    }

    /// Ends the session with `node`, which is about to stop.
    func drop(_ node: String) async { await sessions.removeValue(forKey: node)?.connection.close() }

    func drop() async {
        for session in sessions.values { await session.connection.close() }
        (sessions, snapshots) = ([:], [:])
    }
}
