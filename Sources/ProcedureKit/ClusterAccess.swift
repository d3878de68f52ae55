public import EventLoop
public import Instance
public import PostgresClient
public import PostgresConfig
public import RemoteHost
import Report
public import Server

/// How a procedure reaches the hosts, the servers and the instances of its roster.
///
/// Hosts and connections are made when they are first asked for, kept, and made anew after they were lost. PostgreSQL is
/// reached through the host's SSH connection, so that it need not be reachable from the operator's machine.
public actor ClusterAccess {
    public nonisolated let roster: Roster
    private nonisolated let ways: Ways
    private let sessionSettings: [SessionSetting]
    /// What the operator was asked for, and the nodes that have no other one.
    private var password: Secret?
    private var asksPassword: Set<String> = []

    private var hosts: [String: SharedLook<any Host>] = [:]
    private var forwards: [String: ForwardedPort] = [:]
    private var sessions: [String: ServerSession] = [:]
    private var instances: [String: SharedLook<Instance>] = [:]

    /// The name under which servers list the sessions of a run.
    public static let applicationName = ClientTransaction.ownApplicationName

    /// - Parameter sessionSettings: what the procedure wants of each session.
    public init(_ roster: Roster, _ ways: Ways, sessionSettings: [SessionSetting] = []) {
        (self.roster, self.ways, self.sessionSettings) = (roster, ways, sessionSettings)
    }

    // MARK: Hosts and instances

    /// The host called `name`; connects at the first call, and again after ``forget(_:)``.
    public func host(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> any Host {
        let ssh = try roster.entry(name).ssh, connect = ways.connect
        return try await hosts.shared(name).value { try await connect(ssh, name, deadline) }
    }

    /// The instance of `node`, found once.
    /// - Parameter programs: those that a copy is known to run with, where what it is a copy of may be gone.
    /// - Throws: `InstanceError`, what connecting to the host throws.
    public func instance(_ node: String, programs: KnownPrograms? = nil, deadline: Deadline = .after(.seconds(30))) async throws -> Instance {
        let host = try await host(node)
        return try await instances.shared(node).value { try await self.find(node, programs, on: host, deadline: deadline) }.reached(through: host)
    }

    private func find(_ node: String, _ programs: KnownPrograms?, on host: any Host, deadline: Deadline) async throws -> Instance {
        let entry = try roster.entry(node)
        var address = entry.instance
        if let programs {
            address.version = programs.version
            if address.binDirectory == nil { address.binDirectory = try HostPath(checking: programs.directory) }
        }
        return try await Instance.find(
            address, on: host,
            copyOf: {
                guard programs == nil, let original = entry.copyOf else { return nil }
                return try await self.instance(original)
            }, deadline: deadline)
    }

    // MARK: Servers

    /// The session that is shared by everything that looks at or changes node `name`.
    public func server(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> ServerSession {
        if let session = await kept(name) { return session }
        let session = try await separateServer(name, deadline: deadline)
        // Nobody waits behind somebody else's deadline: of two that were made meanwhile, the first is kept.
        if let other = await kept(name) {
            await session.connection.close()
            return other
        }
        sessions[name] = session
        return session
    }

    private func kept(_ name: String) async -> ServerSession? {
        guard let session = sessions[name] else { return nil }
        return await session.connection.isOpen ? session : nil
    }

    /// A session of its own on node `name`, for a transaction that stays open or a statement that waits. The caller closes it.
    /// - Parameter database: by default the roster's.
    public func separateServer(_ name: String, database: String? = nil, deadline: Deadline = .after(.seconds(20))) async throws -> ServerSession {
        let connection = try await connection(name, database: database, deadline: deadline)
        do {
            return try await ServerSession.open(connection, settings: sessionSettings, deadline: deadline)
        } catch {
            await connection.close()
            throw error
        }
    }

    /// A connection to a database of node `name`, by default the roster's. The caller closes it.
    /// - Parameter asItIs: with nothing but what the role and the database give it.
    public func connection(
        _ name: String, database: String? = nil, applicationName: String? = nil, asItIs: Bool = false, deadline: Deadline
    ) async throws -> PostgresConnection {
        let node = try roster.entry(name)
        return try await connect(
            to: node, through: try await forward(node, deadline: deadline), database: database, applicationName: applicationName, asItIs: asItIs,
            deadline: deadline)
    }

    /// Logs in to `name` as one will to `other`, which does not run yet and is to be a copy of it: from the host of `other`, with
    /// the password that is known for `other`.
    /// - Throws: `PostgresError`, what reaching the host throws.
    public func tryLogin(to name: String, asIfTo other: String, deadline: Deadline) async throws {
        let node = try roster.entry(name), copy = try roster.entry(other)
        let port = try await host(other, deadline: deadline).forward(toPort: node.port, address: node.address)
        do {
            let connection = try await connect(to: copy, through: port, isThere: false, deadline: deadline)
            await connection.close()
            await port.close()
        } catch {
            await port.close()
            throw error
        }
    }

    /// - Parameters:
    ///   - node: whose password it takes, and whose name errors have.
    ///   - isThere: whether the port is that node's own.
    private func connect(
        to node: Roster.Entry, through port: ForwardedPort, database: String? = nil, applicationName: String? = nil, asItIs: Bool = false, isThere: Bool = true,
        deadline: Deadline
    ) async throws -> PostgresConnection {
        let name = node.name
        var conninfo = Conninfo([
            "dbname": database ?? roster.database, "user": roster.role, "port": "\(node.port)", "sslmode": "prefer",
            "application_name": applicationName ?? ways.applicationName,
        ])
        if !asItIs { conninfo["options"] = SessionSetting.startupOptions }
        let isAsked = asksPassword.contains(name)
        // libpq would look for a line with the forwarded port.
        let known = isAsked ? password : PasswordFile.password(host: node.address, port: node.port, database: database ?? roster.database, user: roster.role)
        conninfo["password"] = known?.reveal()
        conninfo = conninfo.forwarded(host: node.address, address: port.address, port: port.port)
        do {
            return try await PostgresConnection.connect(to: conninfo, node: name, deadline: deadline)
        } catch let error as PostgresError where error.code == "28P01" && !isAsked {
            // Another node's may have been asked for meanwhile: one question is for all that need an answer.
            guard let given = password ?? ways.askPassword?(roster.role).map({ Secret($0) }) else { throw error }
            password = given
            asksPassword.insert(name)
            conninfo["password"] = given.reveal()
            // The time the operator took to type is not the server's.
            return try await PostgresConnection.connect(to: conninfo, node: name, deadline: .after(deadline.budget))
        } catch let error as PostgresError where error.code == nil && isThere {
            throw await whyNotReached(node, error, deadline: deadline.forLook)
        }
    }

    /// Through the SSH connection a stopped server only shows as a connection that was closed.
    private func whyNotReached(_ node: Roster.Entry, _ error: PostgresError, deadline: Deadline) async -> PostgresError {
        guard case .cannotConnect(_, let message, nil, _) = error else { return error }
        do {
            guard try await host(node.name).isListening(onPort: node.port, deadline: deadline) else {
                return .cannotConnect(
                    node: node.name, message: "nothing listens on port \(node.port)", hint: "start PostgreSQL on \(node.name), or correct its `port`")
            }
        } catch {
            return .cannotConnect(node: node.name, message: "\(message); \(Problem(explaining: error).fact)")
        }
        guard message.contains("closed the connection") || message.contains("reset by peer") else { return error }
        return .cannotConnect(
            node: node.name, message: message, hint: "port \(node.port) is open there: is it on \(node.address), too (listen_addresses)?")
    }

    private func forward(_ node: Roster.Entry, deadline: Deadline) async throws -> ForwardedPort {
        let host = try await host(node.name, deadline: deadline)
        if let forward = forwards[node.name] { return forward }
        let forward = try await host.forward(toPort: node.port, address: node.address)
        if let other = forwards[node.name] {
            await forward.close()
            return other
        }
        forwards[node.name] = forward
        return forward
    }

    /// Asks the operator for a secret; `nil` when nobody is there.
    public nonisolated func ask(_ what: String) -> String? { ways.askSecret?(what) }

    // MARK: Ends

    /// Drops what leads to `name`, so that the next call connects anew. For a host or a server that was lost.
    public func forget(_ name: String) async {
        await forgetServer(name)
        await forwards.removeValue(forKey: name)?.close()
        await hosts.removeValue(forKey: name)?.settled?.close()
    }

    /// Ends the session with the server on `name`, which is about to stop.
    public func forgetServer(_ name: String) async {
        await sessions.removeValue(forKey: name)?.connection.close()
    }

    /// Ends everything.
    public func close() async {
        for name in Set(sessions.keys).union(forwards.keys).union(hosts.keys) { await forget(name) }
    }
}

/// The programs that an instance is known to run with.
public struct KnownPrograms: Sendable, Codable {
    public var version: MajorVersion
    /// The directory that they are in.
    public var directory: String

    public init(of instance: Instance) {
        (version, directory) = (instance.version, instance.binaries.directory.path)
    }
}

extension ClusterAccess {
    /// Does `work` with a session of its own on node `name`, and ends that.
    public nonisolated func withSeparateServer<Value: Sendable>(
        _ name: String, deadline: Deadline = .after(.seconds(20)), _ work: (ServerSession) async throws -> Value
    ) async throws -> Value {
        let session = try await separateServer(name, deadline: deadline)
        do {
            let value = try await work(session)
            await session.connection.close()
            return value
        } catch {
            await session.connection.close()
            throw error
        }
    }

    /// Throws as soon as the host of one of `names` answers no more; for the time in which servers wait for each other, and nobody here
    /// for that host. Ends when it is cancelled.
    public nonisolated func watchHosts(_ names: [String]) async throws {
        while true {
            _ = try await onEach(names) { name in
                do {
                    try await self.host(name).require(Command("true"), deadline: .after(.seconds(10)))
                } catch let late as DeadlineExceeded {
                    throw Problem("the host of \(name) gave no answer for \(late.budget.inSeconds)", hint: "see what is wrong with it")
                }
            }
            try await Task.sleep(for: .seconds(2))
        }
    }

    /// Ends what an earlier process of a run has left on the servers: sessions whose machine is gone and that nobody has told
    /// them to end may hold locks for hours. Only the holder of the cluster's lock may do that, before it has sessions of its
    /// own beside the shared ones: what is older than those is an earlier process's.
    public func endEarlierSessions(on nodes: [String]) async {
        // A node that cannot be reached is a problem of the step that needs it.
        _ = await attemptOnEach(nodes) { node in
            let server = try await self.server(node, deadline: .after(.seconds(10)))
            try await server.terminateEarlierSessions(named: Self.applicationName, deadline: .after(.seconds(10)))
        }
    }
}

extension Dictionary {
    /// The look of this key, which may have yet to begin.
    fileprivate mutating func shared<Found: Sendable>(_ key: Key) -> SharedLook<Found> where Value == SharedLook<Found> {
        if let look = self[key] { return look }
        let look = SharedLook<Found>()
        self[key] = look
        return look
    }
}
