import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Wait until everything written anywhere is applied everywhere.
struct DrainMesh: LeavesNothing {
    static let name = "drain"
    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    let sessions: HandoverSessions
    var title: String { "Drain \(list(mesh.members)) in every direction, and \(node.name) with them" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted { return .done("\(node.name) has left its source") }
        return .needed([
            Change("\(list(mesh.members)): spock.sync_event(), then wait for pg_replication_origin_progress on every other node"),
            Change("\(node.name): wait until it has replayed what \(mesh.source) has written by then"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = try await window.deadline()
        let drained = try await mesh.drain(mesh.members, after: await sessions.takeEvents(), deadline: deadline)
        await window.book("drain")
        // Everything before the slots is on the source by now; it must be on the standby before that is promoted.
        let target: LSN
        if let written = drained.written[mesh.source] { target = written } else { target = try await mesh.access.server(mesh.source).insertLSN(deadline: deadline) }
        try await node.standby.waitReplayed(to: target, deadline: deadline)
        await window.book("replay")
        return "\(drained.directions.count) directions are drained; \(node.name) has replayed \(target)"
    }
}
