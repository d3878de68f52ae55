import EventLoop
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Open the new node to clients.
struct OpenLogicalNode: Step {
    static let name = "open-new-node"
    /// Whether clients may have written there what no other node has read.
    static let isOpen = Fact<Bool>("new node open")

    let node: LogicalNode
    let window: ClosedWindow
    let givesUpWrites: Bool
    private var mesh: SpockMesh { node.mesh }
    var title: String { "Open \(node.name) to clients" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let limit = try memory.recall(CreateNewNode.before)?.connectionLimit ?? -1
        if try await node.state(memory) == .subscribed, try await mesh.access.server(node.name).connectionLimit(deadline: .after(.seconds(20))) == limit {
            return .done("\(node.name) takes connections")
        }
        return .needed([
            Change("\(node.name): its sequences are set to where those of \(mesh.source) stand"),
            Change("\(node.name): database \(mesh.database) takes \(limit < 0 ? "any number of connections" : "\(limit) connections") again"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let before = try run.recall(CreateNewNode.before), server = try await mesh.access.server(node.name)
        // Spock copies none of their numbers.
        let (sequences, behind) = try await server.bringSequences(
            to: try await mesh.access.server(mesh.source), except: before.schemas + SpockSession.uncopiedSchemas, deadline: .after(.seconds(300)))
        try run.remember(Self.isOpen, true)
        try await server.limitConnections(to: before.connectionLimit, deadline: .after(.seconds(20)))
        let words = sequences == 1 ? "1 sequence is where that of \(mesh.source) is" : "\(sequences) sequences are where those of \(mesh.source) are"
        return (sequences == 0 ? "" : "\(words) (\(behind) had to be set); ") + "it takes connections"
    }

    // What clients have written there must reach the others before anything of it goes.
    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try run.memory.recall(Self.isOpen) == true else { return .undone([]) }
        do {
            try await window.remember([node.name], run)
            try await empty(deadline: .after(.seconds(120)))
            // What was copied is dropped next. Clients are out, and stay out.
            if let problem = await window.open(run.memory).first { throw problem }
        } catch let error where !(error is CancellationError) && !givesUpWrites {
            return .left([
                Problem(
                    "\(node.name) has been open to clients, and what they wrote there cannot be read by the others now", because: error,
                    hint: "undo again when that is mended; or, if nothing of it is needed: pggraft undo RUN --give-up-writes")
            ])
        }
        try run.remember(Self.isOpen, false)
        return .undone(["\(node.name) takes no connections of clients any more; \(list(mesh.members)) have everything that was written there"])
    }

    private func empty(deadline: Deadline) async throws {
        let closed = ClosedNode(mesh: mesh, name: node.name, window: window, grace: .milliseconds(500))
        try await closed.close(deadline: deadline)
        let readers = try await closed.readers(mesh.members, deadline: deadline)
        let deaf = mesh.members.filter { readers[$0]?.isEmpty ?? true }
        guard deaf.isEmpty else { throw Problem("\(list(deaf)) \(deaf.count == 1 ? "does" : "do") not read \(node.name) any more", hint: "compare them with \(node.name) first") }
        _ = try await Spock.drain(readers.values.flatMap(\.self), deadline: deadline)
    }
}
