import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// The subscriptions between the new node and every other one, both ways.
struct Subscribe: Step {
    static let name = "subscriptions"
    /// Those of the existing nodes to the new one.
    static let made = Fact<[MadeSubscription]>("subscriptions made")
    /// What each of them is modelled on, as the mesh had it before the window.
    static let models = Fact<SubscriptionModels>("subscription models")

    let mesh: SpockMesh
    let node: any MeshJoiner
    let sessions: HandoverSessions
    var title: String { "Add the subscriptions between \(node.name) and \(list(mesh.members)), both ways" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await node.state(memory) == .subscribed { return .done("\(2 * mesh.members.count) subscriptions are there") }
        let models = try await models(memory)
        var changes: [Change] = []
        for member in mesh.members {
            for (provider, subscriber) in [(member, node.name), (node.name, member)] {
                let sets = try mesh.settings(from: provider, to: subscriber, in: models).replicationSets.map(\.rawValue).joined(separator: ", ")
                changes.append(Change("\(subscriber): \(try await mesh.subscriptionName(provider: provider, subscriber: subscriber)) reads \(provider) (\(sets))"))
            }
        }
        return .needed(changes)
    }

    private func models(_ memory: Memory) async throws -> SubscriptionModels {
        if let models = try memory.recall(Self.models) { return models }
        return try await mesh.models()
    }

    func perform(_ run: StepRun) async throws -> String {
        // While a subscription is made its server waits for the other one, for minutes where that has lost its power.
        try await watched(by: { try await mesh.access.watchHosts(mesh.nodes) }) { try await subscribe(run, deadline: .after(.seconds(120))) }
    }

    private func subscribe(_ run: StepRun, deadline: Deadline) async throws -> String {
        let models = try await models(run.memory), clone = try await mesh.spock(node.name)
        let positions = try run.recall(RemoveIdentity.positions), inward = try run.recall(CreateSlots.directions)
        async let already = clone.subscriptions(deadline: deadline), known = mesh.spock(mesh.source).nodes(deadline: deadline)
        async let kept = onEach(inward.map(\.provider)) { provider in try await mesh.access.server(provider).slots(deadline: deadline) }
        async let readers = onEach(mesh.members) { member in Set(try await mesh.spock(member).subscriptions(deadline: deadline).map(\.name)) }
        // The slots on the new node come first: from then on nothing it writes can be missed.
        let outward = try await createOutwardSlots(deadline: deadline), reading = try await readers
        let there = Set(try await already.map(\.name)), slots = try await kept, nodes = try await known
        let missing = inward.filter { !there.contains($0.subscription) }
        let arriving = try missing.map { direction in
            guard let position = positions.first(where: { $0.peer.rawValue == direction.provider }) else { throw UnknownNode(name: direction.provider) }
            guard let slot = slots[direction.provider]?.first(where: { $0.name == direction.slot }), slot.walStatus != "lost" else {
                throw Problem(
                    "\(direction.provider) has not kept what \(node.name) still has to read: the slot \(direction.slot) is gone or has lost its WAL",
                    hint: "the copy is of no use any more: \(node.anew)")
            }
            guard slot.confirmedFlushLSN.map({ $0 <= position.lsn }) ?? false else {
                throw Problem(
                    "\(direction.provider): the slot \(direction.slot) stands at \(slot.confirmedFlushLSN?.description ?? "no position"), behind \(position.lsn) where \(node.name) has to go on: somebody has read or moved it",
                    hint: "nothing has joined. What lies between is in no copy: \(node.anew)")
            }
            return NewSubscription(
                name: direction.subscription, providerDSN: try mesh.dsn(of: direction.provider, among: nodes),
                settings: try mesh.settings(from: direction.provider, to: node.name, in: models), slot: direction.slot, resumeLSN: position.lsn)
        }
        try run.remember(
            Self.made,
            try outward.sorted { $0.key < $1.key }.map { member, made in
                MadeSubscription(
                    subscriber: member, name: made.direction.subscription, provider: node.name, slot: made.direction.slot,
                    settings: try mesh.settings(from: node.name, to: member, in: models))
            })
        async let arrived: Void = clone.createSubscriptions(arriving, deadline: deadline)
        _ = try await onEach(mesh.members) { member in
            guard let (direction, lsn) = outward[member], reading[member]?.contains(direction.subscription) != true else { return }
            try run.creating(Created("subscription", on: member, direction.subscription.rawValue))
            try await mesh.spock(member).createSubscriptions(
                [
                    NewSubscription(
                        name: direction.subscription, providerDSN: try mesh.newNodeDSN, settings: try mesh.settings(from: node.name, to: member, in: models),
                        slot: direction.slot, resumeLSN: lsn)
                ], deadline: deadline)
        }
        try await arrived
        let all = inward + outward.values.map(\.direction)
        try await mesh.waitReplicating(all, deadline: deadline) { run.note($0) }
        await node.reached(.subscribed)
        return "\(all.count) subscriptions replicate, their slots are read"
    }

