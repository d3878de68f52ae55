import EventLoop
import Instance
import Playbook
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Run
import Server
import Spock

/// Part of step 14: open the new node to clients.
struct OpenNewNode: Step {
    static let name = "open-new-node"

    let seed: Seed
    var title: String { "Open \(seed.newNode) to clients, with the rules of \(seed.source)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) == .subscribed, try await seed.opening(memory).isEmpty { return .done("its rules are those of \(seed.source)") }
        return .needed([Change("\(seed.newNode): pg_hba.conf of \(seed.source), with a rule for each node; reload, read back")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(60))
        try run.remember(Self.emptied, false)
        try await seed.apply(try await seed.opening(run.memory), run, deadline: deadline)
        let clone = try await seed.instance(seed.newNode), session = try await seed.spock(seed.newNode)
        let report = try await clone.reload(through: session.connection, deadline: deadline)
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
                    "\(seed.newNode) has been open to clients (it takes none any more: spock.readonly, and a connection limit of 0 on its database), and what they wrote there cannot be read by the others now",
                    because: error,
                    hint: "undo again when that is mended; or \(giveUpHint)")
            ])
        }
        if case .left = outcome {
            guard seed.undo.givesUpWrites else { return outcome }
            try run.remember(Self.emptied, true)
            return .undone(["what clients wrote on \(seed.newNode) and no other node has read is given up"])
        }
        try run.remember(Self.emptied, true)
        return outcome
    }

    /// Takes no more writes, and waits until every other node has read those that there are.
    private func readAll(_ run: StepRun) async throws -> UndoOutcome {
        let clone = try await seed.newNodeInstance(run.memory)
        // It was emptied by hand, or is another cluster by now: there is nothing left to be read.
        guard try await seed.holding(clone, run.memory) == .copy else { return .undone([]) }
        guard try await clone.status(deadline: .after(.seconds(30))).isRunning else {
            return .left([
                Problem(
                    "\(seed.newNode) has been open to clients and is stopped: what they wrote there and the others have not read yet is nowhere else",
                    hint: "start it and undo again, so that it is read first; or \(giveUpHint)")
            ])
        }
        let made: [MadeSubscription] = try run.memory.recall(MadeSubscription.fact) ?? []
        let others = try await seed.spock(seed.newNode).server.slots(deadline: .after(.seconds(20))).map(\.name).filter { slot in !made.contains { $0.slot == slot } }
        guard others.isEmpty else {
            return .left([
                Problem(
                    "\(seed.newNode) is read by others than \(list(seed.members)), through \(list(others.map(\.rawValue))): left as it is",
                    hint: "drop those subscriptions, standbys or slots if nobody needs them, and undo again")
            ])
        }
        try await seed.emptyNewNode(deadline: .after(.seconds(120)))
        return .undone(["\(seed.newNode) takes no writes any more; \(list(seed.members)) have everything that was written there"])
    }

    private var giveUpHint: String { "if nothing of it is needed: pggraft undo --give-up-writes" }

    static let emptied = Fact<Bool>("new node emptied")
}

extension Seed {
    /// Closes the new node to clients, and waits until every other node has applied what was written there.
    ///
    /// The read-only mode alone does not keep every write out: no client may be connected any more.
    func emptyNewNode(deadline: Deadline) async throws {
        let session = try await spock(newNode), users = [playbook.cluster.user, playbook.cluster.osUser]
        // Superusers are let in all the same, among them the mesh's own role.
        try await session.server.limitConnections(to: 0, deadline: deadline)
        let flip = try await close([newNode], deadline: deadline)
        try await session.server.terminateClients(except: users, deadline: deadline)
        _ = try await endClientTransactions(on: [newNode], begunBefore: flip, deadline: deadline)
        var directions: [Direction] = []
        for member in members {
            let subscriber = try await spock(member)
            let reading = try await subscriber.subscriptions(deadline: deadline).first { $0.provider.rawValue == newNode && $0.subscriber.rawValue == member }
            guard let reading else {
                throw Problem(
                    "\(newNode) has been open to clients, and \(member) does not read it any more: what they wrote there may never have come to \(member)",
                    hint: "compare \(member) with \(newNode) first; if nothing of it is needed: pggraft undo --give-up-writes")
            }
            directions.append(Direction(provider: session, subscriber: subscriber, origin: reading.origin))
        }
        _ = try await drain(directions, deadline: deadline)
    }

    /// What opens the new node.
    func opening(_ memory: Memory) async throws -> [ConfigurationEdit] {
        let configuration = try await cloneConfiguration(memory)
        let (hba, ident) = try await sourceHBA()
        return configuration.opening(
            sourceHBA: hba, sourceIdent: ident, ensuring: meshRules(after: try await sourceHBAFile()), current: configuration.target.content)
    }
}
