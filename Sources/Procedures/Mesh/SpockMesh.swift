import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// The Spock cluster that a node joins: who its members are, how the new one is named in it, and what all of them are asked.
actor SpockMesh: SpockNodes {
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

    /// - Parameters:
    ///   - source: of `members`.
    ///   - names: of the new node's subscriptions; `nil` for as the others are named.
    ///   - dsn: by which the others reach the new node; `nil` for that of its address and port.
    init(
        of members: [String], from source: String, newNode: String, database: String, named names: Playbook.AddSpockNode.SubscriptionNames?, dsn: String?,
        _ access: ClusterAccess
    ) {
        self.access = access
        (self.source, peers) = (source, members.filter { $0 != source })
        (self.newNode, self.database) = (newNode, database)
        (self.names, self.dsn) = (names, dsn)
    }

    init(_ playbook: Playbook.AddSpockNode, _ access: ClusterAccess) {
        self.init(
            of: playbook.cluster.nodes.map(\.name), from: playbook.sourceName, newNode: playbook.newNode.node.name, database: playbook.cluster.database,
            named: playbook.subscriptions.name, dsn: playbook.newNode.dsn, access)
    }

    /// The nodes of the cluster as it is: the source, then its peers.
    nonisolated var members: [String] { [source] + peers }
    /// The nodes of the cluster as it will be.
    nonisolated var nodes: [String] { members + [newNode] }

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
        guard !peers.isEmpty else { return try await modelsOfFirstPair() }
        return try SubscriptionModels(of: try await memberSubscriptions(), source: try name(source), peers: try peers.map(name))
    }

    /// Of a node that is alone: both read every set that it has.
    private nonisolated func modelsOfFirstPair() async throws -> SubscriptionModels {
        let sets = try await spock(source).captureReplicationSets(deadline: .after(.seconds(60))).map(\.name).sorted()
        return SubscriptionModels(ofFirstPairWith: try name(source), settings: Subscription.Settings(replicationSets: sets))
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

    /// Whether the new node, which has `subscriptions`, reads every member, and every member it.
    nonisolated func isJoined(_ subscriptions: [Subscription], deadline: Deadline) async throws -> Bool {
        func reads(_ subscriptions: [Subscription], from provider: String, to subscriber: String) -> Bool {
            subscriptions.contains { $0.provider.rawValue == provider && $0.subscriber.rawValue == subscriber }
        }
        guard members.allSatisfy({ reads(subscriptions, from: $0, to: newNode) }) else { return false }
        let others = try await onEach(members) { try await self.spock($0).subscriptions(deadline: deadline) }
        return members.allSatisfy { reads(others[$0] ?? [], from: newNode, to: $0) }
    }

    /// How far the source has applied `peer`, by the origin of its subscription.
    /// - Parameters:
    ///   - subscriptions: of the source, as `origins` are.
    ///   - anew: what is to be done where it cannot be told.
    /// - Throws: `Problem` where the source does not say it.
    nonisolated func applied(_ peer: String, _ subscriptions: [Subscription], _ origins: [ReplicationOrigin], anew: String) throws -> (origin: ReplicationOrigin, lsn: LSN) {
        guard let name = subscriptions.first(where: { $0.provider.rawValue == peer && $0.subscriber.rawValue == source })?.origin else {
            throw Problem("\(source) does not subscribe to \(peer) any more", hint: "repair the mesh first; then resume")
        }
        guard let origin = origins.first(where: { $0.name == name }), let lsn = origin.remoteLSN else {
            throw Problem(
                "\(source) does not say how far it has applied \(peer): its origin \(name) is not there, or stands nowhere",
                hint: "nothing has joined. It may have crashed since the slots were made: see with `pggraft verify` whether it is like its peers; then \(anew)")
        }
        return (origin, lsn)
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

    /// Waits until the source has applied what every peer has written so far, for as long as that moves.
    /// - Parameter events: sync events that were written already, by node.
    /// - Returns: up to where the source has written then: a standby that has replayed that has it, too.
    func drainIntoSource(after events: [String: LSN], with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> LSN {
        let directions = try await takePrepared(deadline: .after(.seconds(60))).filter { $0.subscriber.name == source }
        _ = try await Spock.drain(directions, after: events, with: patience, tell: tell)
        // Flushes what the apply workers have committed without: it is not streamed before.
        return try await spock(source).syncEvent(deadline: .after(.seconds(60)))
    }

    // MARK: What is left behind

    /// Why an undo leaves `thing`.
    nonisolated func unreadWrites(keeping thing: String) -> Problem {
        Problem(
            "\(thing) is left as it is: what clients wrote on \(newNode) may not be on \(list(members)) yet",
            hint: "see what stands above at the step that opened \(newNode); then undo again")
    }

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
}
