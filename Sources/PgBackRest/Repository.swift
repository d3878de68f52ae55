public import PostgresClient
public import RemoteHost

/// A place that pgBackRest reaches over SSH, without a password.
public struct SSHEndpoint: Sendable, Hashable, CustomStringConvertible {
    public let address: String
    public let user: String
    /// `nil` is what the SSH client's own configuration says.
    public let port: UInt16?

    public init(address: String, user: String, port: UInt16? = nil) {
        self.address = address
        self.user = user
        self.port = port
    }

    public var description: String { "\(user)@\(address)" + (port.map { ":\($0)" } ?? "") }
}

/// Where the backup lies.
public enum Repository: Sendable, Hashable {
    /// A directory on the source's own host; the target reaches it over SSH.
    case sourceDirectory(HostPath)
    /// A directory that is mounted at the same path on the source and on the target.
    case sharedDirectory(HostPath)
    /// A directory on a third host, which takes the backup itself.
    case sshHost(SSHEndpoint, path: HostPath)
    /// The same, reached by TLS. The endpoint is pggraft's own way to it.
    case tlsHost(SSHEndpoint, TLSAccess, path: HostPath)
    /// A bucket, which every host reaches by itself.
    case s3(S3Store, path: HostPath)
    /// On a third host that pggraft does not log in to: it is read, and somebody else takes the backups.
    case otherHost(String, path: HostPath)
    /// An object store, which every host reaches by itself: its type, and where in it.
    case store(String, path: HostPath)

    public var path: HostPath {
        switch self {
        case .sourceDirectory(let path), .sharedDirectory(let path), .sshHost(_, let path), .tlsHost(_, _, let path), .s3(_, let path), .otherHost(_, let path),
            .store(_, let path):
            path
        }
    }

    /// The host that it is on, where that is a third one that pggraft logs in to.
    var host: SSHEndpoint? {
        switch self {
        case .sshHost(let host, _), .tlsHost(let host, _, _): host
        case .sourceDirectory, .sharedDirectory, .s3, .otherHost, .store: nil
        }
    }

    /// The directory, where one of the hosts that pggraft logs in to has it.
    var directory: HostPath? {
        switch self {
        case .sourceDirectory(let path), .sharedDirectory(let path), .sshHost(_, let path), .tlsHost(_, _, let path): path
        case .s3, .otherHost, .store: nil
        }
    }
}

/// What a host is for one copy.
public enum BackRestRole: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    case source
    case repository
    case target

    public var description: String {
        switch self {
        case .source: "source"
        case .repository: "repository host"
        case .target: "target"
        }
    }
}

/// An instance as pgBackRest sees it.
public struct BackRestInstance: Sendable, Hashable {
    /// How the other hosts reach it, as the OS user that runs the server.
    public var ssh: SSHEndpoint
    public var dataDirectory: HostPath
    public var port: UInt16
    /// The directory of the server's socket; `nil` is libpq's default.
    public var socketDirectory: HostPath?
    /// The database role; `nil` is the name of the OS user.
    public var databaseUser: String?
    /// The configuration file of pgBackRest on its host; `nil` is the default place.
    public var configuration: HostPath?
    /// Where pgBackRest keeps what it has fetched ahead; `nil` is the default place.
    public var spool: HostPath?

    public init(
        ssh: SSHEndpoint, dataDirectory: HostPath, port: UInt16, socketDirectory: HostPath? = nil,
        databaseUser: String? = nil, configuration: HostPath? = nil, spool: HostPath? = nil
    ) {
        self.ssh = ssh
        self.dataDirectory = dataDirectory
        self.port = port
        self.socketDirectory = socketDirectory
        self.databaseUser = databaseUser
        self.configuration = configuration
        self.spool = spool
    }
}

/// How files of a backup are compressed; the default of pgBackRest, `gz`, is several times slower.
public enum BackRestCompression: String, Sendable, Hashable {
    case lz4
    case zst
    case none
}

/// How a repository is encrypted.
public struct BackRestCipher: Sendable, Hashable {
    public let pass: Secret

    public init(pass: Secret) { self.pass = pass }

