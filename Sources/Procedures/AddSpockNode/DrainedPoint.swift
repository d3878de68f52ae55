import EventLoop
import PostgresClient
import ProcedureKit
import Server
import Spock

/// Open transactions that see every node as it is at one drained point, for the proof.
actor DrainedPoint {
    private let mesh: SpockMesh
    private(set) var snapshots: [String: SpockSession] = [:]

    init(_ mesh: SpockMesh) { self.mesh = mesh }

    var isHeld: Bool { !snapshots.isEmpty }

    /// Takes a snapshot on every node, and keeps them until ``drop()``.
    func hold(deadline: Deadline) async throws {
        await drop()
        snapshots = try await onEach(mesh.nodes) { [mesh] node in
            let server = try await mesh.access.separateServer(node, deadline: deadline)
            try await server.holdSnapshot(deadline: deadline)
            return SpockSession(server)
        }
    }

    func drop() async {
        for session in snapshots.values { await session.connection.close() }
        snapshots = [:]
    }
}
