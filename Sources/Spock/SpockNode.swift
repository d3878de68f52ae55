public import EventLoop
public import PostgresClient
internal import Server

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
    /// Every node this node's catalog has, itself included.
    public func nodes(deadline: Deadline) async throws -> [SpockNode] {
        try await look(SpockNode.all(), deadline).map(SpockNode.init(row:))
    }

    /// The node id Spock will give to a node called `name`; works where Spock is not loaded.
    public func nodeID(of name: NodeName, deadline: Deadline) async throws -> NodeID {
        try await look(SpockNode.id(of: name), deadline).one().get("node_id")
    }

    /// Makes this database a node, with the three built-in replication sets: one round trip.
    /// - Parameter version: of the extension, which is created where it is not there, even where a newer one is installed; `nil` where it is there.
    /// - Returns: the node's id.
    /// - Throws: ``SpockError/extensionVersion(node:found:wanted:)`` where it is there at another version, and nothing is made; server errors.
    @discardableResult
    public func createNode(
        _ name: NodeName, dsn: Conninfo, location: String? = nil, country: String? = nil, info: String? = nil, withExtension version: SpockVersion? = nil,
        deadline: Deadline
    ) async throws -> NodeID {
        let create = SpockNode.create(name, dsn: dsn, location: location, country: country, info: info)
        guard let version else { return try await query(create, deadline).one().get("node_id") }
        let answers = try await connection.query(
            together: [SpockExtension.create(version), SpockExtension.version(), "\(create) WHERE \(SpockExtension.isOf(version))"], deadline: deadline)
        let found: SpockVersion? = try answers[1].first?.get("extversion")
        guard found == version else { throw SpockError.extensionVersion(node: self.name, found: found, wanted: version) }
        return try answers[2].one().get("node_id")
    }
}
