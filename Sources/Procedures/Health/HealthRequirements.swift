import EventLoop
import Foundation
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

extension MeshSurvey {
    /// What was seen of all nodes, the new one among them.
    /// - Throws: `NotLooked` where one of them could not be looked at.
    func whole() throws -> [String: SpockNodeState] {
        guard mesh.nodes.allSatisfy({ states[$0] != nil }) else { throw NotLooked() }
        return states
    }
}

/// Every node knows every node, and no other one.
struct NodesKnowEachOther: Requirement {
    let name = "nodes"
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        let states = try await survey.whole(), nodes = survey.mesh.nodes
        let findings = nodes.flatMap { node -> [Finding] in
            let known = Set(states[node]?.nodes.map(\.name.rawValue) ?? []), missing = nodes.filter { !known.contains($0) }, strange = known.subtracting(nodes).sorted()
            return
                (missing.isEmpty
                ? [] : [Finding(name, on: node, "does not know \(list(missing))", .notMet(hint: "see spock.node there: subscribe it to \(list(missing)), or have it added again"))])
                + (strange.isEmpty
                    ? []
                    : [
                        Finding(
                            name, on: node, "knows \(list(strange)), which the playbook does not name", .notMet(hint: "name every node of the cluster, or remove \(list(strange))"))
                    ])
        }
        return findings.isEmpty ? [Finding(name, "each of \(list(nodes)) knows all of them")] : findings
    }
}

/// N·(N−1) subscriptions replicate, and their slots are read.
struct SubscriptionsReplicate: Requirement {
    let name = "subscriptions"
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        let states = try await survey.whole(), view = MeshView(Array(states.values)), count = view.names.count * (view.names.count - 1)
        var findings = (MeshChecks.subscriptions(view) + MeshChecks.replicationSets(view)).map {
            Finding(name, $0.fact, $0.severity == .blocker ? .notMet(hint: $0.hint) : .note(hint: $0.hint))
        }
        for subscription in view.subscriptions {
            let provider = subscription.provider.rawValue
            guard states[provider]?.slots.first(where: { $0.name == subscription.slot })?.isActive != true else { continue }
            findings.append(
                Finding(
                    name, on: provider, "the slot \(subscription.slot) of \(subscription.name) is not read",
                    .notMet(hint: "see the log of \(subscription.subscriber)'s server; its status says nothing of that")))
        }
        return findings.contains { !$0.isMet } ? findings : [Finding(name, "\(count) replicating, every slot read")] + findings
    }
}

/// No subscriber is far behind.
struct SubscribersKeepUp: Requirement {
    let name = "lag"
    /// In bytes.
    static let limit: Int64 = 16 << 20
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        let states = try await survey.whole(), mesh = survey.mesh, view = MeshView(Array(states.values))
        let behind = try await onEach(mesh.nodes) { provider in
            let server = try await mesh.access.server(provider), deadline = Deadline.after(.seconds(20))
            async let slots = server.slots(deadline: deadline)
            let end = try await server.currentLSN(deadline: deadline)
            return Dictionary(try await slots.compactMap { slot in slot.confirmedFlushLSN.map { (slot.name, end.bytes(since: $0)) } }) { first, _ in first }
        }
        let lags = view.subscriptions.compactMap { subscription in (behind[subscription.provider.rawValue]?[subscription.slot]).map { (subscription, $0) } }
        let late = lags.filter { $0.1 > Self.limit }
        guard late.isEmpty else {
            return late.map { subscription, bytes in
                Finding(
                    name, on: "\(subscription.subscriber)", "\(UInt64(max(0, bytes)).inBytes) behind \(subscription.provider), at most \(UInt64(Self.limit).inBytes)",
                    .notMet(hint: "look again in a while: pggraft status --watch; where it grows, see the log of \(subscription.subscriber)'s server"))
            }
        }
        return [Finding(name, "nobody is more than \(UInt64(max(0, lags.map(\.1).max() ?? 0)).inBytes) behind")]
    }
}

