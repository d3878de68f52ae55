import EventLoop
import PostgresClient
import ProcedureKit
import Server

/// What the handover keeps at hand: sessions of its own, connected before they are needed, and the sync events that stand behind the slots.
actor HandoverSessions {
    private let mesh: SpockMesh
    private var sessions: [String: ServerSession] = [:]
    /// By node.
    private var events: [String: LSN] = [:]

    init(_ mesh: SpockMesh) { self.mesh = mesh }

    /// Keeps the sync events behind the slots for the wait.
    func expect(_ events: [String: LSN]) { self.events = events }

    /// The kept ones, once.
    func takeEvents() -> [String: LSN] {
        defer { events = [:] }
        return events
    }

    /// Connects to `nodes`, so that it need not be done later.
    func prepare(_ nodes: [String], deadline: Deadline) async throws {
        let made = try await onEach(nodes.filter { sessions[$0] == nil }) { [mesh] in try await mesh.access.separateServer($0, deadline: deadline) }
        sessions.merge(made) { _, new in new }
    }

    /// The session with `node`.
    func session(_ node: String, deadline: Deadline) async throws -> ServerSession {
        if let session = sessions[node], await session.connection.isOpen { return session }
        sessions[node] = nil
        try await prepare([node], deadline: deadline)
        guard let session = sessions[node] else { throw UnknownNode(name: node) }
        return session
    }

    /// Ends the session with `node`, which is about to stop.
    func drop(_ node: String) async { await sessions.removeValue(forKey: node)?.connection.close() }

    func drop() async {
        for session in sessions.values { await session.connection.close() }
        (sessions, events) = ([:], [:])
    }
}
