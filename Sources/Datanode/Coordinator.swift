public import EventLoop
import PostgresClient
import Report
public import Server

/// A coordinator of Postgres-XC: what it knows of the cluster's nodes, and how that is changed.
///
/// What each statement answers, and what it does not prove, was measured on Postgres-XC 1.2: fixtures/contract/postgres-xc-1.2.md.
public struct Coordinator: Sendable {
    public let session: ServerSession

    /// - Parameter session: of a superuser.
    public init(_ session: ServerSession) { self.session = session }

    /// By what others know it; `nil` where the server is no part of a Postgres-XC cluster.
    public func nodeName(deadline: Deadline) async throws -> String? {
        do {
            return try await session.connection.query("SHOW pgxc_node_name", deadline: deadline).one().get("pgxc_node_name")
        } catch let error as PostgresError where error.code == "42704" {
            return nil
        }
    }

    /// The nodes that this coordinator knows, itself among them: it alone, for each keeps its own list.
    /// - Throws: `PostgresError` with `42P01` where the server is no part of a Postgres-XC cluster.
    public func nodes(deadline: Deadline) async throws -> [ClusterNode] {
        try await session.connection.look(ClusterNode.all(), deadline: deadline).map(ClusterNode.init(row:))
    }

    /// As ``nodes(deadline:)``, of a server that has to be the coordinator called `name`.
    /// - Throws: `Problem` where it is another one, or none.
    public func nodes(of name: String, deadline: Deadline) async throws -> [ClusterNode] {
        let nodes: [ClusterNode]
        do { nodes = try await self.nodes(deadline: deadline) } catch let error as PostgresError where error.code == "42P01" {
            throw Problem("is no coordinator of Postgres-XC: it has no pgxc_node", hint: "correct its address and port")
        }
        if let called = try await nodeName(deadline: deadline), called != name {
            throw Problem("calls itself \(called)", hint: "correct its address and port, or its name in cluster.coordinators")
        }
        return nodes
    }

    /// Says where the node called `name` is from now on: to this coordinator alone, whose sessions may go on with what their pool has.
    /// - Throws: `PostgresError`: `42704` for a name that it does not know, to the letter.
    public func move(_ name: String, to place: NodeAddress, deadline: Deadline) async throws {
        try await session.connection.query(NodeAddress.alter(name, to: place), deadline: deadline)
    }

    /// Has the pool connect anew. The sessions of this coordinator lose their transaction, what they have prepared and their temporary tables. Its answer proves
    /// nothing: see ``reach(_:deadline:)``.
    public func reloadPool(deadline: Deadline) async throws {
        try await session.connection.query("SELECT pgxc_pool_reload() AS reloaded", deadline: deadline)
    }

    /// What the session ends from now on it ends on this coordinator alone: else it asks the GTM for a prepared transaction, which does not know those of
    /// coordinators ("does not exist").
    public func beAlone(deadline: Deadline) async throws { try await session.connection.query("SET xc_maintenance_mode = on", deadline: deadline) }

    /// Which server a session of this coordinator reaches under a datanode's name.
    /// - Throws: `PostgresError`: `53000` where it reaches none.
    public func reach(_ name: String, deadline: Deadline) async throws -> ReachedServer {
        try await ReachedServer(row: session.connection.query(ReachedServer.through(name), deadline: deadline).one())
    }
}

/// Where a node of a cluster is, as the others connect to it.
public struct NodeAddress: Sendable, Hashable, Codable, CustomStringConvertible {
    /// At most 63 bytes: what is longer is cut off without a word.
    public var host: String
    public var port: UInt16

    public init(host: String, port: UInt16) { (self.host, self.port) = (host, port) }

    public var description: String { "\(host):\(port)" }

    /// The port stands there as a number: neither a quoted one nor a parameter is taken. What is not said stays: whether it is PRIMARY or PREFERRED, too.
    static func alter(_ name: String, to place: NodeAddress) -> SQL {
        "ALTER NODE \(identifier: name) WITH (HOST = \(literal: place.host), PORT = \(SQL(stringLiteral: "\(place.port)")))"
    }
}

/// A node as one coordinator knows it: a row of its `pgxc_node`.
public struct ClusterNode: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable { case coordinator = "C", datanode = "D" }

    public var name: String
    /// `nil` for a kind that this version of pggraft does not know.
    public var kind: Kind?
    public var place: NodeAddress
    /// Writes of replicated tables begin there.
    public var isPrimary: Bool
    /// Reads of replicated tables go there.
    public var isPreferred: Bool

    public init(name: String, kind: Kind?, place: NodeAddress, isPrimary: Bool = false, isPreferred: Bool = false) {
        (self.name, self.kind, self.place, self.isPrimary, self.isPreferred) = (name, kind, place, isPrimary, isPreferred)
    }

    static func all() -> SQL { "SELECT node_name, node_type, node_host, node_port, nodeis_primary, nodeis_preferred FROM pgxc_node ORDER BY node_name" }

    init(row: Row) throws {
        name = try row.get("node_name")
        kind = Kind(rawValue: try row.get("node_type"))
        let port: Int = try row.get("node_port")
        place = NodeAddress(host: try row.optional("node_host") ?? "", port: UInt16(clamping: port))
        isPrimary = try row.get("nodeis_primary")
        isPreferred = try row.get("nodeis_preferred")
    }

    /// `PRIMARY, PREFERRED`; empty for neither.
    public var flags: String { [isPrimary ? "PRIMARY" : nil, isPreferred ? "PREFERRED" : nil].compactMap(\.self).joined(separator: ", ") }
}

/// A server, told from every other one, and from itself in another life.
public struct ReachedServer: Sendable, Hashable, CustomStringConvertible {
    /// `nil` for a Unix socket.
    public var address: String?
    public var port: Int?
    /// Since when it runs, in microseconds since 1970.
    public var started: Int64
    public var isInRecovery: Bool

    /// Two servers that have begun in the same microsecond would be one.
    public func isSame(as other: ReachedServer) -> Bool { started == other.started }

    public var description: String { "\(address ?? "a socket"):\(port.map { "\($0)" } ?? "?")\(isInRecovery ? ", a standby" : "")" }

    static let look: SQL = """
        SELECT host(inet_server_addr()) AS address, inet_server_port() AS port, \
        (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS started, pg_is_in_recovery() AS recovers
        """

    /// The parentheses came with 1.1.
    static func through(_ name: String) -> SQL { "EXECUTE DIRECT ON (\(identifier: name)) \(literal: look.text)" }

    init(row: Row) throws {
        address = try row.optional("address")
        port = try row.optional("port")
        started = try row.get("started")
        isInRecovery = try row.get("recovers")
    }
}

extension ServerSession {
    /// Which server this is.
    public func reached(deadline: Deadline) async throws -> ReachedServer { try ReachedServer(row: await connection.look(ReachedServer.look, deadline: deadline).one()) }
}
