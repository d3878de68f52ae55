public import EventLoop
public import Instance
public import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Where a node is whose configuration is looked at or changed.
public struct NodeTarget: Sendable, Hashable, Codable {
    public var name: String
    /// How SSH reaches the host.
    public var ssh: String
    /// The server's own address, as seen from its host.
    public var address: String
    public var port: UInt16
    /// The OS user that owns the data directory.
    public var osUser: String
    /// The PostgreSQL role that looks and reloads: a superuser.
    public var role: String
    public var database: String
    /// Found out where it is not given.
    public var dataDirectory: String?
    /// Found out where it is not given.
    public var binDirectory: String?
    /// Found out where it is not given.
    public var manager: ServiceManager?

    public init(
        name: String, ssh: String, address: String = "127.0.0.1", port: UInt16 = 5432, osUser: String = "postgres", role: String = "postgres",
        database: String = "postgres", dataDirectory: String? = nil, binDirectory: String? = nil, manager: ServiceManager? = nil
    ) {
        (self.name, self.ssh, self.address, self.port, self.osUser) = (name, ssh, address, port, osUser)
        (self.role, self.database, self.dataDirectory, self.binDirectory) = (role, database, dataDirectory, binDirectory)
        self.manager = manager
    }
}

extension NodeTarget {
    /// What `roster` says of the node called `name`; `nil` where it has none.
    public init?(_ name: String, in roster: Roster) {
        guard let entry = roster.entries.first(where: { $0.name == name }) else { return nil }
        self.init(
            name: entry.name, ssh: entry.ssh, address: entry.address, port: entry.port, osUser: entry.osUser, role: roster.role,
            database: roster.database, dataDirectory: entry.dataDirectory?.path, binDirectory: entry.binDirectory?.path, manager: entry.manager)
    }

    /// - Throws: `Problem` for a path that is none.
    fileprivate var roster: Roster {
        get throws {
            let entry = Roster.Entry(
                name: name, ssh: ssh, address: address, port: port, osUser: osUser, dataDirectory: try dataDirectory.map(HostPath.init(checking:)),
                binDirectory: try binDirectory.map(HostPath.init(checking:)), manager: manager)
            return Roster([entry], database: database, role: role)
        }
    }
}

/// A node whose configuration is looked at or changed: its instance, and a connection to its server where there can be one.
public actor ConfiguredNode {
    public nonisolated let target: NodeTarget
    private let access: ClusterAccess
    /// Whether the access is another's, who ends it.
    private let isShared: Bool
    private let lock: ClusterLock
    private var session: PostgresConnection?
    /// Why nobody can ask the server, on one line.
    public private(set) var whyUnasked: String?

    /// - Throws: `Problem` for a path that is none.
    public init(_ target: NodeTarget, _ ways: Ways) throws {
        (self.target, isShared) = (target, false)
        access = ClusterAccess(try target.roster, ways)
        lock = ClusterLock("configuration", on: target.name, of: access, saying: "changes the configuration of this server")
    }

    /// A node of a procedure that changes more than its configuration.
    /// - Throws: ``UnknownNode``.
    init(_ name: String, of access: ClusterAccess) throws {
        guard let target = NodeTarget(name, in: access.roster) else { throw UnknownNode(name: name) }
        (self.target, self.access, isShared) = (target, access, true)
        lock = ClusterLock("configuration", on: name, of: access, saying: "changes the configuration of this server")
    }

    /// - Throws: `InstanceError`, what connecting to the host throws.
    public func instance(deadline: Deadline) async throws -> Instance { try await access.instance(target.name, deadline: deadline) }

    /// The target with what was found out about it: it is found again when its server does not run, or on another port.
    /// - Throws: as ``instance(deadline:)``.
    func foundTarget() async throws -> NodeTarget {
        let instance = try await instance(deadline: .after(.seconds(20)))
        var target = target
        target.dataDirectory = instance.dataDirectory.path
        target.binDirectory = instance.binaries.directory.path
        return target
    }

    /// A connection to the server; `nil` where it does not run or lets nobody in, for which ``whyUnasked`` is the reason.
    /// - Throws: what connecting to the host throws.
    public func connection(deadline: Deadline) async throws -> PostgresConnection? {
        if let session, await session.isOpen { return session }
        session = nil
        let instance = try await instance(deadline: deadline)
        guard case .running(let postmaster) = try await instance.status(deadline: deadline) else {
            whyUnasked = "the server does not run"
            return nil
        }
        guard (postmaster.port ?? target.port) == target.port else {
            whyUnasked = "the server in \(instance.dataDirectory) listens on port \(postmaster.port ?? 0), not \(target.port)"
            return nil
        }
        do {
            let connection = try await access.connection(target.name, asItIs: true, deadline: deadline)
            // As `serializable` a standby runs no statement at all.
            if await connection.parameterStatus("in_hot_standby") == "on" {
                try await connection.query("SET default_transaction_isolation = 'read committed'", deadline: deadline)
            }
            guard await ServerSession(asItIs: connection).isSuperuser else {
                await connection.close()
                whyUnasked = "\(target.role) is no superuser: name one with --role"
                return nil
            }
            session = connection
            whyUnasked = nil
        } catch let error as PostgresError {
            whyUnasked = Problem(explaining: error).fact.split(separator: "\n").first.map(String.init)
        }
        return session
    }

    /// The previous versions of files that a run has kept on the host.
    func keptFiles(_ memory: Memory) async throws -> [Created] { try await KeptFiles.left(by: memory, access) }

    func remove(_ thing: Created, keptBy memory: Memory) async throws { try await KeptFiles.remove(thing, keptBy: memory, access) }

    /// Takes the lock on the server, until ``close()``; says who has it where this process has it already.
    /// - Throws: ``LockTaken``, what connecting to the host throws.
    func takeLock(holder: Holder) async throws {
        guard try await connection(deadline: .after(.seconds(20))) != nil else { return }
        try await lock.take(holder: holder)
    }

    /// Before the server stops: the next question needs a new connection.
    func forgetConnection() async {
        await session?.close()
        session = nil
    }

    public func close() async {
        await lock.release()
        await forgetConnection()
        if !isShared { await access.close() }
    }
}