    /// A new one, of 384 bits of the kernel's.
    public static func random() -> BackRestCipher {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        var generator = SystemRandomNumberGenerator()
        return BackRestCipher(pass: Secret(String((0..<64).map { _ in letters[Int.random(in: letters.indices, using: &generator)] })))
    }

    /// What a configuration file of pggraft's own has for the first repository of the stanza; `nil` where it has none.
    public init?(in file: IniFile, stanza: StanzaName) {
        guard let setting = file.settings.first(where: { $0.section == stanza.name && $0.key == BackRestCipher.key }) else { return nil }
        pass = Secret(setting.value)
    }

    static let key = "repo1-cipher-pass"

    var options: [BackRestOption] { [BackRestOption("repo1-cipher-type", "aes-256-cbc"), BackRestOption(BackRestCipher.key, pass.reveal())] }
}

/// One copy: from where, over which repository, to where. Everything that goes into configuration files follows from it.
public struct BackRestLayout: Sendable, Hashable {
    public var stanza: StanzaName
    public var repository: Repository
    public var source: BackRestInstance
    public var target: BackRestInstance
    public var compression: BackRestCompression
    /// The configuration file on a third repository host; `nil` is the default place.
    public var repositoryConfiguration: HostPath?
    /// Of a new stanza; `nil` for a repository that is not encrypted. Only the hosts that have the repository for themselves are told.
    public var cipher: BackRestCipher?
    /// The stanza as the source's pgBackRest has it already; `nil` for a new one. Source and repository host are left as they are then.
    public var existing: ConfiguredStanza?
    /// Whether the target has its configuration for the stanza already.
    public var isTargetConfigured = false
    /// The program on the source, where it is called by another name there.
    public var program = "pgbackrest"
    /// Whether source and target are on one host.
    public var targetIsOnSource = false
    /// Whether target and repository are on one host that is not the source's, for the same OS user.
    public var targetIsOnRepository = false
    /// The key of the bucket; `nil` where there is none.
    public var key: S3Key?
    /// What pgBackRest is told beside its files, by host.
    public var environment: [BackRestRole: [String: Secret]] = [:]

    public init(
        stanza: StanzaName, repository: Repository, source: BackRestInstance, target: BackRestInstance,
        compression: BackRestCompression = .lz4, repositoryConfiguration: HostPath? = nil
    ) {
        self.stanza = stanza
        self.repository = repository
        self.source = source
        self.target = target
        self.compression = compression
        self.repositoryConfiguration = repositoryConfiguration
    }

    /// The roles that have a host and a configuration of their own.
    public var roles: [BackRestRole] {
        repository.host == nil ? [.source, .target] : [.source, .repository, .target]
    }

    /// Where the repository is a local directory: `stanza-create`, `backup` and `stanza-delete` run nowhere else (error 072).
    public var repositoryRole: BackRestRole {
        repository.host == nil ? .source : .repository
    }

    /// pgBackRest as it is called on the host of `role`.
    public func backRest(for role: BackRestRole) -> BackRest {
        switch role {
        case .source:
            BackRest(stanza: stanza, program: program, user: source.ssh.user, configuration: source.configuration, environment: environment[.source] ?? [:])
        case .target:
            BackRest(stanza: stanza, user: target.ssh.user, configuration: target.configuration, environment: isTargetConfigured ? environment[.target] ?? [:] : [:])
        case .repository:
            if let host = repository.host {
                BackRest(stanza: stanza, user: host.user, configuration: repositoryConfiguration, environment: environment[.repository] ?? [:])
            } else {
                backRest(for: .source)
            }
        }
    }

    /// What the section of the stanza must say on the host of `role`.
    public func options(for role: BackRestRole) -> [BackRestOption] {
        if let existing {
            return role == .target && !isTargetConfigured
                ? local(target) + existing.options(from: target, source: source, isShared: { targetIsOnSource || isShared($0) }) + fetchingAhead : []
        }
        return switch role {
        case .source: local(source) + repositoryOptions(from: .source) + storage
        case .target: local(target) + repositoryOptions(from: .target) + fetchingAhead
        case .repository:
            repository.host == nil
                ? []
                : remote(source) + local(source) + [BackRestOption("repo1-path", repository.path.path)] + (cipher?.options ?? []) + storage
        }
    }

