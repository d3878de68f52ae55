import EventLoop
import Playbook
import PostgresClient
import Run
import Spock

/// Part of step 15: the new node's slots on the existing nodes, made at the drained point.
///
/// They come before the promotion. Whatever happens afterwards, everything that is written from here on is kept for the
/// new node, so that the rest can be taken up again without a second copy.
struct CreateSlots: Step {
    let seed: Seed
    let id = StepID("15", "slots")
    var title: String { "Create the slots of \(seed.newNode) on \(list(seed.members))" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) >= .promoted { return .done("they were made before \(seed.newNode) was promoted") }
        return .needed([Change("\(list(seed.members)): pg_create_logical_replication_slot, one for the subscription of \(seed.newNode)")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = try await seed.currentWindow().deadline
        let positions = try await seed.createSlots(run, deadline: deadline)
        // Everything before the slots must be on the source, and then on the standby, before that is promoted.
        _ = try await seed.drainMesh(seed.members, deadline: deadline)
        let target = try await seed.spock(seed.source).insertLSN(deadline: deadline)
        try await seed.waitReplayed(to: target, deadline: deadline)
        await seed.book("slots and replay")
        return positions.sorted { $0.key < $1.key }.map { "\($0.key) at \($0.value)" }.joined(separator: ", ") + "; \(seed.newNode) has replayed \(target)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        var gone: [String] = []
        for thing in try run.memory.created(by: id) {
            guard let slot = SlotName(rawValue: thing.name) else { continue }
            if try await seed.spock(thing.place).dropSlot(slot, deadline: .after(.seconds(30))) { gone.append("\(thing) is dropped") }
        }
        return .undone(gone)
    }
}

/// The LSN at which the new node's slot on each node begins.
enum SlotPositions { static let key = "slot positions" }

extension Seed {
    /// The new node's subscriptions to the existing nodes, with the slots the servers name for them.
    func inwardDirections() async throws -> [NewDirection] {
        var directions: [NewDirection] = []
        for provider in members {
            let subscription = try await subscriptionName(provider: provider, subscriber: newNode)
            let slot = try await spock(provider).generateSlotName(
                database: playbook.cluster.database, provider: try name(provider), subscription: subscription, deadline: .after(.seconds(10)))
            directions.append(NewDirection(provider: provider, subscriber: newNode, subscription: subscription, slot: slot))
        }
        return directions
    }

    /// Makes the new node's slots anew on every existing node: what an earlier attempt left is from before this window.
    func createSlots(_ run: StepRun, deadline: Deadline) async throws -> [String: LSN] {
        let directions = try await inwardDirections()
        let ours = Set(try run.memory.created(by: run.step))
        for direction in directions {
            let thing = Created("replication slot", on: direction.provider, direction.slot.rawValue)
            if try await spock(direction.provider).slot(direction.slot, deadline: deadline) != nil {
                guard ours.contains(thing) else {
                    throw Problem("\(thing) is there already, and this run did not make it", hint: "find out whose it is; drop it if nobody needs it")
                }
                try await spock(direction.provider).dropSlot(direction.slot, deadline: deadline)
            }
            try run.creating(thing)
        }
        let slots = Dictionary(uniqueKeysWithValues: directions.map { ($0.provider, $0.slot) })
        let positions = try await onEach(members) { node in
            guard let slot = slots[node] else { throw UnknownNode(name: node) }
            let watcher = try await self.access.separateSpock(node, deadline: deadline)
            do {
                let position = try await self.spock(node).createSlot(slot, watcher: watcher, deadline: deadline)
                await watcher.connection.close()
                return position
            } catch {
                await watcher.connection.close()
                throw error
            }
        }
        try run.remember(SlotPositions.key, positions)
        return positions
    }
}
