public import EventLoop
public import PostgresClient

/// The number Spock knows a node by: 16 bits made from its name.
public typealias NodeID = UInt32

/// A node of the mesh as one node's catalog describes it.
public struct SpockNode: Sendable, Hashable {
    public var id: NodeID
    public var name: NodeName
    /// How the nodes reach it: the interface that bears the node's own name. `nil` where that interface is missing.
    public var dsn: Conninfo?
    public var location: String?
    public var country: String?
    /// A JSON document, as the catalog has it.
    public var info: String?

    public init(id: NodeID, name: NodeName, dsn: Conninfo?, location: String? = nil, country: String? = nil, info: String? = nil) {
        self.id = id
        self.name = name
        self.dsn = dsn
        self.location = location
        self.country = country
        self.info = info
    }
}

extension SpockNode {
    static func all() -> SQL {
        """
        SELECT n.*, i.if_dsn FROM spock.node n \
        LEFT JOIN spock.node_interface i ON i.if_nodeid = n.node_id AND i.if_name = n.node_name ORDER BY n.node_name
        """
    }

    /// The one row of `spock.local_node`, if this database is a node.
    static func local() -> SQL { "SELECT node_id FROM spock.local_node" }

    /// Node id Spock will give to `name`: the same hash its C code uses, of the name's bytes, cut to 16 bits.
    static func id(of name: NodeName) -> SQL { "SELECT hashname(\(name)::name) & 65535 AS node_id" }

    static func create(_ name: NodeName, dsn: Conninfo, location: String?, country: String?, info: String?) -> SQL {
        """
        SELECT spock.node_create(node_name := \(name), dsn := \(dsn), location := \(location), \
        country := \(country), info := \(info)::jsonb) AS node_id
        """
    }

    static func drop(_ name: NodeName) -> SQL { "SELECT spock.node_drop(node_name := \(name), ifexists := true) AS dropped" }

    static func dropInterface(_ interface: String, of name: NodeName) -> SQL {
        """
        SELECT spock.node_drop_interface(n.node_name, i.if_name) AS dropped FROM spock.node n \
        JOIN spock.node_interface i ON i.if_nodeid = n.node_id WHERE n.node_name = \(name) AND i.if_name = \(interface)
        """
    }

    init(row: Row) throws {
        id = try row.get("node_id")
        name = try row.get("node_name")
        dsn = try row.optional("if_dsn", as: String.self).map { try Conninfo(parsing: $0) }
        location = try row.ifPresent("location")
        country = try row.ifPresent("country")
        info = try row.ifPresent("info")
    }
}

extension SpockSession {
    /// The node id Spock will give to a node called `name`; works where Spock is not loaded.
    public func nodeID(of name: NodeName, deadline: Deadline) async throws -> NodeID {
        try await query(SpockNode.id(of: name), deadline).one().get("node_id")
    }

    /// Makes this database a node, with the three built-in replication sets.
    /// - Returns: the node's id.
    @discardableResult
    public func createNode(
        _ name: NodeName, dsn: Conninfo, location: String? = nil, country: String? = nil, info: String? = nil, deadline: Deadline
    ) async throws -> NodeID {
        try await query(SpockNode.create(name, dsn: dsn, location: location, country: country, info: info), deadline).one().get("node_id")
    }

    /// Removes `name` from this node's catalog; one that is not there is no error.
    ///
    /// On the node itself Spock also drops **every** slot of this database whose name begins with `spk_`, and on any node
    /// it refuses while a subscription still names the node. Never call it on a clone that carries the source's identity.
    /// - Returns: whether there was such a node.
    @discardableResult
    public func dropNode(_ name: NodeName, deadline: Deadline) async throws -> Bool {
        try await query(SpockNode.drop(name), deadline).one().get("dropped")
    }

    /// Removes one interface of a node from this node's catalog; one that is not there is no error.
    @discardableResult
    public func dropInterface(_ interface: String, of name: NodeName, deadline: Deadline) async throws -> Bool {
        try await !query(SpockNode.dropInterface(interface, of: name), deadline).isEmpty
    }
}
