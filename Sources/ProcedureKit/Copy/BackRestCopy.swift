public import EventLoop
import Instance
public import PgBackRest
import PostgresConfig
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
        /// Whether the repository of a new stanza is encrypted.
        public var isEncrypted: Bool
        /// Processes that copy at the same time; `nil` to go by the processors of the hosts.
        public var processes: Int?
        /// With a backup or a restore that does not get on.
        public var patience: Patience

        /// Where the backup is kept.
        public enum Place: Sendable {
            /// Where the source's pgBackRest has it already.
            case existing
            /// A directory that is mounted on source and copy at the same path.
            case shared(HostPath)
            /// A directory on a host, which may be the source's own. Address and path are left out where the source's pgBackRest has them.
            case host(ssh: String, address: String?, path: HostPath?, user: String)
            /// A bucket, and where its key comes from.
            case s3(S3Store, path: HostPath, key: S3KeySource)
            /// A directory on a host that pgBackRest reaches by TLS.
            case tls(ssh: String, address: String, path: HostPath, user: String, TLSAccess)
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
            stanza: StanzaName, repository: Place, backup: Backup = .full, compression: BackRestCompression = .lz4, isEncrypted: Bool = false,
            processes: Int? = nil, patience: Patience = Patience()
        ) {
            (self.stanza, self.repository, self.backup) = (stanza, repository, backup)
            (self.compression, self.isEncrypted, self.processes) = (compression, isEncrypted, processes)
            self.patience = patience
        }
    }

    public nonisolated let order: Order
    public nonisolated let node: CopiedNode
    private let turnsArchivingOn: Bool
    private let found = SharedLook<Ground>()

    /// - Parameter turnsArchivingOn: whether an earlier step of the run sees to it that the source's `archive_mode` is on.
    public init(_ order: Order, to node: CopiedNode, turnsArchivingOn: Bool = false) {
        (self.order, self.node, self.turnsArchivingOn) = (order, node, turnsArchivingOn)
    }

    nonisolated var access: ClusterAccess { node.access }
    nonisolated var source: String { node.source }

    // MARK: Who takes part

    /// Source, repository and target as pgBackRest is told about them.
    /// - Throws: `Problem` where the playbook leaves out what pgBackRest does not have either.
    public func layout() async throws -> BackRestLayout { try await ground().layout }

    /// What was found of pgBackRest on the hosts, by what they are for the copy.
    public func looks() async throws -> [BackRestRole: BackRestLook] { try await ground().looks }

    /// The directories of the source's sockets.
    func sockets() async throws -> [HostPath] { try await ground().sockets }

    /// Looked at once: the operator may be asked for a key in it.
    private func ground() async throws -> Ground { try await found.value { try await self.look() } }

    private func look() async throws -> Ground {
        let source = try await access.instance(self.source), target = try await node.instance(), stanza = order.stanza, deadline = Deadline.after(.seconds(60))
        let settings = try await access.server(self.source).settings(["unix_socket_directories", "archive_command"], deadline: .after(.seconds(10)))
        // As ALTER SYSTEM writes the list, each is in quotes.
        let sockets = (SettingList(settings["unix_socket_directories"] ?? "", syntax: .paths)?.names ?? []).compactMap { HostPath($0) }
        let called = BackRestInvocation(settings["archive_command"] ?? "").flatMap { [nil, stanza.name].contains($0.stanza) ? $0 : nil }
        let sourceLook = try await BackRestLook(
            BackRestLook.Request(
                stanza, user: source.user, program: called?.program ?? "pgbackrest", dataDirectory: source.dataDirectory, configuration: called?.configuration,
                environment: called?.environment ?? [:]), on: try await host(.source), deadline: deadline)
        let existing = ConfiguredStanza(stanza, in: sourceLook.configuration)
        var layout = BackRestLayout(
            stanza: stanza, repository: try repository(existing),
            source: BackRestInstance(
                ssh: SSHEndpoint(address: try access.roster.entry(self.source).address, user: source.user), dataDirectory: source.dataDirectory, port: source.port,
                socketDirectory: sockets.first,
                configuration: existing == nil ? BackRestLook.ownFile(for: stanza, below: sourceLook.home) : called?.configuration),
            target: BackRestInstance(
                ssh: SSHEndpoint(address: try access.roster.entry(node.name).address, user: target.user), dataDirectory: target.dataDirectory, port: target.port),
            compression: order.compression)
        (layout.existing, layout.program) = (existing, called?.program ?? "pgbackrest")
        let others = layout.roles.filter { $0 != .source }, repositoryFile = existing?.repositories.first?.value("host-config").flatMap { HostPath($0) }
        let users = Dictionary(uniqueKeysWithValues: others.map { ($0, layout.backRest(for: $0).user) }), certificates = existing?.repositories.flatMap(\.files) ?? []
        var looks = try await onEach(others) { role in
            let request = BackRestLook.Request(
                stanza, user: users[role] ?? source.user, configuration: role == .repository ? repositoryFile : nil, paths: role == .target ? certificates : [])
            return try await BackRestLook(request, on: try await self.host(role), deadline: deadline)
        }
        looks[.source] = sourceLook
        if existing == nil, order.isEncrypted {
            // One that this run has written before it was cut off is the one.
            let written = [.source, .repository, .target].compactMap { looks[$0]?.ownFile }.compactMap { BackRestCipher(in: $0, stanza: stanza) }
            layout.cipher = written.first ?? .random()
        }
        if existing != nil { layout.environment = looks.mapValues(\.configuration.environment) }
        if case .sshHost(let endpoint, _) = layout.repository, let there = looks[.repository].flatMap({ ConfiguredStanza(stanza, in: $0.configuration) }), existing != nil {
            // Its host knows the path, and the source need not.
            layout.repository = .sshHost(endpoint, path: try HostPath(checking: there.repositories.first?.path ?? layout.repository.path.path))
        }
        if let look = looks[.repository] { layout.repositoryConfiguration = existing == nil ? ownFile(ofRepository: look, beside: sourceLook) : repositoryFile }
        if let look = looks[.target] {
            let there = existing == nil ? nil : ConfiguredStanza(stanza, in: look.configuration)
            layout.isTargetConfigured = there?.servers.contains { $0.host == nil && $0.dataDirectory == target.dataDirectory } ?? false
            let isOnRepository = looks[.repository]?.machine == look.machine
            layout.targetIsOnSource = look.machine == sourceLook.machine
            layout.targetIsOnRepository = isOnRepository && !layout.targetIsOnSource && users[.repository] == users[.target]
            if !layout.isTargetConfigured {
                let sharesHost = layout.targetIsOnSource || isOnRepository
                let file = BackRestLook.ownFile(for: stanza, below: look.home, port: sharesHost ? target.port : nil)
                layout.target.configuration = file
                if !layout.targetIsOnSource { layout.target.spool = file.directory / "\(stanza).spool" }
            }
        }
        if existing == nil, case .s3(let store, _, let keySource) = order.repository {
            // What an earlier attempt has written: the key need not be given twice.
            layout.key = try sourceLook.ownFile.flatMap { S3Key(in: $0, of: stanza) } ?? keySource.key(of: store.bucket) { access.ask($0) }
        }
        return Ground(layout: layout, looks: looks, sockets: sockets)
    }

    private nonisolated func ownFile(ofRepository look: BackRestLook, beside source: BackRestLook) -> HostPath {
        let file = BackRestLook.ownFile(for: order.stanza, below: look.home)
        return look.machine == source.machine ? file.directory / "\(order.stanza).repository.conf" : file
    }

    private struct Ground: Sendable {
        var layout: BackRestLayout
        var looks: [BackRestRole: BackRestLook]
        var sockets: [HostPath]
    }

    private func repository(_ existing: ConfiguredStanza?) throws -> Repository {
        if let first = existing?.repositories.first {
            let path = try HostPath(checking: first.path)
            guard let host = first.host else {
                guard first.isLocalDirectory else { return .store(first.type, path: path) }
                if case .shared = order.repository { return .sharedDirectory(path) }
                return .sourceDirectory(path)
            }
            if case .tls(_, _, _, let user, let access) = order.repository, first.isTLS { return .tlsHost(SSHEndpoint(address: host, user: user), access, path: path) }
            guard repositoryHost != nil, case .host(_, _, _, let user) = order.repository else { return .otherHost(host, path: path) }
            return .sshHost(SSHEndpoint(address: host, user: first.isTLS ? user : first.hostUser, port: first.hostPort), path: path)
        }
        switch order.repository {
        case .existing:
            throw Problem(
                "\(source): copy.repository is existing, and pgBackRest has no stanza \(order.stanza) there",
                hint: "correct copy.stanza, or say under copy.repository where the backups of a new stanza shall be")
        case .shared(let directory): return .sharedDirectory(directory)
        case .s3(let store, let path, _): return .s3(store, path: path)
        case .tls(_, let address, let path, let user, let access): return .tlsHost(SSHEndpoint(address: address, user: user), access, path: path)
        case .host(_, let address, let path, let user):
            let path = try path ?? HostPath(checking: "/var/lib/pgbackrest")
            guard repositoryHost != nil else { return .sourceDirectory(path) }
            guard let address else {
                throw Problem(
                    "\(source): pgBackRest has no stanza \(order.stanza), and copy.repository says no address for a new one",
                    hint: "add `address:`, how the source and the new node reach the repository's host")
            }
            return .sshHost(SSHEndpoint(address: address, user: user), path: path)
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

    /// The name of the repository's host, where it has one that is not the source's.
    public nonisolated var repositoryHost: String? {
        switch order.repository {
        case .existing, .shared, .s3: return nil
        case .tls(let ssh, _, _, _, _): return ssh
        case .host(let ssh, let address, _, _):
            return access.roster.entries.contains { $0.name == source && ($0.ssh == ssh || $0.address == address) } ? nil : ssh
        }
    }

    public func host(_ role: BackRestRole) async throws -> any Host { try await access.host(hostName(role)) }

    // MARK: What is there

    /// The backups of the source in the repository.
    public func backups() async throws -> [StanzaInfo.Backup] {
        let layout = try await layout(), role = layout.repositoryRole
        return try await layout.backRest(for: role).info(on: try await host(role), deadline: .after(.seconds(60))).currentBackups
    }

    /// The backup that was asked for.
    /// - Throws: `Problem` where there is none, or it is not whole.
    nonisolated func chosen(_ backups: [StanzaInfo.Backup]) throws -> StanzaInfo.Backup {
        let label: String? = if case .set(let label) = order.backup { label } else { nil }
        let meant = backups.filter { label == nil || $0.label == label }, hint = "say backup: full to take one"
        if let found = meant.last(where: { $0.hasErrors != true }) { return found }
        guard let broken = meant.last else {
            throw Problem("the repository has no such backup: there are \(backups.isEmpty ? "none" : backups.map(\.label).joined(separator: ", "))", hint: hint)
        }
        throw Problem("the backup \(broken.label) has errors: pgBackRest found pages with wrong checksums when it was taken", hint: hint)
    }

    /// What fetches WAL from the repository, on the host of the copy.
    public func restoreCommand() async throws -> String { try await layout().backRest(for: .target).restoreCommand }

    /// What archives WAL into the repository, on the host of the copy.
    public func archiveCommand() async throws -> String { try await layout().backRest(for: .target).archiveCommand }

    /// How the source archives its WAL.
    public func archiving() async throws -> Archiving {
        let settings = try await access.server(source).settings(["archive_mode", "archive_command", "archive_library"], deadline: .after(.seconds(10)))
        let command = settings["archive_command"] ?? ""
        let state = ArchiveState(mode: settings["archive_mode"] ?? "off", command: command, library: settings["archive_library"] ?? "", stanza: order.stanza)
        return Archiving(state: state, command: command, source: source, stanza: order.stanza, isTurnedOn: turnsArchivingOn)
    }
}

/// How the source of a copy archives its WAL.
public struct Archiving: Sendable {
    public var state: ArchiveState
    public var command: String
    var source: String
    var stanza: StanzaName
    /// Whether that is seen to where it is off.
    var isTurnedOn: Bool

    /// Why the WAL does not arrive in the stanza, where somebody has decided otherwise; `nil` where it does, or nothing was decided.
    public var problem: Problem? {
        switch state {
        case .ready, .emptyOrTrue: nil
        case .off where isTurnedOn: nil
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
