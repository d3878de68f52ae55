import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Step 15: the subscriptions between the new node and every other one, both ways.
struct Subscribe: Step {
    let seed: Seed
    static let name = "subscriptions"
    var title: String { "Add the subscriptions between \(seed.newNode) and \(list(seed.members)), both ways" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) == .subscribed { return .done("\(2 * seed.members.count) subscriptions are there") }
        let model = try await seed.model()
        let sets = model.settings.replicationSets.map(\.rawValue).joined(separator: ", ")
        var changes: [Change] = []
        for member in seed.members {
            changes.append(Change("\(seed.newNode): \(try await seed.subscriptionName(provider: member, subscriber: seed.newNode)) reads \(member) (\(sets))"))
            changes.append(Change("\(member): \(try await seed.subscriptionName(provider: seed.newNode, subscriber: member)) reads \(seed.newNode) (\(sets))"))
        }
        return .needed(changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = await seed.stepDeadline(.seconds(120))
        // A worker of Spock 5.0.11 may crash as it starts (measured, once in some hundred joins), and its server with it for a
        // second. What was made is there; the rest is made then.
        for _ in 0..<2 {
            do {
                return try await subscribe(run, deadline: deadline)
            } catch let error as PostgresError where error.node == seed.newNode && error.isServerAway {
                run.note("\(error); its server starts again by itself, and the step goes on")
                try await seed.awaitNewNode(deadline: deadline)
            }
        }
        return try await subscribe(run, deadline: deadline)
    }

    private func subscribe(_ run: StepRun, deadline: Deadline) async throws -> String {
        let settings = try await seed.model().settings
        let clone = try await seed.spock(seed.newNode)
        let there = Set(try await clone.subscriptions(deadline: deadline).map(\.name))
        let positions: [ResumePosition] = try run.recall(ResumePositions.fact)

        let inward = try await seed.inwardDirections()
        var arriving: [NewSubscription] = []
        for direction in inward where !there.contains(direction.subscription) {
            guard let position = positions.first(where: { $0.peer.rawValue == direction.provider }) else { throw UnknownNode(name: direction.provider) }
            guard let slot = try await seed.spock(direction.provider).server.slot(direction.slot, deadline: deadline), slot.walStatus != "lost" else {
                throw Problem(
                    "\(direction.provider) has not kept what \(seed.newNode) still has to read: the slot \(direction.slot) is gone or has lost its WAL",
                    hint: "the copy is of no use any more: undo this run with --purge-data, and begin anew")
            }
            arriving.append(
                NewSubscription(
                    name: direction.subscription, providerDSN: try await seed.dsn(of: direction.provider), settings: settings,
                    slot: direction.slot, resumeLSN: position.lsn))
        }
        // The slots on the new node come first: from then on nothing it writes can be missed.
        let outward = try await seed.createOutwardSlots(run, deadline: deadline)
        try run.remember(
            MadeSubscription.fact,
            outward.sorted { $0.key < $1.key }.map { member, made in
                MadeSubscription(subscriber: member, name: made.0.subscription, provider: seed.newNode, slot: made.0.slot, settings: settings)
            })
        try await clone.createSubscriptions(arriving, deadline: deadline)
        _ = try await onEach(seed.members) { member in
            guard let (direction, lsn) = outward[member] else { return }
            let session = try await seed.spock(member)
            guard try await !session.subscriptions(deadline: deadline).contains(where: { $0.name == direction.subscription }) else { return }
            try run.creating(Created("subscription", on: member, direction.subscription.rawValue))
            try await session.createSubscriptions(
                [NewSubscription(name: direction.subscription, providerDSN: try seed.newNodeDSN, settings: settings, slot: direction.slot, resumeLSN: lsn)],
                deadline: deadline)
        }
        await seed.book("subscriptions")
        let all = inward + outward.values.map(\.0)
        try await seed.waitReplicating(all, deadline: deadline)
        await seed.reached(.subscribed)
        await seed.book("workers")
        return "\(all.count) subscriptions replicate, their slots are read"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let made: [MadeSubscription] = try run.memory.recall(MadeSubscription.fact) ?? []
        let holdsUnread = try run.memory.holdsUnreadWrites
        return await takeBack(try run.memory.created(by: name).filter { $0.kind == "subscription" }) { [seed] thing in
            guard let mine = made.first(where: { $0.subscriber == thing.place && $0.name.rawValue == thing.name }) else { return .absent }
            let session = try await seed.spock(thing.place), deadline = Deadline.after(.seconds(20))
            let there = try await session.subscriptions(deadline: deadline), found = there.first { $0.name == mine.name }
            if let found {
                if let change = mine.change(in: found) {
                    return .left(
                        Problem(
                            "\(thing) was changed since (\(change)): left alone",
                            hint: "put that back, or drop it on \(thing.place) if nobody needs it: SELECT spock.sub_drop('\(mine.name)'); then undo again"))
                }
                guard !holdsUnread else { return .left(seed.waitsForUnread("\(thing)")) }
                // It connects to the new node; where that answers nothing, the system gives up after about two minutes.
                try await session.dropSubscription(mine.name, deadline: .after(.seconds(180)))
            }
            // It has gone with the subscription, unless that was cut off; another one may have taken it over.
            let isShared = there.contains { $0.name != mine.name && $0.slot == mine.slot }
            let origins = isShared ? [] : try await session.server.dropOrigins([OriginName(mine.slot)], deadline: deadline)
            return found == nil && origins.isEmpty ? .absent : .gone("\(thing) is dropped")
        }
    }
}

