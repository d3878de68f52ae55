public import EventLoop
public import PostgresClient
public import Server

extension ReplicationSlot {
    /// The output plugin of Spock's slots.
    public static let spockPlugin = "spock_output"

    /// The name Spock will look for: only the server knows it.
    static func generateName(database: String, provider: NodeName, subscription: SubscriptionName) -> SQL {
        "SELECT spock.spock_gen_slot_name(\(database), \(provider), \(subscription)) AS slot_name"
    }
}

extension SpockSession {
    /// The name of the slot, on `provider`, of a subscription in `database` of the subscriber.
    public func generateSlotName(
        database: String, provider: NodeName, subscription: SubscriptionName, deadline: Deadline
    ) async throws -> SlotName {
        try await look(ReplicationSlot.generateName(database: database, provider: provider, subscription: subscription), deadline)
            .one().get("slot_name")
    }

    /// Creates slots of Spock's output plugin, all in one round trip.
    /// - Parameter watcher: another session on the same server, which sees who is waited for.
    /// - Returns: the LSN from which each slot has changes to give.
    /// - Throws: as `ServerSession.createLogicalSlots`.
    public func createSlots(_ slots: [SlotName], watcher: ServerSession, deadline: Deadline) async throws -> [SlotName: LSN] {
        try await server.createLogicalSlots(slots, plugin: ReplicationSlot.spockPlugin, watcher: watcher, deadline: deadline).begins
    }

    /// Creates a slot, and a sync event right behind it: whoever has applied that has everything from before the slot's begin.
    /// - Returns: the LSN from which the slot has changes to give, and the event's.
    public func createSlotWithEvent(_ slot: SlotName, watcher: ServerSession, deadline: Deadline) async throws -> (begin: LSN, event: LSN) {
        let made = try await server.createLogicalSlots(
            [slot], plugin: ReplicationSlot.spockPlugin, watcher: watcher, then: SpockSession.syncEvent(), deadline: deadline)
        guard let begin = made.begins[slot], let event = made.next else { throw UnexpectedAnswer(node: name, text: "no slot, or no sync event") }
        return (begin, try event.one().get("lsn"))
    }
}
