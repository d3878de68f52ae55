import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// Leave the node, which is a plain server now, closed to clients or open.
struct LetGo: Step {
    static let name = "let-go"
    let leaving: LeavingNode
    let window: ClosedWindow
    /// Whether clients are let in again.
    let opens: Bool
    private var node: String { leaving.name }
    var title: String { opens ? "Open \(node), which is a plain server now, to clients" : "Leave \(node), which is a plain server now, closed to clients" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard let limit = try memory.recall(CloseLeavingNode.connectionLimit) else {
            guard try memory.header == nil else { return .done("the run has not closed it") }
            return try await leaving.state().node == nil ? .done("\(node) is not touched") : .needed(changes)
        }
        let server: ServerSession
        do { server = try await leaving.access.server(node) } catch let error where !(error is CancellationError) {
            return .done("\(node) gives no answer: whether it is closed cannot be seen")
        }
        let stillReadOnly = try await window.stillClosed(memory), isLimited = try await server.connectionLimit(deadline: .after(.seconds(20))) == 0
        return stillReadOnly.isEmpty && !(opens && isLimited && limit != 0) ? .done(opens ? "it is open" : closedWords) : .needed(changes)
    }

    private var changes: [Change] {
        [Change("\(node): spock.readonly as it was; database \(leaving.database) \(opens ? "takes connections as it did" : "takes no connections, but superusers'")")]
    }

    private var closedWords: String {
        "database \(leaving.database) takes no connections there, but superusers'; ALTER DATABASE \(leaving.database) CONNECTION LIMIT -1 opens it"
    }

    func perform(_ run: StepRun) async throws -> String {
        let problems = await window.open(run.memory)
        if let problem = problems.first { throw problem }
        guard opens, let limit = try run.memory.recall(CloseLeavingNode.connectionLimit) else { return closedWords }
        try await leaving.access.server(node).limitConnections(to: limit, deadline: .after(.seconds(20)))
        return "clients are let in; what they write there comes to no other node"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}
