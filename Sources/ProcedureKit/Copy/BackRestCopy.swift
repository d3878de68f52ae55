public import EventLoop
import Instance
public import PgBackRest
public import RemoteHost
import Report
import Server

/// A copy of an instance through a pgBackRest repository: who takes part, and what pgBackRest is told about them.
public actor BackRestCopy {
    /// What a playbook says of it.
    public struct Order: Sendable {
        public var stanza: StanzaName
        public var repository: Place
        public var backup: Backup
        public var compression: BackRestCompression
        /// Processes that copy at the same time; `nil` to go by the processors of the hosts.
        public var processes: Int?
        /// The role that the copy streams as, from the source.
        public var replicationUser: String
        /// With a backup or a restore that does not get on.
        public var patience: Patience
        /// Where tablespaces go, by their name or their directory at the source; the others go where they are there.
        public var tablespaces: [String: HostPath]

        /// Where the backup is kept.
        public enum Place: Sendable {
            /// A directory that is mounted on source and copy at the same path.
            case shared(HostPath)
            /// A directory on a host, which may be the source's own.
            case host(ssh: String, address: String, path: HostPath, user: String)
        }

        /// Which backup set is restored.
        public enum Backup: Sendable, Hashable {
            /// A new full one, taken for the purpose.
            case full
            case newest
            /// The one of this label.
            case set(String)
        }

        public init(
            stanza: StanzaName, repository: Place, backup: Backup = .full, compression: BackRestCompression = .lz4, processes: Int? = nil, replicationUser: String,
            patience: Patience = Patience(), tablespaces: [String: HostPath] = [:]
        ) {
            (self.stanza, self.repository, self.backup) = (stanza, repository, backup)
            (self.compression, self.processes, self.replicationUser, self.patience) = (compression, processes, replicationUser, patience)
            self.tablespaces = tablespaces
        }
    }

    public nonisolated let order: Order
    public nonisolated let node: CopiedNode
    private var known: BackRestLayout?

    public init(_ order: Order, to node: CopiedNode) {
        (self.order, self.node) = (order, node)
    }

    nonisolated var access: ClusterAccess { node.access }
    nonisolated var source: String { node.source }

    // MARK: Who takes part

    /// Source, repository and target as pgBackRest is told about them.
    public func layout() async throws -> BackRestLayout {
        if let known { return known }
        let source = try await access.instance(self.source), target = try await node.instance()
        let sockets = try await access.server(self.source).settings(["unix_socket_directories"], deadline: .after(.seconds(10)))["unix_socket_directories"] ?? ""
        var layout = BackRestLayout(
            stanza: order.stanza, repository: try repository(),
            source: BackRestInstance(
                ssh: SSHEndpoint(address: try access.roster.entry(self.source).address, user: source.user), dataDirectory: source.dataDirectory, port: source.port,
                socketDirectory: sockets.split(separator: ",").first.flatMap { HostPath($0.trimmed) }),
            target: BackRestInstance(
                ssh: SSHEndpoint(address: try access.roster.entry(node.name).address, user: target.user), dataDirectory: target.dataDirectory, port: target.port),
            compression: order.compression)
        for role in layout.roles {
            let configuration = try await layout.backRest(for: role).findConfiguration(on: try await host(role), deadline: .after(.seconds(20)))
            switch role {
            case .source: layout.source.configuration = configuration
            case .target: layout.target.configuration = configuration
            case .repository: layout.repositoryConfiguration = configuration
            }
        }
        known = layout
        return layout
    }

    private func repository() throws -> Repository {
        switch order.repository {
        case .shared(let directory): .sharedDirectory(directory)
        case .host(_, let address, let path, let user):
            address == (try access.roster.entry(source).address) ? .sourceDirectory(path) : .sshHost(SSHEndpoint(address: address, user: user), path: path)
        }
    }

    /// The name under which the host of `role` is reached.
    public nonisolated func hostName(_ role: BackRestRole) -> String {
        switch role {
        case .source: source
        case .target: node.name
        case .repository: repositoryHost ?? source
        }
    }

    /// The name of the repository's host, where it is neither the source's nor a shared directory.
    public nonisolated var repositoryHost: String? {
        guard case .host(let ssh, let address, _, _) = order.repository,
            !access.roster.entries.contains(where: { $0.name == source && $0.address == address })
        else { return nil }
        return ssh
    }

    public func host(_ role: BackRestRole) async throws -> any Host { try await access.host(hostName(role)) }

    // MARK: What is there

    /// The backups of the source in the repository.
    public func backups() async throws -> [StanzaInfo.Backup] {
        let layout = try await layout(), role = layout.repositoryRole
        return try await layout.backRest(for: role).info(on: try await host(role), deadline: .after(.seconds(60))).backups
    }

    /// The backup that was asked for.
    func chosen(_ backups: [StanzaInfo.Backup]) throws -> StanzaInfo.Backup {
        let sound = backups.filter { $0.hasErrors != true }
        let found: StanzaInfo.Backup? = if case .set(let label) = order.backup { sound.first { $0.label == label } } else { sound.last }
        guard let found else {
            throw Problem(
                "the repository has no such backup: there are \(backups.isEmpty ? "none" : backups.map(\.label).joined(separator: ", "))",
                hint: "say backup: full to take one")
        }
        return found
    }

    /// Bytes of all databases of the source.
    public func databaseSize() async throws -> UInt64 {
        try await access.server(source).databaseSizes(deadline: .after(.seconds(60))).values.reduce(0, +)
    }

    /// The source's system identifier.
    public func sourceIdentifier(deadline: Deadline) async throws -> UInt64 {
        if let identifier = try await access.server(source).systemIdentifier(deadline: deadline) { return identifier }
        return try await access.instance(source).controlData(deadline: deadline).systemIdentifier.number
    }

    /// How the source archives its WAL.
    public func archiving() async throws -> Archiving {
        let settings = try await access.server(source).settings(["archive_mode", "archive_command", "archive_library"], deadline: .after(.seconds(10)))
        let command = settings["archive_command"] ?? ""
        let state = ArchiveState(mode: settings["archive_mode"] ?? "off", command: command, library: settings["archive_library"] ?? "", stanza: order.stanza)
        return Archiving(state: state, command: command, source: source, stanza: order.stanza)
    }
}

/// How the source of a copy archives its WAL.
public struct Archiving: Sendable {
    public var state: ArchiveState
    public var command: String
    var source: String
    var stanza: StanzaName

    /// Why the WAL does not arrive in the stanza, where somebody has decided otherwise; `nil` where it does, or nothing was decided.
    public var problem: Problem? {
        switch state {
        case .ready, .emptyOrTrue: nil
        case .off:
            Problem(
                "\(source): archive_mode is off, and a backup needs the archive",
                hint: "set archive_mode = on and restart \(source) when that suits you; archive_command may stay empty")
        case .pushes, .other, .library:
            Problem(
                "\(source): \(state), which is not the stanza \(stanza)",
                hint: "name the stanza it archives into under copy.stanza, or set archive_command to '' first")
        }
    }
}
