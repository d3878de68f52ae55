public import EventLoop
public import PostgresClient
public import RemoteHost
import Server
public import Spock

/// How a procedure reaches the hosts and the servers of its cluster.
///
/// Hosts and connections are made when they are first asked for, kept, and made anew after they were lost. PostgreSQL is
/// reached through the host's SSH connection, so that it need not be reachable from the operator's machine.
public actor ClusterAccess {
    /// What is known of a node before anything was asked.
    public struct Node: Sendable {
        public var name: String
        /// How SSH reaches the host.
        public var ssh: String
        /// How other hosts reach its PostgreSQL.
        public var address: String
        public var port: UInt16

        public init(name: String, ssh: String, address: String, port: UInt16) {
            (self.name, self.ssh, self.address, self.port) = (name, ssh, address, port)
        }
    }

    /// Makes an SSH connection: destination, the name that errors begin with, deadline.
    public typealias Connector = @Sendable (_ ssh: String, _ name: String, _ deadline: Deadline) async throws -> any Host

    private let nodes: [String: Node]
    private let database: String
    private let user: String
    private var password: Secret?
    private let applicationName: String
    private let connect: Connector
    private let askPassword: PasswordPrompt?

    private var hosts: [String: Task<any Host, any Error>] = [:]
    private var forwards: [String: ForwardedPort] = [:]
    private var sessions: [String: SpockSession] = [:]

    /// Asks the operator for the password of a role, where no other source has it; `nil` when nobody is there.
    public typealias PasswordPrompt = @Sendable (_ user: String) -> String?

    /// The name under which servers list the sessions of a run.
    public static let applicationName = ClientTransaction.ownApplicationName

    public init(
        nodes: [Node], database: String, user: String, applicationName: String = ClusterAccess.applicationName,
        askPassword: PasswordPrompt? = nil, connect: @escaping Connector
    ) {
        self.nodes = Dictionary(nodes.map { ($0.name, $0) }) { first, _ in first }
        (self.database, self.user, self.applicationName) = (database, user, applicationName)
        (self.askPassword, self.connect) = (askPassword, connect)
    }

    /// The host called `name`; connects at the first call, and again after ``forget(_:)``.
    public func host(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> any Host {
        if let host = hosts[name] { return try await host.value }
        let ssh = nodes[name]?.ssh ?? name, connect = self.connect
        let connecting = Task { try await connect(ssh, name, deadline) }
        hosts[name] = connecting
        do {
            return try await connecting.value
        } catch {
            hosts[name] = nil
            throw error
        }
    }

    /// The session that is shared by everything that looks at or changes node `name`.
    public func spock(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> SpockSession {
        if let session = sessions[name] {
            if await session.connection.isOpen { return session }
            sessions[name] = nil
        }
        let session = try await separateSpock(name, deadline: deadline)
        sessions[name] = session
        return session
    }

    /// A session of its own on node `name`, for a transaction that stays open or a statement that waits. The caller closes it.
    public func separateSpock(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> SpockSession {
        let connection = try await connection(name, database: database, deadline: deadline)
        return SpockSession(try await ServerSession.open(connection, settings: SpockSession.settings, deadline: deadline))
    }

    /// A connection to any database of node `name`. The caller closes it.
    public func connection(
        _ name: String, database: String, applicationName: String? = nil, deadline: Deadline
    ) async throws -> PostgresConnection {
        guard let node = nodes[name] else { throw UnknownNode(name: name) }
        let port = try await forward(node, deadline: deadline)
        var conninfo = Conninfo(["dbname": database, "user": user, "sslmode": "prefer", "application_name": applicationName ?? self.applicationName])
        conninfo["password"] = password?.reveal()
        conninfo = conninfo.forwarded(host: node.address, address: port.address, port: port.port)
        do {
            return try await PostgresConnection.connect(to: conninfo, node: name, deadline: deadline)
        } catch let error as PostgresError where error.code == "28P01" && password == nil {
            guard let given = askPassword?(user) else { throw error }
            password = Secret(given)
            conninfo["password"] = given
            // The time the operator took to type is not the server's.
            return try await PostgresConnection.connect(to: conninfo, node: name, deadline: .after(deadline.budget))
        }
    }

    private func forward(_ node: Node, deadline: Deadline) async throws -> ForwardedPort {
        let host = try await host(node.name, deadline: deadline)
        if let forward = forwards[node.name] { return forward }
        let forward = try await host.forward(toPort: node.port, address: node.address)
        forwards[node.name] = forward
        return forward
    }

    /// Drops what leads to `name`, so that the next call connects anew. For a host or a server that was lost.
    public func forget(_ name: String) async {
        if let session = sessions.removeValue(forKey: name) { await session.connection.close() }
        if let forward = forwards.removeValue(forKey: name) { await forward.close() }
        guard let connecting = hosts.removeValue(forKey: name) else { return }
        if case .success(let host) = await connecting.result { await host.close() }
    }

    /// Ends the session with the server on `name`, which is about to stop.
    public func forgetServer(_ name: String) async {
        if let session = sessions.removeValue(forKey: name) { await session.connection.close() }
    }

    /// Ends everything.
    public func close() async {
        for name in Set(sessions.keys).union(forwards.keys).union(hosts.keys) { await forget(name) }
    }
}

/// A node that is not in the playbook; a mistake in pggraft.
struct UnknownNode: Error, CustomStringConvertible {
    let name: String
    var description: String { "no node \(name) in the playbook" }
}

/// Does the same on several nodes at once.
///
/// - Returns: the results by node.
/// - Throws: the first error, after the others were told to stop.
func onEach<Value: Sendable>(
    _ names: [String], _ work: @escaping @Sendable (String) async throws -> Value
) async throws -> [String: Value] {
    try await withThrowingTaskGroup(of: (String, Value).self) { group in
        for name in names { group.addTask { (name, try await work(name)) } }
        return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
    }
}

/// As ``onEach(_:_:)``, but to the end on every node: one result a node, whether it worked or not.
func attemptOnEach<Value: Sendable>(
    _ names: [String], _ work: @escaping @Sendable (String) async throws -> Value
) async -> [(name: String, result: Result<Value, any Error>)] {
    await withTaskGroup(of: (String, Result<Value, any Error>).self) { group in
        for name in names {
            group.addTask {
                do { return (name, .success(try await work(name))) } catch { return (name, .failure(error)) }
            }
        }
        let results = await group.reduce(into: [String: Result<Value, any Error>]()) { $0[$1.0] = $1.1 }
        return names.compactMap { name in results[name].map { (name, $0) } }
    }
}
