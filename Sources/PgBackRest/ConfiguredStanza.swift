public import RemoteHost

/// A stanza that pgBackRest knows on a host already, by what it reads there.
public struct ConfiguredStanza: Sendable, Hashable {
    public let name: StanzaName
    public let configuration: BackRestConfiguration

    /// `nil` where the configuration says nothing of a server of the stanza.
    public init?(_ name: StanzaName, in configuration: BackRestConfiguration) {
        (self.name, self.configuration) = (name, configuration)
        guard !servers.isEmpty else { return nil }
    }

    /// The value that holds for the stanza.
    public func value(_ key: String) -> String? { configuration.value(key, stanza: name) }

    /// The servers of the stanza; on a repository's host there may be several.
    public var servers: [Server] {
        numbers(of: "pg").compactMap { number in
            guard let path = value("pg\(number)-path").flatMap({ HostPath($0) }) else { return nil }
            return Server(
                number: number, dataDirectory: path, host: value("pg\(number)-host"), port: value("pg\(number)-port").flatMap { UInt16($0) },
                socketDirectory: value("pg\(number)-socket-path").flatMap { HostPath($0) })
        }
    }

    public struct Server: Sendable, Hashable {
        public let number: Int
        public let dataDirectory: HostPath
        /// `nil` for one on the host itself.
        public let host: String?
        /// `nil` where nothing is said: 5432.
        public let port: UInt16?
        public let socketDirectory: HostPath?
    }

    /// The repositories, the one that is used first foremost.
    public var repositories: [Repository] {
        let numbers = numbers(of: "repo")
        return (numbers.isEmpty ? [1] : numbers).map { number in
            let prefix = "repo\(number)-"
            let options = configuration.keys(of: name).filter { $0.hasPrefix(prefix) }.compactMap { key in
                configuration.value(key, stanza: name, command: "restore").map { BackRestOption(key, $0) }
            }
            let isInFiles = configuration.environment[BackRestOption.variable(prefix + "cipher-pass")] == nil
            return Repository(number: number, options: options, keepsCipherInFiles: isInFiles)
        }
    }

    /// A repository, as the configuration has it.
    public struct Repository: Sendable, Hashable {
        public let number: Int
        /// Everything that is said of it.
        public let options: [BackRestOption]

        /// Whether its passphrase is said in no environment, which a process that is started from elsewhere does not have.
        let keepsCipherInFiles: Bool

        /// What is said of it under `repoN-name`.
        public func value(_ name: String) -> String? { options.first { $0.key == "repo\(number)-\(name)" }?.value }

        /// `posix`, `cifs`, `s3`, `azure`, `gcs`, `sftp`.
        public var type: String { value("type") ?? "posix" }
        public var path: String { value("path") ?? "/var/lib/pgbackrest" }
        public var host: String? { value("host") }
        public var hostUser: String { value("host-user") ?? "pgbackrest" }
        public var hostPort: UInt16? { value("host-port").flatMap { UInt16($0) } }
        /// Whether its host is reached by TLS, with certificates, and not by SSH.
        public var isTLS: Bool { value("host-type") == "tls" }
        /// Whether it is a directory of the host itself.
        public var isLocalDirectory: Bool { host == nil && ["posix", "cifs"].contains(type) }

        /// Files that the options name: certificates and keys.
        public var files: [HostPath] {
            ["host-ca-file", "host-cert-file", "host-key-file", "storage-ca-file", "s3-ca-file", "gcs-key", "sftp-private-key-file"].compactMap {
                value($0).flatMap { HostPath($0) }
            }
        }

        /// Of a repository that is read only: what is about its upkeep is left out.
        fileprivate var forReading: [BackRestOption] {
            let upkeep = ["retention-", "bundle", "block", "hardlink", "storage-tag", "storage-upload-chunk-size"].map { "repo\(number)-\($0)" }
            return options.filter { option in !upkeep.contains { option.key.hasPrefix($0) } }
        }

        /// What is not said here is not said there either: a repository's host has its own file, where the path is.
        fileprivate func described(from target: BackRestInstance, source: BackRestInstance, isShared: (String) -> Bool) -> [BackRestOption] {
            let prefix = "repo\(number)-"
            var options = forReading
            if host == target.ssh.address {
                options.removeAll { $0.key.hasPrefix(prefix + "host") }
            } else if isLocalDirectory, !isShared(path) {
                options = BackRestLayout.host(prefix + "host", source.ssh, configuration: source.configuration) + options
            }
            // The repository's host has them in its files and does with them what has to be done.
            if keepsCipherInFiles, options.contains(where: { $0.key == prefix + "host" }) { options.removeAll { $0.key.hasPrefix(prefix + "cipher-") } }
            return options
        }
    }

    /// What another server's host must be told to reach the same repositories.
    ///
    /// A local directory of the source is reached on the source; what several hosts reach by themselves stays as it is.
    /// - Parameter isShared: whether a directory is the same on both.
    func options(from target: BackRestInstance, source: BackRestInstance, isShared: (String) -> Bool) -> [BackRestOption] {
        let waits = ["protocol-timeout", "db-timeout", "io-timeout", "cmd-ssh"].compactMap { key in value(key).map { BackRestOption(key, $0) } }
        return repositories.flatMap { $0.described(from: target, source: source, isShared: isShared) } + waits
    }

    /// `2` of `repo2-path`, each once, in order.
    private func numbers(of prefix: String) -> [Int] {
        Set(
            configuration.keys(of: name).compactMap { key -> Int? in
                guard key.hasPrefix(prefix), let dash = key.firstIndex(of: "-") else { return nil }
                return Int(key[key.index(key.startIndex, offsetBy: prefix.count)..<dash])
            }
        ).sorted()
    }
}
