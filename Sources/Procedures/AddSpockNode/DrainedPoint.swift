import EventLoop
import PostgresClient
import ProcedureKit
import Run
import Server

/// Every node as it is at one drained point, for the proof.
actor DrainedPoint {
    private let mesh: SpockMesh
    private(set) var snapshots: [String: HeldSnapshot] = [:]

    init(_ mesh: SpockMesh) { self.mesh = mesh }

    var isHeld: Bool { !snapshots.isEmpty }

    /// Takes a snapshot on every node, and keeps them until ``drop()``.
    /// - Parameter closed: the nodes that were drained.
    /// - Returns: whether they are held. Where one of `closed` takes writes again, its lease having run out, they are of different moments.
    func hold(closed: [String], in window: ClosedWindow, _ memory: Memory, deadline: Deadline) async throws -> Bool {
        await drop()
        snapshots = try await onEach(mesh.nodes) { [mesh] node in
            try await mesh.access.separateServer(node, deadline: deadline).holdSnapshot(deadline: deadline)
        }
        if try await Set(window.stillClosed(memory)).isSuperset(of: closed) { return true }
        await drop()
        return false
    }

    func drop() async {
        for snapshot in snapshots.values { await snapshot.holder.connection.close() }
        snapshots = [:]
    }
}
