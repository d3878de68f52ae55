import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Server
import Spock

/// The Spock cluster that a node joins: who its members are, how the new one is named in it, and what all of them are asked.
actor SpockMesh {
    nonisolated let access: ClusterAccess
    /// The node that is copied.
    nonisolated let source: String
    nonisolated let peers: [String]
    nonisolated let newNode: String
    /// The database that is replicated.
    nonisolated let database: String
    private let names: Playbook.AddSpockNode.SubscriptionNames?
    private let dsn: String?
    private var known: [Pair: SubscriptionName] = [:]

    private struct Pair: Hashable { var provider: String, subscriber: String }

    init(_ playbook: Playbook.AddSpockNode, _ access: ClusterAccess) {
        self.access = access
        (source, peers) = (playbook.source.name, playbook.peers.map(\.name))
        (newNode, database) = (playbook.newNode.node.name, playbook.cluster.database)
        (names, dsn) = (playbook.subscriptions.name, playbook.newNode.dsn)
    }

    /// The nodes of the cluster as it is: the source, then its peers.
    nonisolated var members: [String] { [source] + peers }
    /// The nodes of the cluster as it will be.
    nonisolated var nodes: [String] { members + [newNode] }

    nonisolated func spock(_ node: String) async throws -> SpockSession { SpockSession(try await access.server(node)) }

    nonisolated func name(_ node: String) throws -> NodeName {
        guard let name = NodeName(rawValue: node) else { throw Problem("\(node) is no name for a node") }
        return name
    }

    // MARK: Subscriptions

    /// One direction of the new node's part in the mesh.
    struct Direction: Sendable, Hashable, Codable {
        var provider: String
        var subscriber: String
        var subscription: SubscriptionName
        var slot: SlotName
    }

    /// The subscription of the existing mesh that the new ones are modelled on: one of the source's.
    nonisolated func model() async throws -> Subscription {
        let subscriptions = try await spock(source).subscriptions(deadline: .after(.seconds(20)))
        guard let model = subscriptions.first(where: { $0.subscriber.rawValue == source }) else {
            throw Problem("\(source) subscribes to no node", hint: "pggraft adds a node to a mesh of at least two")
        }
        return model
    }

    /// The name of the subscription from `provider` to `subscriber`: the playbook's, or as the mesh names its own.
    func subscriptionName(provider: String, subscriber: String) async throws -> SubscriptionName {
        let pair = Pair(provider: provider, subscriber: subscriber)
        if let name = known[pair] { return name }
        let text: String?
        if let names {
            text = names.name(provider: provider, subscriber: subscriber)
        } else {
            var all: [Subscription] = []
            for member in members {
                all += try await spock(member).subscriptions(deadline: .after(.seconds(20)))
                    .filter { $0.subscriber.rawValue == member && $0.provider.rawValue != newNode }
            }
            let pattern = SubscriptionPattern(of: all) ?? .usual
            text = pattern.name(provider: try name(provider), subscriber: try name(subscriber))?.rawValue
        }
        guard let name = text.flatMap(SubscriptionName.init(rawValue:)) else {
            throw Problem("the subscription from \(provider) to \(subscriber) has no name that Spock allows", hint: "give subscriptions.name in the playbook")
        }
        known[pair] = name
        return name
    }

    /// The subscription of `subscriber` to `provider`, with the slot the provider names for it.
    nonisolated func direction(from provider: String, to subscriber: String, deadline: Deadline) async throws -> Direction {
        let subscription = try await subscriptionName(provider: provider, subscriber: subscriber)
        let slot = try await spock(provider).generateSlotName(
            database: database, provider: try name(provider), subscription: subscription, deadline: deadline)
        return Direction(provider: provider, subscriber: subscriber, subscription: subscription, slot: slot)
    }

    /// The new node's subscriptions to the existing nodes.
    nonisolated func inwardDirections() async throws -> [Direction] {
        var directions: [Direction] = []
        for provider in members { directions.append(try await direction(from: provider, to: newNode, deadline: .after(.seconds(10)))) }
        return directions
    }

    /// Where a node is reached by the others, as the mesh itself says; the new one as the playbook says.
    nonisolated func dsn(of node: String) async throws -> Conninfo {
        if node == newNode { return try newNodeDSN }
        let state = try await spock(source).state(deadline: .after(.seconds(20)))
        guard let dsn = state.nodes.first(where: { $0.name.rawValue == node })?.dsn else {
            throw Problem("\(source) knows no DSN of node \(node)", hint: "see spock.node_interface on \(source)")
        }
        return dsn
    }

    nonisolated var newNodeDSN: Conninfo {
        get throws {
            if let dsn { return try Conninfo(parsing: dsn) }
            let entry = try access.roster.entry(newNode)
            return Conninfo(["host": entry.address, "port": "\(entry.port)", "dbname": database, "user": access.roster.role])
        }
    }

    // MARK: All nodes at once

    /// Ends what clients had begun on each of `nodes` before it was closed, after `grace`.
    /// - Returns: what had to be terminated, by node.
    nonisolated func endClientTransactions(
        on nodes: [String], begunBefore moments: [String: ServerMoment], grace: Duration, deadline: Deadline
    ) async throws -> [String: [ClientTransaction]] {
        try await onEach(nodes) { node in
            guard let moment = moments[node] else { throw Problem("\(node): the moment it became read-only is not known") }
            return try await self.access.server(node).endClientTransactions(begunBefore: moment, grace: grace, deadline: deadline)
        }
    }

    /// Waits until every one of `nodes` has applied what every other one has written so far.
    nonisolated func drain(_ nodes: [String], deadline: Deadline) async throws -> [Drained] {
        var directions: [Spock.Direction] = []
        for subscriber in nodes {
            let session = try await spock(subscriber)
            for subscription in try await session.subscriptions(deadline: deadline)
            where subscription.subscriber.rawValue == subscriber && nodes.contains(subscription.provider.rawValue) {
                directions.append(
                    Spock.Direction(provider: try await spock(subscription.provider.rawValue), subscriber: session, origin: subscription.origin))
            }
        }
        return try await Spock.drain(directions, deadline: deadline)
    }

    /// Waits until each subscription is `replicating` and its slot is read on the provider: the status alone says only
    /// that a worker lives.
    nonisolated func waitReplicating(_ directions: [Direction], deadline: Deadline) async throws {
        let subscribers = Dictionary(grouping: directions, by: \.subscriber)
        let providers = Dictionary(grouping: directions, by: \.provider)
        try await wait(for: "\(directions.count) subscriptions to be replicating with their slots read", until: deadline, every: .milliseconds(30)) {
            var waiting: [String] = []
            for (subscriber, directions) in subscribers {
                let session = try await spock(subscriber)
                let statuses = try await session.subscriptionStatuses(deadline: deadline)
                let others = directions.filter { statuses[$0.subscription] != .replicating }
                guard !others.isEmpty else { continue }
                waiting += others.map { "\($0.subscription) on \(subscriber) is \(statuses[$0.subscription].map(\.description) ?? "missing")" }
                // Spock starts one worker a second, unless it is woken.
                try await session.wakeWorkers(deadline: deadline)
            }
            for (provider, directions) in providers where waiting.isEmpty {
                let active = Set(try await access.server(provider).slots(deadline: deadline).filter(\.isActive).map(\.name))
                let unread = directions.filter { !active.contains($0.slot) }
                waiting += unread.map { "slot \($0.slot) on \(provider) is not read" }
                for direction in unread { try await spock(direction.subscriber).wakeWorkers(deadline: deadline) }
            }
            return waiting.isEmpty ? .found(()) : .notYet(waiting.joined(separator: ", "))
        }
    }

    // MARK: Exceptions

    /// How many rows `spock.exception_log` has on each of `nodes`: changes that were discarded there.
    nonisolated func exceptionCounts(_ nodes: [String]) async throws -> [String: Int] {
        try await onEach(nodes) { try await self.spock($0).exceptionCount(deadline: .after(.seconds(20))) }
    }
}
