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
        try await query(ReplicationSlot.generateName(database: database, provider: provider, subscription: subscription), deadline)
            .one().get("slot_name")
    }

    /// Creates a slot of Spock's output plugin.
    /// - Parameter watcher: another session on the same server, which sees who is waited for.
    /// - Returns: the LSN from which the slot has changes to give.
    /// - Throws: as `ServerSession.createLogicalSlot`.
    public func createSlot(_ slot: SlotName, watcher: ServerSession, deadline: Deadline) async throws -> LSN {
        try await server.createLogicalSlot(slot, plugin: ReplicationSlot.spockPlugin, watcher: watcher, deadline: deadline)
    }
}
