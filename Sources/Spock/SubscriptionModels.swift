public import Report

/// What the new node's subscriptions are modelled on: each on the pair that it stands for.
///
/// A peer sends to the new node what it sends to the source, and the new node to a peer what the source sends there. Between the
/// source and the new node there is no pair yet: there it is what the source's subscriptions with all its peers agree on.
public struct SubscriptionModels: Sendable, Hashable, Codable {
    /// Of the new node's subscription to each node.
    public let inward: [NodeName: Subscription.Settings]
    /// Of each node's subscription to the new node.
    public let outward: [NodeName: Subscription.Settings]

    /// Where there is no pair to be modelled on, because `source` is alone.
    public init(ofFirstPairWith source: NodeName, settings: Subscription.Settings) { (inward, outward) = ([source: settings], [source: settings]) }

    /// - Parameter subscriptions: those between the members, as their subscribers have them.
    /// - Throws: ``NoSubscriptionModel`` where the source's subscriptions do not agree, or one is missing.
    public init(of subscriptions: [Subscription], source: NodeName, peers: [NodeName]) throws(NoSubscriptionModel) {
        func find(_ provider: NodeName, _ subscriber: NodeName) throws(NoSubscriptionModel) -> Subscription {
            guard let found = subscriptions.first(where: { $0.provider == provider && $0.subscriber == subscriber }) else {
                throw .missing(provider: provider, subscriber: subscriber)
            }
            return found
        }
        func common(_ models: [Subscription]) throws(NoSubscriptionModel) -> Subscription.Settings {
            guard let first = models.first else { throw .alone(source) }
            for other in models.dropFirst() {
                let differences = first.settings.differences(from: other.settings)
                guard differences.isEmpty else { throw .differ(source, first.name, other.name, differences) }
            }
            return first.settings
        }
        var arriving: [Subscription] = [], leaving: [Subscription] = []
        for peer in peers {
            arriving.append(try find(peer, source))
            leaving.append(try find(source, peer))
        }
        var inward: [NodeName: Subscription.Settings] = [:], outward: [NodeName: Subscription.Settings] = [:]
        for subscription in arriving { inward[subscription.provider] = subscription.settings }
        for subscription in leaving { outward[subscription.subscriber] = subscription.settings }
        // Towards the new node the source is a provider like towards its peers; from it, a subscriber like from them.
        inward[source] = try common(leaving)
        outward[source] = try common(arriving)
        (self.inward, self.outward) = (inward, outward)
    }
}

/// Why there is nothing to model a subscription on.
public enum NoSubscriptionModel: Explained, Hashable {
    /// The source has no peer.
    case alone(NodeName)
    case missing(provider: NodeName, subscriber: NodeName)
    /// Two subscriptions that both come from the source, or both go there, and what differs between them.
    case differ(NodeName, SubscriptionName, SubscriptionName, [String])

    public var fact: String {
        switch self {
        case .alone(let source): "\(source) subscribes to no node"
        case .missing(let provider, let subscriber): "\(subscriber) does not subscribe to \(provider)"
        case .differ(let source, let one, let other, let differences):
            "the subscriptions between \(source) and the new node have no model: \(one) and \(other) differ in \(differences.joined(separator: "; "))"
        }
    }

    public var hint: String? {
        switch self {
        case .alone: "pggraft adds a node to a mesh of at least two"
        case .missing: "repair the mesh first"
        case .differ(let source, _, _, _): "make those that \(source) provides alike, and those that it reads; or copy a node of which they are"
        }
    }
}

extension Subscription.Settings {
    /// What differs between two subscriptions: `replication sets {default} and {default,ddl_sql}`, a text for each setting.
    public func differences(from other: Subscription.Settings, between words: String = " and ") -> [String] {
        var differences: [String] = []
        func compare<Value: Equatable>(_ what: String, _ mine: Value, _ theirs: Value, _ text: (Value) -> String) {
            if mine != theirs { differences.append("\(what) \(text(mine))\(words)\(text(theirs))") }
        }
        func text(_ list: [String]) -> String { "{\(list.joined(separator: ","))}" }
        compare("replication sets", replicationSets.map(\.rawValue).sorted(), other.replicationSets.map(\.rawValue).sorted(), text)
        compare("forwarded origins", forwardOrigins, other.forwardOrigins, text)
        compare("apply delay", applyDelay, other.applyDelay, \.inSeconds)
        compare("skipped schemas", skipSchema, other.skipSchema, text)
        compare("text transfer", forceTextTransfer, other.forceTextTransfer) { $0 ? "forced" : "as needed" }
        return differences
    }
}
