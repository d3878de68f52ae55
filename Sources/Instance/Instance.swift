public import PostgresConfig
public import RemoteHost

/// A data directory with its port, programs and service manager on a host.
///
/// ```swift
/// let n4 = try await Instance.find(InstanceAddress(node: "n4", port: 5433), on: host, deadline: .after(.seconds(20)))
/// try await n4.stop(deadline: .after(.minutes(2)))
/// ```
///
/// ## Topics
/// - Finding it: ``find(_:on:deadline:)``, ``configurationFiles(through:deadline:)``
/// - Looking: ``status(deadline:)``, ``controlData(deadline:)``, ``usage(deadline:)``
/// - Running it: ``start(deadline:)``, ``stop(mode:deadline:)``, ``restart(deadline:)``, ``reload(expecting:through:deadline:)``
/// - Promotion: ``promote(connecting:deadline:)``
public struct Instance: Sendable {
    public let host: any Host
    /// The node's name; errors begin with it.
    public let node: String
    /// The OS user that owns the data directory and runs the server.
    public let user: String
    public let port: UInt16
    public let dataDirectory: HostPath
    public let version: MajorVersion
    public let binaries: Binaries
    public let manager: ServiceManager
    /// The Debian cluster the data directory belongs to, where it belongs to one.
    public let debianCluster: DebianCluster?
    /// Words that `pg_ctl start` and `restart` need besides their own, such as `-Z datanode`.
    public let startOptions: [String]

    public var features: ServerFeatures { ServerFeatures(version) }

    public init(
        host: any Host, node: String, user: String, port: UInt16, dataDirectory: HostPath, version: MajorVersion, binaries: Binaries,
        manager: ServiceManager, debianCluster: DebianCluster?, startOptions: [String] = []
    ) {
        (self.host, self.node, self.user, self.port) = (host, node, user, port)
        (self.dataDirectory, self.version, self.binaries, self.manager) = (dataDirectory, version, binaries, manager)
        (self.debianCluster, self.startOptions) = (debianCluster, startOptions)
    }

    /// The same instance over another connection to its host.
    public func reached(through host: any Host) -> Instance {
        Instance(
            host: host, node: node, user: user, port: port, dataDirectory: dataDirectory, version: version, binaries: binaries,
            manager: manager, debianCluster: debianCluster, startOptions: startOptions)
    }

    func program(_ name: String, _ arguments: [String]) -> Command {
        Command(words: [(binaries.directory / name).path] + arguments, user: user)
    }
}

/// What is known of an instance before anyone looked: what a playbook says of a node.
public struct InstanceAddress: Sendable, Hashable {
    public var node: String
    public var user: String
    public var port: UInt16
    /// Found by the port where it is not given.
    public var dataDirectory: HostPath?
    /// Found by the version, or by the running server, where it is not given.
    public var binDirectory: HostPath?
    /// Read from the data directory where there is one; needed where there is none yet.
    public var version: MajorVersion?
    /// Found out where it is not given.
    public var manager: ServiceManager?
    /// Whether Debian's `pg_ctlcluster` manages it, by the name that Debian's tools have for it, whatever systemd knows of it.
    public var isDebianCluster = false
    public var startOptions: [String]

    public init(
        node: String, user: String = "postgres", port: UInt16 = 5432, dataDirectory: HostPath? = nil, binDirectory: HostPath? = nil,
        version: MajorVersion? = nil, manager: ServiceManager? = nil, startOptions: [String] = []
    ) {
        (self.node, self.user, self.port, self.dataDirectory) = (node, user, port, dataDirectory)
        (self.binDirectory, self.version, self.manager, self.startOptions) = (binDirectory, version, manager, startOptions)
    }
}

/// Who starts and stops an instance.
public enum ServiceManager: Sendable, Hashable, Codable {
    /// `pg_ctl`, as the instance's OS user.
    case pgCtl
    /// `pg_ctlcluster VERSION CLUSTER`, Debian's and Ubuntu's, as the instance's OS user.
    case pgCtlCluster(version: String, cluster: String)
    /// `systemctl`, as root.
    case systemd(unit: String)
}
