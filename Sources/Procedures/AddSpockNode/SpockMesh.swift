import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Run
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
    /// How the mesh names its subscriptions, once that was looked at.
    private var pattern: SubscriptionPattern?
    /// The directions among the members, looked at beforehand for one drain.
    private var prepared: [Spock.Direction]?

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

    /// What the new node's subscriptions are modelled on, as the members have theirs now.
    /// - Throws: `NoSubscriptionModel`.
    nonisolated func models() async throws -> SubscriptionModels {
        try SubscriptionModels(of: try await memberSubscriptions(), source: try name(source), peers: try peers.map(name))
    }

    /// The settings of the new node's subscription to a member, or of a member's to it.
    nonisolated func settings(from provider: String, to subscriber: String, in models: SubscriptionModels) throws -> Subscription.Settings {
        let settings = provider == newNode ? models.outward[try name(subscriber)] : models.inward[try name(provider)]
        guard let settings else { throw UnknownNode(name: provider == newNode ? subscriber : provider) }
        return settings
    }

    /// The subscriptions of the members, the new node's part left out.
    nonisolated func memberSubscriptions() async throws -> [Subscription] {
        let found = try await onEach(members) { [self] member in
            try await spock(member).subscriptions(deadline: .after(.seconds(20)))
                .filter { $0.subscriber.rawValue == member && $0.provider.rawValue != newNode }
        }
        return members.flatMap { found[$0] ?? [] }
    }

    /// The name of the subscription from `provider` to `subscriber`: the playbook's, or as the mesh names its own.
    func subscriptionName(provider: String, subscriber: String) async throws -> SubscriptionName {
        let text =
            if let names {
                names.name(provider: provider, subscriber: subscriber)
            } else {
                try await namePattern().name(provider: try name(provider), subscriber: try name(subscriber))?.rawValue
            }
        guard let name = text.flatMap(SubscriptionName.init(rawValue:)) else {
            throw Problem("the subscription from \(provider) to \(subscriber) has no name that Spock allows", hint: "give subscriptions.name in the playbook")
        }
        return name
    }

    private func namePattern() async throws -> SubscriptionPattern {
        if let pattern { return pattern }
        let pattern = SubscriptionPattern(of: try await memberSubscriptions()) ?? .usual
        self.pattern = pattern
        return pattern
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
        let directions = try await onEach(members) { try await self.direction(from: $0, to: self.newNode, deadline: .after(.seconds(10))) }
        return members.compactMap { directions[$0] }
    }

    /// Where a member is reached by the others, as the mesh itself says.
    /// - Parameter nodes: those that the source knows.
    nonisolated func dsn(of member: String, among nodes: [SpockNode]) throws -> Conninfo {
        guard let dsn = nodes.first(where: { $0.name.rawValue == member })?.dsn else {
            throw Problem("\(source) knows no DSN of node \(member)", hint: "see spock.node_interface on \(source)")
        }
        return dsn
    }

    /// Where the new node is reached by the others, as the playbook says.
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
    /// - Parameter events: sync events that were written already, by node.
    func drain(_ nodes: [String], after events: [String: LSN] = [:], deadline: Deadline) async throws -> DrainedMesh {
        let directions = if nodes == members { try await takePrepared(deadline: deadline) } else { try await directions(among: nodes, deadline: deadline) }
        return try await Spock.drain(directions, after: events, flushing: source, deadline: deadline)
    }

    /// Looks for the directions among the members, so that the next drain of them need not.
    func prepareDrain(deadline: Deadline) async throws { prepared = try await directions(among: members, deadline: deadline) }

    /// The directions among the members: those that were looked at beforehand, once.
    private func takePrepared(deadline: Deadline) async throws -> [Spock.Direction] {
        guard let prepared else { return try await directions(among: members, deadline: deadline) }
        self.prepared = nil
        return prepared
    }

    /// The same, for as long as every direction moves.
    nonisolated func drain(_ nodes: [String], with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> [Drained] {
        try await Spock.drain(try await directions(among: nodes, deadline: .after(.seconds(60))), with: patience, tell: tell)
    }

    /// Waits until the source has applied what every peer has written so far, for as long as that moves.
    /// - Parameter events: sync events that were written already, by node.
    /// - Returns: up to where the source has written then: a standby that has replayed that has it, too.
    func drainIntoSource(after events: [String: LSN], with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> LSN {
        let directions = try await takePrepared(deadline: .after(.seconds(60))).filter { $0.subscriber.name == source }
        _ = try await Spock.drain(directions, after: events, with: patience, tell: tell)
        // Flushes what the apply workers have committed without: it is not streamed before.
        return try await spock(source).syncEvent(deadline: .after(.seconds(60)))
    }

    private nonisolated func directions(among nodes: [String], deadline: Deadline) async throws -> [Spock.Direction] {
        let directions = try await onEach(nodes) { subscriber in
            let session = try await self.spock(subscriber)
            var directions: [Spock.Direction] = []
            for subscription in try await session.subscriptions(deadline: deadline)
            where subscription.subscriber.rawValue == subscriber && nodes.contains(subscription.provider.rawValue) {
                directions.append(
                    Spock.Direction(provider: try await self.spock(subscription.provider.rawValue), subscriber: session, origin: subscription.origin))
            }
            return directions
        }
        return nodes.flatMap { directions[$0] ?? [] }
    }

    /// Waits until each subscription is `replicating` and its slot is read on the provider: the status alone says only
    /// that a worker lives.
    /// - Parameter tell: takes the line that says which of them are not, and how they are, where it takes its time.
    nonisolated func waitReplicating(_ directions: [Direction], deadline: Deadline, tell: (String) -> Void) async throws {
        let subscribers = Dictionary(grouping: directions, by: \.subscriber)
        let providers = Dictionary(grouping: directions, by: \.provider)
        let clock = ContinuousClock()
        var lastWake: ContinuousClock.Instant?
        // The measure is always the same: the deadline is for all of them together.
        try await wait(
            for: "\(directions.count) subscriptions to be replicating with their slots read", with: Patience(limit: deadline.remaining), every: .milliseconds(30), tell: tell
        ) { () -> MovingLook<Void, Int> in
            // A wake-up is a reload: the servers have better to do than to reload all the time.
            let wakes = lastWake.map { $0.duration(to: clock.now) > .milliseconds(300) } ?? true
            if wakes { lastWake = clock.now }
            async let readSlots = onEach(providers.keys.sorted()) { provider in
                Set(try await self.access.server(provider).slots(deadline: deadline.forLook).filter(\.isActive).map(\.name))
            }
            let down = try await onEach(subscribers.keys.sorted()) { subscriber -> [String] in
                let session = try await self.spock(subscriber), statuses = try await session.subscriptionStatuses(deadline: deadline.forLook)
                let others = (subscribers[subscriber] ?? []).filter { statuses[$0.subscription] != .replicating }
                // Spock starts one worker a second, unless it is woken.
                if wakes, !others.isEmpty { try await session.wakeWorkers(deadline: deadline.forLook) }
                return others.map { "\($0.subscription) on \(subscriber) is \(statuses[$0.subscription].map(\.description) ?? "missing")" }
            }
            guard down.values.allSatisfy(\.isEmpty) else { return .notYet(down.sorted { $0.key < $1.key }.flatMap(\.value).joined(separator: ", "), 0) }
            let active = try await readSlots
            let unread = directions.filter { active[$0.provider]?.contains($0.slot) != true }
            if wakes { _ = try await onEach(Set(unread.map(\.subscriber)).sorted()) { try await self.spock($0).wakeWorkers(deadline: deadline.forLook) } }
            return unread.isEmpty ? .found(()) : .notYet(unread.map { "slot \($0.slot) on \($0.provider) is not read" }.sorted().joined(separator: ", "), 0)
        }
    }

    // MARK: What is left behind

    /// What the new node's slots keep for it by now, and what ends that; `nil` where there are none, or it reads them.
    nonisolated func retained(_ memory: Memory) async -> String? {
        do {
            guard try memory.recall(CreateSlots.positions) != nil, let directions = try memory.recall(CreateSlots.directions) else { return nil }
            let looks = await attemptOnEach(directions.map(\.provider)) { provider -> ReplicationSlot? in
                guard let slot = directions.first(where: { $0.provider == provider })?.slot else { return nil }
                return try await self.access.server(provider).slot(slot, deadline: .after(.seconds(5)))
            }
            let kept = looks.compactMap { node, look -> String? in
                switch look {
                case .success(let slot?): slot.isActive ? nil : "\(UInt64(max(0, slot.retainedBytes ?? 0)).inBytes) on \(node)"
                case .success(nil): nil
                case .failure: "an unknown amount on \(node), which gives no answer"
                }
            }
            guard !kept.isEmpty else { return nil }
            return
                "The slots of \(newNode) keep WAL for it, and more with every write: \(kept.joined(separator: ", ")). Resume, and \(newNode) reads it; undo, and they are dropped."
        } catch {
            return "What the slots of \(newNode) keep cannot be told: \(Problem(explaining: error).fact)"
        }
    }

    /// The clients' transactions on each of `nodes`, in any database, that have a transaction id and have been open for longer than a few seconds: a new slot
    /// waits until they have ended.
    nonisolated func longTransactions(_ nodes: [String]) async throws -> [(node: String, transaction: ClientTransaction)] {
        let open = try await onEach(nodes) { node in
            try await self.access.server(node).clientTransactions(begunBefore: ServerMoment(microseconds: 0), everywhere: true, deadline: .after(.seconds(20)))
        }
        return nodes.flatMap { node in (open[node] ?? []).filter { $0.age > .seconds(5) }.map { (node, $0) } }
    }

    // MARK: Exceptions

    /// How many rows `spock.exception_log` has on each of `nodes`: changes that were discarded there.
    nonisolated func exceptionCounts(_ nodes: [String]) async throws -> [String: Int] {
        try await onEach(nodes) { try await self.spock($0).exceptionCount(deadline: .after(.seconds(20))) }
    }
}
