import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Trigger a sync on the source node and wait on the new node.
struct CatchUpLogical: LeavesNothing {
    static let name = "catch-up"
    let node: LogicalNode
    let patience: Patience
    private var mesh: SpockMesh { node.mesh }
    var title: String { "Wait until \(node.name) has caught up with \(mesh.source)" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) > .standby { return .done("\(node.name) has left \(mesh.source)") }
        return .needed([Change("\(mesh.source): spock.sync_event(), then wait for it on \(node.name)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let event = try await node.follow(with: patience) { run.note($0) }
        return "\(node.name) has applied \(mesh.source) up to \(event)"
    }
}

extension LogicalNode {
    /// Waits until it has applied what the source has written so far.
    /// - Returns: up to where that is.
    nonisolated func follow(with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> LSN {
        let source = try await mesh.spock(mesh.source), own = try await mesh.spock(name)
        let direction = Spock.Direction(provider: source, subscriber: own, origin: OriginName(try await copySlot(deadline: .after(.seconds(20)))))
        guard let drained = try await mesh.explained(by: { [name] }, { try await Spock.drain([direction], with: patience, tell: tell) }).first else {
            throw UnknownNode(name: name)
        }
        return drained.lsn
    }
}
