import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Open the new node to clients.
struct OpenNewNode: Step {
    static let name = "open-new-node"
    /// Whether an undo has closed it again, and the others have everything that was written there, or it was given up.
    static let isEmptied = Fact<Bool>("new node emptied")

    let mesh: SpockMesh
    let node: JoiningNode
    let window: ClosedWindow
    let grace: Duration
    /// Whether an undo may give up what clients wrote there and no other node has read.
    let givesUpWrites: Bool
    var title: String { "Open \(node.name) to clients, with the rules of \(mesh.source)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) == .subscribed, try await node.opening(memory).isEmpty { return .done("its rules are those of \(mesh.source)") }
        return .needed([Change("\(node.name): pg_hba.conf of \(mesh.source), with a rule for each node; reload, read back")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(60))
        try run.remember(Self.isEmptied, false)
        try await node.copy.apply(try await node.opening(run.memory), run, deadline: deadline)
        let report = try await node.copy.instance().reload(through: try await mesh.access.server(node.name).connection, deadline: deadline)
        return "reloaded and read back" + (report.pendingRestart.isEmpty ? "" : "; waits for a restart: \(report.pendingRestart.joined(separator: ", "))")
    }

    // What clients have written there must reach the others before anything of it goes.
    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try run.memory.holdsUnreadWrites else { return .undone([]) }
        let outcome: UndoOutcome
        do {
            outcome = try await readAll(run)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            outcome = .left([
                Problem(
                    "\(node.name) has been open to clients (it takes none any more: spock.readonly, and a connection limit of 0 on its database), and what they wrote there cannot be read by the others now",
                    because: error, hint: "undo again when that is mended; or \(giveUpHint)")
            ])
        }
        if case .left = outcome {
            guard givesUpWrites else { return outcome }
            try run.remember(Self.isEmptied, true)
            return .undone(["what clients wrote on \(node.name) and no other node has read is given up"])
        }
        try run.remember(Self.isEmptied, true)
        return outcome
    }

    /// Takes no more writes, and waits until every other node has read those that there are.
    private func readAll(_ run: StepRun) async throws -> UndoOutcome {
        // It was emptied by hand, or is another cluster by now: there is nothing left to be read.
        guard try await node.copy.holding(run.memory) == .copy else { return .undone([]) }
        guard try await node.copy.instance(run.memory).status(deadline: .after(.seconds(30))).isRunning else {
            return .left([
                Problem(
                    "\(node.name) has been open to clients and is stopped: what they wrote there and the others have not read yet is nowhere else",
                    hint: "start it and undo again, so that it is read first; or \(giveUpHint)")
            ])
        }
        let made = try run.memory.recall(Subscribe.made) ?? []
        let others = try await mesh.access.server(node.name).slots(deadline: .after(.seconds(20))).map(\.name).filter { slot in !made.contains { $0.slot == slot } }
        guard others.isEmpty else {
            return .left([
                Problem(
                    "\(node.name) is read by others than \(list(mesh.members)), through \(list(others.map(\.rawValue))): left as it is",
                    hint: "drop those subscriptions, standbys or slots if nobody needs them, and undo again")
            ])
        }
        try await empty(deadline: .after(.seconds(120)))
        return .undone(["\(node.name) takes no writes any more; \(list(mesh.members)) have everything that was written there"])
    }

    /// Closes the new node to clients, and waits until every other node has applied what was written there.
    private func empty(deadline: Deadline) async throws {
        let closed = ClosedNode(mesh: mesh, name: node.name, window: window, grace: grace)
        try await closed.close(deadline: deadline)
        let readers = try await closed.readers(mesh.members, deadline: deadline)
        if let member = mesh.members.first(where: { readers[$0]?.isEmpty != false }) {
            throw Problem(
                "\(node.name) has been open to clients, and \(member) does not read it any more: what they wrote there may never have come to \(member)",
                hint: "compare \(member) with \(node.name) first; \(giveUpHint)")
        }
        _ = try await drain(readers.values.flatMap(\.self), deadline: deadline)
    }

    private var giveUpHint: String { "if nothing of it is needed: pggraft undo RUN --give-up-writes" }
}

extension Memory {
    /// Whether clients may have written on the new node what no other node has read.
    var holdsUnreadWrites: Bool {
        get throws { try began(OpenNewNode.self) && recall(OpenNewNode.isEmptied) != true }
    }
}
