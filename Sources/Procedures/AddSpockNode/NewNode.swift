import EventLoop
import Instance
import PgBackRest
import Playbook
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

extension Seed {
    /// The instance of `node`, found once.
    func instance(_ node: String) async throws -> Instance { try await access.instance(node) }

    /// The new node's instance where the source may be gone: the journal knows which programs it runs with.
    func newNodeInstance(_ memory: Memory) async throws -> Instance {
        try await access.instance(newNode, programs: try memory.recall(NewNodePrograms.fact))
    }

    /// Looks at the new node's host, and at its server where that runs.
    func lookAtClone(_ memory: Memory) async throws -> CloneState {
        let clone = try await instance(newNode)
        let deadline = Deadline.after(.seconds(30))
        let directory = try await RestoredDirectory.inspect(clone.dataDirectory, on: clone.host, user: clone.user, deadline: deadline)
        switch directory {
        case .absent, .empty: return .empty
        case .incomplete: return .partlyRestored
        case .foreign:
            throw Problem("\(newNode): \(clone.dataDirectory) holds files that are no PostgreSQL cluster", hint: "name an empty directory, or empty this one")
        case .complete(let complete) where !complete.started: return .restored
        case .complete: break
        }
        guard let session = try await sessionOfClone(clone) else { return try await stoppedState(clone, deadline: deadline) }
        if memory.began(PromoteNewNode.self) { try await awaitPromotion(session, clone) }
        let state = try await session.state(deadline: deadline)
        if state.isInRecovery { return .standby }
        guard let local = state.local, state.extensionVersion != nil else {
            let inherited: [OriginName] = try memory.recall(InheritedOrigins.fact) ?? []
            return state.origins.contains { $0.name.map(inherited.contains) ?? false } ? .promoted : .cleaned
        }
        guard local.name.rawValue == newNode else { return .promoted }
        return try await isSubscribed(state, deadline: deadline) ? .subscribed : .node
    }

    /// Waits until the new node, whose server has broken down, takes connections again.
    func awaitNewNode(deadline: Deadline) async throws {
        await access.forgetServer(newNode)
        try await wait(for: "\(newNode) to take connections again", until: deadline, every: .milliseconds(100)) { () -> Look<Void> in
            do {
                _ = try await spock(newNode)
                return .found(())
            } catch let error as PostgresError {
                return .notYet("\(error)")
            }
        }
    }

    /// A session on the new node; `nil` when it does not run. One that is starting or stopping is waited for.
    private func sessionOfClone(_ clone: Instance) async throws -> SpockSession? {
        let deadline = Deadline.after(.seconds(300))
        return try await wait(for: "\(newNode) to take connections, or to be stopped", until: deadline, every: .milliseconds(200)) { () -> Look<SpockSession?> in
            guard try await clone.status(deadline: .after(.seconds(30))).isRunning else { return .found(nil) }
            do {
                return .found(try await spock(newNode))
            } catch let error as PostgresError where error.code == "57P03" {
                return .notYet("\(error)")
            }
        }
    }

    /// Waits for the end of a promotion that was asked for and not seen through: the server takes its time between the signal
    /// and the new timeline, and is no standby any more from the signal on.
    private func awaitPromotion(_ session: SpockSession, _ clone: Instance) async throws {
        let deadline = Deadline.after(.seconds(120))
        try await wait(for: "a promotion of \(newNode) that was begun to end", until: deadline, every: .milliseconds(200)) { () -> Look<Void> in
            let recovery = try await session.server.recovery(deadline: .after(.seconds(20)))
            guard recovery.isInRecovery else { return .found(()) }
            let isAsked = try await clone.host.stat(clone.dataDirectory / "promote", as: clone.user, deadline: .after(.seconds(20))) != nil
            if isAsked { return .notYet("the signal to promote was not taken yet") }
            // Without a receiver it is being promoted, or its source is gone: the end of the wait tells.
            return recovery.isReceiving ? .found(()) : .notYet("it receives no WAL, and is still in recovery")
        }
    }

    /// What a stopped server last was. Whether it has lost the source's identity is seen from its preload list: Spock
    /// comes back into it only after that.
    private func stoppedState(_ clone: Instance, deadline: Deadline) async throws -> CloneState {
        switch try await clone.controlData(deadline: deadline).state {
        case .shutDownInRecovery, .inArchiveRecovery: return .standby
        default: return try await clonePreload(deadline: deadline).contains("spock") ? .cleaned : .promoted
        }
    }

    private func isSubscribed(_ state: SpockNodeState, deadline: Deadline) async throws -> Bool {
        for member in members {
            guard state.subscriptions.contains(where: { $0.provider.rawValue == member && $0.subscriber.rawValue == newNode }) else { return false }
            let others = try await spock(member).subscriptions(deadline: deadline)
            guard others.contains(where: { $0.provider.rawValue == newNode && $0.subscriber.rawValue == member }) else { return false }
        }
        return true
    }

    /// Waits until the standby has replayed the source's WAL up to `target`.
    func waitReplayed(to target: LSN, deadline: Deadline) async throws {
        do {
            try await spock(newNode).server.waitReplayed(to: target, of: source, deadline: deadline)
        } catch let error as ServerError {
            guard case .promoted = error else { throw error }
            throw Problem(error.fact, hint: "somebody promoted it; undo this run")
        }
    }

    /// Where the new node left the source's timeline.
    func leftTimelineAt(deadline: Deadline) async throws -> LSN {
        try await instance(newNode).promotion(connecting: cloneConnector, deadline: deadline).switchpoint
    }

    /// Makes a connection to the new node; the caller closes it.
    nonisolated var cloneConnector: @Sendable (Deadline) async throws -> PostgresConnection {
        { [self] deadline in try await access.connection(newNode, database: playbook.cluster.database, deadline: deadline) }
    }
}

/// The programs that the new node runs with, for an undo without the source.
enum NewNodePrograms { static let fact = Fact<KnownPrograms>("programs of the new node") }