    /// Makes the slots on the new node for the existing nodes' subscriptions; those of an earlier attempt are kept.
    /// - Returns: by subscriber, the direction and where its slot begins; only those that are not subscribed yet need it.
    private func createOutwardSlots(deadline: Deadline) async throws -> [String: (direction: SpockMesh.Direction, lsn: LSN)] {
        let clone = try await mesh.spock(node.name)
        async let found = clone.server.slots(deadline: deadline), watching = sessions.session(node.name, deadline: deadline)
        let directions = try await onEach(mesh.members) { try await mesh.direction(from: node.name, to: $0, deadline: deadline) }
        var finished = try await found.reduce(into: [SlotName: LSN?]()) { $0[$1.name] = $1.confirmedFlushLSN }
        for slot in directions.values.map(\.slot) where finished[slot] == .some(nil) {
            finished[slot] = try await clone.server.finishedSlot(slot, deadline: deadline)?.confirmedFlushLSN
        }
        let missing = mesh.members.compactMap { directions[$0]?.slot }.filter { finished[$0, default: nil] == nil }
        let begins = finished.compactMapValues(\.self).merging(try await clone.createSlots(missing, watcher: try await watching, deadline: deadline)) { old, _ in old }
        return directions.reduce(into: [:]) { outward, direction in
            if let lsn = begins[direction.value.slot] { outward[direction.key] = (direction.value, lsn) }
        }
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let made = try run.memory.recall(Self.made) ?? [], memory = run.memory
        return await takeBack(try run.created.filter { $0.kind == "subscription" }) { thing in
            guard let mine = made.first(where: { $0.subscriber == thing.place && $0.name.rawValue == thing.name }) else { return .absent }
            let session = try await mesh.spock(thing.place), deadline = Deadline.after(.seconds(20))
            let there = try await session.subscriptions(deadline: deadline), found = there.first { $0.name == mine.name }
            if let found {
                if let change = mine.change(in: found) {
                    return .left(
                        Problem(
                            "\(thing) was changed since (\(change)): left alone",
                            hint: "put that back, or drop it on \(thing.place) if nobody needs it: SELECT spock.sub_drop('\(mine.name)'); then undo again"))
                }
                if let problem = try node.obstacle(to: "\(thing)", memory) { return .left(problem) }
                // It connects to the new node; where that answers nothing, the system gives up after about two minutes.
                try await session.dropSubscription(mine.name, deadline: .after(.seconds(180)))
            }
            // It has gone with the subscription, unless that was cut off; another one may have taken it over.
            let isShared = there.contains { $0.name != mine.name && $0.slot == mine.slot }
            let origins = isShared ? [] : try await session.server.dropOrigins([OriginName(mine.slot)], deadline: .after(.seconds(20)))
            return found == nil && origins.isEmpty ? .absent : .gone("\(thing) is dropped")
        }
    }
}

/// A subscription to the new node, as this run made it on `subscriber`.
struct MadeSubscription: Sendable, Codable {
    var subscriber: String
    var name: SubscriptionName
    var provider: String
    var slot: SlotName
    var settings: Subscription.Settings

    /// What of `found` somebody has changed; `nil` where it is as it was made. A disabled one is: Spock itself disables them.
    func change(in found: Subscription) -> String? {
        var changes: [String] = []
        if found.provider.rawValue != provider { changes.append("it reads \(found.provider), not \(provider)") }
        if found.slot != slot { changes.append("slot \(found.slot), not \(slot)") }
        changes += found.settings.differences(from: settings, between: ", not ")
        return changes.isEmpty ? nil : changes.joined(separator: "; ")
    }
}
