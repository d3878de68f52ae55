internal import PostgresClient
internal import Server

/// The states of all nodes of a mesh, side by side.
public struct MeshView: Sendable {
    public let states: [NodeName: SpockNodeState]

    /// - Parameter states: one state for each node, read on that node. States of databases that are no node are left out.
    public init(_ states: [SpockNodeState]) {
        self.states = Dictionary(states.compactMap { state in state.local.map { ($0.name, state) } }) { first, _ in first }
    }

    /// The nodes looked at, in order of name.
    public var names: [NodeName] { states.keys.sorted() }

    /// The subscription over which `subscriber` reads `provider`.
    public func subscription(provider: NodeName, subscriber: NodeName) -> Subscription? {
        states[subscriber]?.subscriptions.first { $0.provider == provider && $0.subscriber == subscriber }
    }

    /// Every ordered pair of different nodes.
    public var pairs: [(provider: NodeName, subscriber: NodeName)] {
        names.flatMap { provider in names.filter { $0 != provider }.map { (provider, $0) } }
    }

    /// The subscriptions between the nodes looked at.
    public var subscriptions: [Subscription] { pairs.compactMap(subscription(provider:subscriber:)) }

    /// Every subscription of the nodes looked at: also several of one pair, and those to nodes that were not looked at.
    public var allSubscriptions: [Subscription] {
        names.flatMap { name in (states[name]?.subscriptions ?? []).filter { $0.subscriber == name } }.sorted {
            ($0.provider, $0.subscriber, $0.name) < ($1.provider, $1.subscriber, $1.name)
        }
    }

    /// Every subscription over which `subscriber` reads `provider`.
    public func allSubscriptions(provider: NodeName, subscriber: NodeName) -> [Subscription] {
        allSubscriptions.filter { $0.provider == provider && $0.subscriber == subscriber }
    }

    /// Those that a node looked at knows, and that were not looked at themselves.
    public var unvisited: [NodeName] { Set(states.values.flatMap { $0.nodes.map(\.name) }).subtracting(states.keys).sorted() }

    /// The one way the mesh names its subscriptions; `nil` where there is none.
    public var subscriptionPattern: SubscriptionPattern? { SubscriptionPattern(of: subscriptions) }

    /// Every node id in use anywhere on the instances of the mesh, also by meshes in their other databases.
    public var nodeIDs: [NodeID: NodeName] {
        var ids: [NodeID: NodeName] = [:]
        for state in states.values {
            for case .nodes(let nodes) in state.otherDatabases.map(\.spock) { ids.merge(nodes) { first, _ in first } }
        }
        for state in states.values {
            for node in state.nodes { ids[node.id] = node.name }
        }
        return ids
    }
}

/// The node that shall join.
public struct NewNode: Sendable, Hashable {
    public var name: NodeName
    /// As ``SpockSession/nodeID(of:deadline:)`` gives it.
    public var id: NodeID
    /// The node it is copied from.
    public var source: NodeName
    /// What its own server is like, where it runs already; `nil` for one that will be like its source.
    public var state: SpockNodeState?

    public init(name: NodeName, id: NodeID, source: NodeName, state: SpockNodeState? = nil) {
        self.name = name
        self.id = id
        self.source = source
        self.state = state
    }
}
