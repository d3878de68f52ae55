import EventLoop
import PostgresClient
import ProcedureKit
import Run
import Server
import Spock

/// Open transactions that see every node as it is at one drained point, for the proof.
actor DrainedPoint {
    private let mesh: SpockMesh
    private(set) var snapshots: [String: SpockSession] = [:]

    init(_ mesh: SpockMesh) { self.mesh = mesh }

    var isHeld: Bool { !snapshots.isEmpty }

    /// Takes a snapshot on every node, and keeps them until ``drop()``.
    /// - Parameter closed: the nodes that were drained.
    /// - Returns: whether they are held. Where one of `closed` takes writes again, its lease having run out, they are of different moments.
    func hold(closed: [String], in window: ClosedWindow, _ memory: Memory, deadline: Deadline) async throws -> Bool {
        await drop()
        snapshots = try await onEach(mesh.nodes) { [mesh] node in
            let server = try await mesh.access.separateServer(node, deadline: deadline)
            try await server.holdSnapshot(deadline: deadline)
            return SpockSession(server)
        }
        if try await Set(window.stillClosed(memory)).isSuperset(of: closed) { return true }
        await drop()
        return false
    }

    func drop() async {
        for session in snapshots.values { await session.connection.close() }
        snapshots = [:]
    }
}
