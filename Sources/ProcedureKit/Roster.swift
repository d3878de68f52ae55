public import Instance
public import Playbook
public import RemoteHost
public import Report

/// Who takes part in a procedure: the one mapping from what a playbook, or a command, says of a node to its host, its server
/// and its instance.
public struct Roster: Sendable {
    /// A node, before anything of it was looked at.
    public struct Entry: Sendable {
        public var name: String
        /// How SSH reaches the host; a dot for this machine.
        public var ssh: String
        /// How other hosts reach its PostgreSQL.
        public var address: String
        public var port: UInt16
        /// The OS user that owns the data directory.
        public var osUser: String
        /// Found by the port where it is not given.
        public var dataDirectory: HostPath?
        /// Found out where it is not given.
        public var binDirectory: HostPath?
        /// Found out where it is not given.
        public var manager: ServiceManager?
        /// Whether Debian's `pg_ctlcluster` is its manager.
        public var isDebianCluster = false
        /// The node whose version and programs it shares as long as its data directory is empty: the source of a copy.
        public var copyOf: String?
        /// What `pg_ctl` has to be told besides to start it, such as `-Z datanode`.
        public var startOptions: [String]

        public init(
            name: String, ssh: String, address: String, port: UInt16 = 5432, osUser: String = "postgres", dataDirectory: HostPath? = nil,
            binDirectory: HostPath? = nil, manager: ServiceManager? = nil, copyOf: String? = nil, startOptions: [String] = []
        ) {
            (self.name, self.ssh, self.address, self.port, self.osUser) = (name, ssh, address, port, osUser)
            (self.dataDirectory, self.binDirectory, self.manager, self.copyOf) = (dataDirectory, binDirectory, manager, copyOf)
            self.startOptions = startOptions
        }

        /// - Throws: `Problem` for a path that is none.
        public init(_ node: Playbook.Node, osUser: String, dataDirectory: String? = nil, copyOf: String? = nil) throws {
            self.init(
                name: node.name, ssh: node.ssh, address: node.address, port: node.port, osUser: osUser,
                dataDirectory: try (dataDirectory ?? node.dataDirectory).map(HostPath.init(checking:)),
                binDirectory: try node.binDirectory.map(HostPath.init(checking:)), copyOf: copyOf)
            switch node.service {
            case .pgCtl: manager = .pgCtl
            case .systemd(let unit): manager = .systemd(unit: unit)
            case .pgCtlCluster: isDebianCluster = true
            case nil: break
            }
        }

        /// What the instance is looked for by.
        var instance: InstanceAddress {
            var address = InstanceAddress(
                node: name, user: osUser, port: port, dataDirectory: dataDirectory, binDirectory: binDirectory, manager: manager, startOptions: startOptions)
            address.isDebianCluster = isDebianCluster
            return address
        }
    }

    public let entries: [Entry]
    /// Hosts that take part without a server, such as a repository's.
    public let otherHosts: [Entry]
    /// The database that is connected to.
    public let database: String
    /// The PostgreSQL role that connects.
    public let role: String

    public init(_ entries: [Entry], otherHosts: [Entry] = [], database: String, role: String) {
        (self.entries, self.otherHosts, self.database, self.role) = (entries, otherHosts, database, role)
    }

    /// - Throws: ``UnknownNode``.
    public func entry(_ name: String) throws -> Entry {
        guard let entry = (entries + otherHosts).first(where: { $0.name == name }) else { throw UnknownNode(name: name) }
        return entry
    }
}

/// A node that is not in the playbook; a mistake in pggraft.
public struct UnknownNode: Explained {
    public let name: String
    public var fact: String { "no node \(name) in the playbook" }
    public var hint: String? { "this is a mistake in pggraft: report it" }

    public init(name: String) { self.name = name }
}

extension HostPath {
    /// - Throws: `Problem` where `text` is no absolute path.
    public init(checking text: String) throws {
        guard let path = HostPath(text) else { throw Problem("\(text) is no absolute path") }
        self = path
    }
}
