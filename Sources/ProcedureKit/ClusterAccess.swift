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
/// reached through the host's SSH connection, so that it need not be reachable from the operator's machine: by its port, and where
/// that lets nobody in, by its Unix-domain socket as the OS user, which is all that a Debian or RHEL server allows as it is installed.
public actor ClusterAccess {
    public nonisolated let roster: Roster
    private nonisolated let ways: Ways
    private let sessionSettings: [SessionSetting]
    /// What the operator was asked for, and the nodes that have no other one.
    private var password: Secret?
    private var asksPassword: Set<String> = []

    private var hosts: [String: SharedLook<any Host>] = [:]
    private var forwards: [String: ForwardedPort] = [:]
    private var sockets: [String: SocketWay] = [:]
    /// The nodes that were reached by their port, and those that were by their socket last.
    private var byPort: Set<String> = []
    private var bySocket: Set<String> = []
    /// Those whose servers are too old for all that a session wants from its first statement on.
    private var isOld: Set<String> = []
    private var sessions: [String: ServerSession] = [:]
    private var instances: [String: SharedLook<Instance>] = [:]
    private var approach: Task<Void, Never>?

    /// The name under which servers list the sessions of a run.
    public static let applicationName = ClientTransaction.ownApplicationName

    /// - Parameter sessionSettings: what the procedure wants of each session.
    public init(_ roster: Roster, _ ways: Ways, sessionSettings: [SessionSetting] = []) {
        (self.roster, self.ways, self.sessionSettings) = (roster, ways, sessionSettings)
    }

    /// Begins to reach what will be needed, all of it at once, while something else is waited for. What cannot be reached is tried again by
    /// whoever needs it, and told there.
    public func beginToReach(hosts: [String] = [], instances: [String] = [], servers: [String] = []) {
        guard approach == nil else { return }
        approach = Task {
            async let reached = attemptOnEach(hosts) { _ = try await self.host($0) }
            async let found = attemptOnEach(instances) { _ = try await self.instance($0) }
            async let connected = attemptOnEach(servers) { _ = try await self.server($0) }
            _ = await (reached, found, connected)
        }
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
        let host = try await host(node, deadline: deadline.orAfter(.seconds(20)))
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

    /// That of a server which runs: before 9.6 its control file says it.
    public nonisolated func systemIdentifier(of node: String, deadline: Deadline) async throws -> UInt64 {
        if let identifier = try await server(node, deadline: deadline).systemIdentifier(deadline: deadline) { return identifier }
        return try await instance(node, deadline: deadline).controlData(deadline: deadline).systemIdentifier.number
    }

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
        let wasOld = isOld.contains(name)
        do {
            return try await anyConnection(name, database: database, applicationName: applicationName, asItIs: asItIs, deadline: deadline)
        } catch let error as PostgresError where error.code == SessionSetting.refusesStartupOptions && !asItIs && !wasOld {
            isOld.insert(name)
            return try await anyConnection(name, database: database, applicationName: applicationName, asItIs: asItIs, deadline: deadline)
        }
    }

    private func anyConnection(_ name: String, database: String?, applicationName: String?, asItIs: Bool, deadline: Deadline) async throws -> PostgresConnection {
        let node = try roster.entry(name)
        if bySocket.contains(name) {
            do {
                return try await connect(bySocketOf: node, database: database, applicationName: applicationName, asItIs: asItIs, deadline: deadline)
            } catch let error where !(error is CancellationError || error is DeadlineExceeded) && (error as? PostgresError)?.mayBeOtherElsewhere ?? true {
                // Its rules, or its socket, may be others by now.
                bySocket.remove(name)
            }
        }
        return try await connect(
            to: node, through: try await forward(node, deadline: deadline), database: database, applicationName: applicationName, asItIs: asItIs,
            deadline: deadline)
    }

    /// Logs in to `name` as one will to `other`, which does not run yet and is to be a copy of it: from the host of `other`, with
    /// the password that is known for `other`. One that is reached by its socket will be so.
    /// - Throws: `PostgresError`, what reaching the host throws.
    public func tryLogin(to name: String, asIfTo other: String, deadline: Deadline) async throws {
        let node = try roster.entry(name), copy = try roster.entry(other)
        if bySocket.contains(name), copy.osUser == roster.role { return }
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
        var conninfo = conninfo(node, database: database, applicationName: applicationName, asItIs: asItIs)
        let isAsked = asksPassword.contains(name)
        // libpq would look for a line with the forwarded port.
        let known = isAsked ? password : PasswordFile.password(host: node.address, port: node.port, database: database ?? roster.database, user: roster.role)
        conninfo["password"] = known?.reveal()
        conninfo = conninfo.forwarded(host: node.address, address: port.address, port: port.port)
        do {
            let connection = try await PostgresConnection.connect(to: conninfo, node: name, deadline: deadline)
            if isThere { byPort.insert(name) }
            return connection
        } catch let error as PostgresError where isThere && error.mayBeOtherElsewhere && (error.code != nil || !byPort.contains(name)) {
            let second: any Error
            do {
                // The port had its share of the time.
                let deadline = Deadline.after(deadline.budget)
                return try await connect(bySocketOf: node, database: database, applicationName: applicationName, asItIs: asItIs, deadline: deadline)
            } catch let cancelled as CancellationError {
                throw cancelled
            } catch {
                second = error
            }
            if error.code == "28P01", !isAsked, let connection = try await connectAsking(name, conninfo, deadline: deadline) { return connection }
            guard error.code == nil else { throw refusal(node, error, second) }
            throw await whyNotReached(node, error, deadline: deadline.forLook)
        } catch let error as PostgresError where error.code == "28P01" && !isAsked {
            guard let connection = try await connectAsking(name, conninfo, deadline: deadline) else { throw error }
            return connection
        } catch let error as PostgresError where error.code == nil && isThere {
            throw await whyNotReached(node, error, deadline: deadline.forLook)
        }
    }

    private func conninfo(_ node: Roster.Entry, database: String?, applicationName: String?, asItIs: Bool) -> Conninfo {
        var conninfo = Conninfo([
            "dbname": database ?? roster.database, "user": roster.role, "port": "\(node.port)", "sslmode": "prefer",
            "application_name": applicationName ?? ways.applicationName,
        ])
        if !asItIs { conninfo["options"] = isOld.contains(node.name) ? SessionSetting.oldStartupOptions : SessionSetting.startupOptions }
        return conninfo
    }

    /// With the password that the operator gives; `nil` where nobody is there.
    private func connectAsking(_ name: String, _ refused: Conninfo, deadline: Deadline) async throws -> PostgresConnection? {
        // Another node's may have been asked for meanwhile: one question is for all that need an answer.
        guard let given = password ?? ways.askPassword?(roster.role).map({ Secret($0) }) else { return nil }
        password = given
        asksPassword.insert(name)
        var conninfo = refused
        conninfo["password"] = given.reveal()
        // The time the operator took to type is not the server's.
        let connection = try await PostgresConnection.connect(to: conninfo, node: name, deadline: .after(deadline.budget))
        byPort.insert(name)
        return connection
    }

    // MARK: By the socket

    /// A way to a server's socket as its OS user.
    private struct SocketWay {
        let path: HostPath
        let port: ForwardedPort
    }

    /// - Throws: `PostgresError`, `HostError`; `Problem` where the server has no such socket.
    private func connect(
        bySocketOf node: Roster.Entry, database: String?, applicationName: String?, asItIs: Bool, deadline: Deadline
    ) async throws -> PostgresConnection {
        let way = try await socketWay(node, deadline: deadline)
        let wanted = conninfo(node, database: database, applicationName: applicationName, asItIs: asItIs)
        var conninfo = wanted.forwarded(socket: way.path.path, address: way.port.address, port: way.port.port)
        // By which names libpq would look for it.
        conninfo["password"] =
            ["localhost", way.path.directory.path, node.address].lazy
            .compactMap { PasswordFile.password(host: $0, port: node.port, database: database ?? self.roster.database, user: self.roster.role) }.first?.reveal()
        do {
            let connection = try await PostgresConnection.connect(to: conninfo, node: node.name, deadline: deadline)
            bySocket.insert(node.name)
            return connection
        } catch {
            // A connection that was reset does not say why.
            let cause = await way.port.lastError
            if !bySocket.contains(node.name) { await forgetSocket(node.name) }
            if (error as? PostgresError)?.code == nil, !(error is CancellationError), let cause { throw cause }
            throw error
        }
    }

    private func socketWay(_ node: Roster.Entry, deadline: Deadline) async throws -> SocketWay {
        if let way = sockets[node.name] { return way }
        let instance = try await instance(node.name, deadline: deadline), postmaster = try await instance.postmaster(deadline: deadline)
        guard postmaster.port == nil || postmaster.port == node.port else {
            throw Problem("the server in \(instance.dataDirectory) listens on port \(postmaster.port ?? 0), not \(node.port)")
        }
        guard let directory = postmaster.socketDirectory else { throw Problem("the server has none (unix_socket_directories)") }
        guard !directory.hasPrefix("@") else { throw Problem("it has no path (\(directory))") }
        let path = (HostPath(directory) ?? instance.dataDirectory / directory) / ".s.PGSQL.\(node.port)"
        let way = SocketWay(path: path, port: try await host(node.name, deadline: deadline).forward(toSocket: path, as: node.osUser))
        if let other = sockets[node.name] {
            await way.port.close()
            return other
        }
        sockets[node.name] = way
        return way
    }

    private func forgetSocket(_ name: String) async { await sockets.removeValue(forKey: name)?.port.close() }

    /// What stands in the way of both ways to a server that runs.
    private func refusal(_ node: Roster.Entry, _ error: PostgresError, _ second: any Error) -> PostgresError {
        guard case .cannotConnect(_, let message, let code, let hint) = error else { return error }
        let why: String, way: String?, osUser = node.osUser, role = roster.role
        switch second {
        case PostgresError.cannotConnect(_, let text, let code, let hint):
            why = text
            way = code == "28000" && role != osUser ? "name the role that the server lets the OS user \(osUser) in as (\(osUser), where it is not mapped)" : hint
        default:
            let problem = Problem(explaining: second)
            (why, way) = (problem.fact, problem.hint)
        }
        let line = HBARule(
            .host, databases: [.named(roster.database)], users: [.named(role)], from: IPNetwork(node.address).map(HBARule.Address.network) ?? .hostName(node.address),
            method: "scram-sha-256")
        let text = "\(line)".split(separator: " ").joined(separator: " ")
        let rule = code == "28000" ? "put the line `\(text)` into its pg_hba.conf, reload it, and give the password in ~/.pgpass" : hint
        return .cannotConnect(
            node: node.name, message: "\(message); as \(osUser) by its socket: \(why)", code: code,
            hint: [way, rule].compactMap(\.self).joined(separator: "; or "))
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
        await forgetSocket(name)
        await hosts.removeValue(forKey: name)?.settled?.close()
    }

    /// Ends the session with the server on `name`, which is about to stop.
    public func forgetServer(_ name: String) async {
        await sessions.removeValue(forKey: name)?.connection.close()
    }

    /// Ends everything.
    public func close() async {
        approach?.cancel()
        await approach?.value
        approach = nil
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

extension PostgresError {
    /// Whether nobody was let in, by the server's rules or for want of a password, or nobody was there: another way in is worth a try.
    fileprivate var mayBeOtherElsewhere: Bool { code == nil || code == "28P01" || code == "28000" }
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