/// A subscription to the new node, as this run made it on `subscriber`.
struct MadeSubscription: Sendable, Codable {
    static let fact = Fact<[MadeSubscription]>("subscriptions made")
    var subscriber: String
    var name: SubscriptionName
    var provider: String
    var slot: SlotName
    var settings: Subscription.Settings

    /// What of `found` somebody has changed; `nil` where it is as it was made. A disabled one is: Spock itself disables them.
    func change(in found: Subscription) -> String? {
        var changes: [String] = []
        func compare<Value: Equatable>(_ what: String, _ now: Value, _ before: Value, _ text: (Value) -> String) {
            if now != before { changes.append("\(what) \(text(now)), not \(text(before))") }
        }
        func words(_ list: [String]) -> String { "{\(list.joined(separator: ","))}" }
        let now = found.settings
        compare("it reads", found.provider.rawValue, provider) { $0 }
        compare("slot", found.slot, slot) { $0.rawValue }
        compare("replication sets", now.replicationSets.map(\.rawValue).sorted(), settings.replicationSets.map(\.rawValue).sorted(), words)
        compare("forwarded origins", now.forwardOrigins, settings.forwardOrigins, words)
        compare("apply delay", now.applyDelay, settings.applyDelay, \.inSeconds)
        compare("skipped schemas", now.skipSchema, settings.skipSchema, words)
        compare("text transfer", now.forceTextTransfer, settings.forceTextTransfer) { $0 ? "forced" : "as needed" }
        return changes.isEmpty ? nil : changes.joined(separator: "; ")
    }
}

extension Seed {
    /// Makes the slots on the new node for the existing nodes' subscriptions; those of an earlier attempt are kept.
    /// - Returns: by subscriber, the direction and where its slot begins; only those that are not subscribed yet need it.
    func createOutwardSlots(_ run: StepRun, deadline: Deadline) async throws -> [String: (NewDirection, LSN)] {
        let clone = try await spock(newNode)
        let watcher = try await access.separateSpock(newNode, deadline: deadline)
        var outward: [String: (NewDirection, LSN)] = [:]
        do {
            for member in members {
                let subscription = try await subscriptionName(provider: newNode, subscriber: member)
                let slot = try await clone.generateSlotName(
                    database: playbook.cluster.database, provider: try name(newNode), subscription: subscription, deadline: deadline)
                let direction = NewDirection(provider: newNode, subscriber: member, subscription: subscription, slot: slot)
                let position: LSN
                if let existing = try await clone.server.finishedSlot(slot, deadline: deadline), let flushed = existing.confirmedFlushLSN {
                    position = flushed
                } else {
                    position = try await clone.createSlot(slot, watcher: watcher.server, deadline: deadline)
                }
                outward[member] = (direction, position)
            }
        } catch {
            await watcher.connection.close()
            throw error
        }
        await watcher.connection.close()
        return outward
    }

    /// Waits until each subscription is `replicating` and its slot is read on the provider: the status alone says only
    /// that a worker lives.
    func waitReplicating(_ directions: [NewDirection], deadline: Deadline) async throws {
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
                let active = Set(try await spock(provider).server.slots(deadline: deadline).filter(\.isActive).map(\.name))
                let unread = directions.filter { !active.contains($0.slot) }
                waiting += unread.map { "slot \($0.slot) on \(provider) is not read" }
                for direction in unread { try await spock(direction.subscriber).wakeWorkers(deadline: deadline) }
            }
            return waiting.isEmpty ? .found(()) : .notYet(waiting.joined(separator: ", "))
        }
    }

    /// The deadline of a step: what is left of the window while it is open, `duration` otherwise.
    func stepDeadline(_ duration: Duration) -> Deadline { window?.deadline ?? .after(duration) }
}