/// No slot and no origin is there that nobody needs.
struct NothingIsLeftOver: Requirement {
    static let name = "left-overs"
    var name: String { Self.name }
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        let states = try await survey.whole(), mesh = survey.mesh
        let others = try await onEach(mesh.nodes) { try await mesh.spock($0).otherOrigins(deadline: .after(.seconds(20))) }
        let findings =
            Self.slots(MeshView(Array(states.values)))
            + mesh.nodes.flatMap { node in
                states[node].map { Self.origins($0, on: node, besides: others[node] ?? []) } ?? []
            }
        return findings.contains { !$0.isMet } ? findings : [Finding(name, "no slot and no origin that nobody uses")] + findings
    }

    /// One that somebody reads is not left over.
    static func slots(_ view: MeshView) -> [Finding] {
        MeshChecks.foreignSlots(view).compactMap { finding in
            guard case .foreignSlot(let node, _, let isRead) = finding else { return nil }
            return Finding(Self.name, finding.fact, isRead ? .note(hint: "somebody outside the mesh subscribes to \(node)") : .notMet(hint: finding.hint))
        }
    }

    /// Those of an instance of which not every database could be looked into may be somebody's.
    static func origins(_ state: SpockNodeState, on node: String, besides others: [OriginName]) -> [Finding] {
        let unseen = state.unseenDatabases
        return state.unusedOrigins(besides: others).map { origin in
            unseen.isEmpty
                ? Finding(
                    Self.name, on: node, "the origin \(origin) is of no subscription",
                    .notMet(hint: "if nothing else replicates into \(node): \(("SELECT pg_replication_origin_drop(\(literal: origin.rawValue))" as SQL).typed)"))
                : Finding(
                    Self.name, on: node, "the origin \(origin) is of no subscription, unless it is one of \(list(unseen)), which nobody could look into",
                    .note(hint: "let pggraft connect to \(list(unseen))"))
        }
    }
}

/// No change was discarded since the newest subscription was made.
struct NothingWasDiscarded: Requirement {
    let name = "exception_log"
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        _ = try await survey.whole()
        let mesh = survey.mesh, counts = try await onEach(mesh.nodes) { try await mesh.spock($0).exceptionsSinceJoin(deadline: .after(.seconds(20))) }
        let bad = mesh.nodes.filter { counts[$0] ?? 0 > 0 }
        guard bad.isEmpty else {
            return bad.map { node in
                Finding(
                    name, on: node, "\(counts[node] ?? 0) changes were discarded since the last node has joined",
                    .notMet(hint: "read spock.exception_log there (error_message, remote_new_tup), apply what is missing by hand; then pggraft verify"))
            }
        }
        return [Finding(name, "nothing was discarded since the last node has joined")]
    }
}

/// A row from every node comes to every node, in a table of pggraft's own that is removed again.
struct RowsCross: Requirement {
    let name = "test row"
    let survey: MeshSurvey
    let lock: ClusterLock

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = MeshView(Array(try await survey.whole().values))
        // Where one is down a row is waited for in vain, and another requirement tells it.
        guard MeshChecks.subscriptions(view).allSatisfy({ $0.severity != .blocker }) else { throw NotLooked() }
        // Runs use the same table.
        try await lock.take(holder: Holder())
        let mesh = survey.mesh, order = Proof.Order(compares: false, samplesAbove: 0, seed: 1, patience: Patience())
        let deaf = try await Proof(mesh: mesh, nodes: mesh.nodes, joined: nil, order: order).canary(token: UUID().uuidString, deadline: .after(.seconds(60))) { memory.note($0) }
        await lock.release()
        return [Finding(name, "one from every node has come to every node")] + deaf.map { Finding(name, $0, .note(hint: "the sets that it reads take no rows")) }
    }
}
