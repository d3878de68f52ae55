public import EventLoop
public import PostgresClient
import Report
public import Server

/// A subscription to be made on a subscriber whose data is already there, up to a known position.
public struct NewSubscription: Sendable, Hashable {
    public var name: SubscriptionName
    public var providerDSN: Conninfo
    /// Copied from the subscriptions the mesh has: a replication set left out loses rows without a word.
    public var settings: Subscription.Settings
    /// The slot made on the provider for it; asked from the server, see ``SpockSession/generateSlotName(database:provider:subscription:deadline:)``.
    public var slot: SlotName
    /// Where to go on reading; `nil` to begin where the slot begins.
    public var resumeLSN: LSN?

    public init(name: SubscriptionName, providerDSN: Conninfo, settings: Subscription.Settings, slot: SlotName, resumeLSN: LSN? = nil) {
        self.name = name
        self.providerDSN = providerDSN
        self.settings = settings
        self.slot = slot
        self.resumeLSN = resumeLSN
    }
}

extension NewSubscription {
    /// Created disabled: that makes the origin and no slot, and copies nothing.
    func create() -> SQL {
        """
        SELECT spock.sub_create(subscription_name := \(name), provider_dsn := \(providerDSN), \
        replication_sets := \(settings.replicationSets)::text[], synchronize_structure := false, synchronize_data := false, \
        forward_origins := \(settings.forwardOrigins)::text[], apply_delay := \(settings.applyDelay.wholeMicroseconds) * interval '1 microsecond', \
        force_text_transfer := \(settings.forceTextTransfer), enabled := false, skip_schema := \(settings.skipSchema)::text[]) AS sub_id
        """
    }

    func readSlot() -> SQL { "SELECT sub_slot_name FROM spock.subscription WHERE sub_name = \(name)" }

    /// Of the origin that bears the name of its slot, whatever that is: it is looked at afterwards.
    func advance() -> SQL? {
        resumeLSN.map { "SELECT pg_replication_origin_advance(sub_slot_name::text, \($0)::pg_lsn) FROM spock.subscription WHERE sub_name = \(name)" }
    }

    static func enable(_ name: SubscriptionName) -> SQL { "SELECT spock.sub_enable(subscription_name := \(name)) AS enabled" }

    static func drop(_ name: SubscriptionName) -> SQL { "SELECT spock.sub_drop(subscription_name := \(name), ifexists := true)" }
}

extension SpockSession {
    /// Creates all of `subscriptions` in one transaction: each is created disabled, its origin set to where it goes on, and then enabled.
    /// No worker starts before all are there, and a failure leaves none of them.
    ///
    /// The slots must exist on the providers. Spock connects from this server to every provider, and to itself, while it creates.
    /// - Throws: ``SpockError/slotNameDiffers(node:subscription:found:expected:)``, server errors.
    public func createSubscriptions(_ subscriptions: [NewSubscription], deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in
            let making = subscriptions.flatMap { [$0.create(), $0.advance()].compactMap(\.self) }, reading = subscriptions.map { $0.readSlot() }
            let answers = try await transaction.query(together: making + reading + subscriptions.map { NewSubscription.enable($0.name) })
            // What is enabled by now runs only when all of it is committed.
            for (subscription, answer) in zip(subscriptions, answers.dropFirst(making.count)) {
                let slot: SlotName? = try answer.first?.get("sub_slot_name")
                guard slot == subscription.slot else {
                    throw SpockError.slotNameDiffers(node: name, subscription: subscription.name, found: slot, expected: subscription.slot)
                }
            }
        }
    }

    /// Drops a subscription; one that is not there is no error.
    ///
    /// Spock ends the apply worker, connects to the provider and drops the **slot** there, then the origin here. Where the provider cannot be
    /// reached it only warns, and the slot stays and keeps WAL: look for it. The provider's node goes from this catalog with its last subscription.
    /// Never call it on a clone that carries the source's identity: the slot it drops is the source's own.
    public func dropSubscription(_ subscription: SubscriptionName, deadline: Deadline) async throws {
        try await query(NewSubscription.drop(subscription), deadline)
    }
}
