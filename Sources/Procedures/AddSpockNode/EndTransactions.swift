import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// End the transactions that clients still have open, and wait until none can write any more.
struct EndTransactions: LeavesNothing {
    static let name = "end-transactions"
    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    /// How long client transactions may go on before they are ended.
    let grace: Duration
    var title: String { "Terminate all client transactions on \(list(mesh.members))" }
    var leavesNothing: String { "clients connect again by themselves" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) >= .promoted { return .done("\(node.name) has left its source") }
        return .needed([
            Change("\(list(mesh.members)): give client transactions \(grace.inSeconds), then pg_terminate_backend; client backends only, no apply worker is touched"),
            Change("\(list(mesh.members)): wait until no client holds a transaction id"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let ended = try await mesh.endClientTransactions(
            on: mesh.members, begunBefore: try await window.moments(), grace: grace, deadline: try await window.deadline())
        await window.book("client transactions")
        for (node, transactions) in ended.sorted(by: { $0.key < $1.key }) {
            for transaction in transactions { run.note("\(node): terminated \(transaction)") }
        }
        return "no client can write any more; \(ended.values.map(\.count).reduce(0, +)) had to be terminated"
    }
}