    /// The SSH connections that pgBackRest makes itself.
    public var connections: [(from: BackRestRole, to: SSHEndpoint)] {
        if existing != nil { return connectionsOfTarget }
        return switch repository {
        case .sharedDirectory, .tlsHost, .s3, .store, .otherHost: []
        case .sourceDirectory: targetIsOnSource ? [] : [(.target, source.ssh)]
        case .sshHost(let host, _): [(.source, host), (.repository, source.ssh)] + (targetIsOnRepository ? [] : [(.target, host)])
        }
    }

    /// Of a stanza that exists those of source and repository work already.
    private var connectionsOfTarget: [(from: BackRestRole, to: SSHEndpoint)] {
        (existing?.repositories ?? []).compactMap { repository in
            if let host = repository.host {
                return repository.isTLS || host == target.ssh.address ? nil : (.target, SSHEndpoint(address: host, user: repository.hostUser, port: repository.hostPort))
            }
            return repository.isLocalDirectory && !targetIsOnSource && !isShared(repository.path) ? (.target, source.ssh) : nil
        }
    }

    private func isShared(_ path: String) -> Bool {
        if case .sharedDirectory(let shared) = repository { shared.path == path } else { false }
    }

    /// A standby that fetches one segment at a time over SSH falls behind a busy source.
    ///
    /// Beside the source its pgBackRest would be in the way of the source's own, whose lock is of the same name.
    private var fetchingAhead: [BackRestOption] {
        targetIsOnSource ? [] : [BackRestOption("archive-async", "y", .preferred)] + (target.spool.map { [BackRestOption("spool-path", $0.path)] } ?? [])
    }

    private var storage: [BackRestOption] {
        [BackRestOption("repo1-bundle", "y", .preferred), BackRestOption("compress-type", compression.rawValue, .preferred)]
    }

    func local(_ instance: BackRestInstance) -> [BackRestOption] {
        var options = [
            BackRestOption("pg1-path", instance.dataDirectory.path), BackRestOption("pg1-port", "\(instance.port)"),
        ]
        if let directory = instance.socketDirectory { options.append(BackRestOption("pg1-socket-path", directory.path)) }
        if let user = instance.databaseUser { options.append(BackRestOption("pg1-user", user)) }
        return options
    }

    func remote(_ instance: BackRestInstance) -> [BackRestOption] {
        guard case .tlsHost(_, let access, _) = repository else { return Self.host("pg1-host", instance.ssh, configuration: instance.configuration) }
        return access.options("pg1-host", at: instance.ssh.address, configuration: instance.configuration)
    }

    private func repositoryOptions(from role: BackRestRole) -> [BackRestOption] {
        let path = BackRestOption("repo1-path", repository.path.path)
        return switch (repository, role) {
        case (.sshHost, .target) where targetIsOnRepository, (.sourceDirectory, .target) where targetIsOnSource: [path] + (cipher?.options ?? [])
        case (.s3(let store, _), _): store.options + (key?.options ?? []) + [path] + (cipher?.options ?? [])
        case (.tlsHost(let host, let access, _), _): access.options("repo1-host", at: host.address, configuration: repositoryConfiguration) + [path]
        case (.sshHost(let endpoint, _), _): Self.host("repo1-host", endpoint, configuration: repositoryConfiguration) + [path]
        case (.sourceDirectory, .target): Self.host("repo1-host", source.ssh, configuration: source.configuration) + [path]
        case (.sourceDirectory, _), (.sharedDirectory, _), (.otherHost, _), (.store, _): [path] + (cipher?.options ?? [])
        }
    }

    static func host(_ key: String, _ endpoint: SSHEndpoint, configuration: HostPath?) -> [BackRestOption] {
        var options = [BackRestOption(key, endpoint.address), BackRestOption("\(key)-user", endpoint.user)]
        if let port = endpoint.port { options.append(BackRestOption("\(key)-port", "\(port)")) }
        if let configuration { options.append(BackRestOption("\(key)-config", configuration.path)) }
        return options
    }
}
