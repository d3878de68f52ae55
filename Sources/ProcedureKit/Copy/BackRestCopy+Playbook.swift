import EventLoop
import PgBackRest
public import Playbook
import RemoteHost
import Report

extension BackRestCopy.Order {
    /// - Throws: `Problem` for what no playbook can say.
    public init(_ copy: Playbook.BackRestCopy) throws {
        guard let stanza = StanzaName(copy.stanza) else { throw Problem("\(copy.stanza) is no name for a stanza") }
        let repository: Place =
            switch copy.repository {
            case .shared(let directory): .shared(try HostPath(checking: directory.wrappedValue))
            case .existing: .existing
            case .s3(let store): try Place(store)
            case .tls(let server): try Place(server)
            case .host(let host): .host(ssh: host.ssh, address: host.address, path: try host.path.map(HostPath.init(checking:)), user: host.user)
            }
        let backup: Backup =
            switch copy.backup {
            case .full: .full
            case .newest: .newest
            case .set(let label): .set(label)
            }
        let compression: BackRestCompression =
            switch copy.compression {
            case .lz4: .lz4
            case .zst: .zst
            case .none: .none
            }
        self.init(
            stanza: stanza, repository: repository, backup: backup, compression: compression, isEncrypted: copy.cipher == .aes256, processes: copy.processMax,
            patience: Patience(limit: copy.stallLimit))
    }
}

extension BackRestCopy.Order.Place {
    /// - Throws: `Problem` for what no playbook can say.
    fileprivate init(_ store: Playbook.S3Repository) throws {
        let key: S3KeySource =
            switch store.credentials {
            case .file(let path): .file(path: path, profile: store.profile)
            case .environment: .environment
            case .prompt: .prompt
            case .role: .role
            case .webIdentity: .webIdentity
            }
        let keyType: S3Store.KeyType =
            switch key {
            case .role: .auto
            case .webIdentity: .webIdentity
            case .file, .environment, .prompt: .shared
            }
        self = .s3(
            S3Store(
                bucket: store.bucket, endpoint: store.endpoint, region: store.region, port: store.port, namesBucketInPath: store.uriStyle == .path,
                caFile: try store.caFile.map(HostPath.init(checking:)), verifies: store.verifies, keyType: keyType),
            path: try HostPath(checking: store.path), key: key)
    }

    /// - Throws: `Problem` for what no playbook can say.
    fileprivate init(_ server: Playbook.TLSRepository) throws {
        let host = server.host
        self = .tls(
            ssh: host.ssh, address: host.address ?? host.ssh, path: try HostPath(checking: host.path ?? "/var/lib/pgbackrest"), user: host.user,
            TLSAccess(
                port: server.port, caFile: try HostPath(checking: server.caFile), certFile: try HostPath(checking: server.certFile),
                keyFile: try HostPath(checking: server.keyFile)))
    }
}

extension Playbook.BackRestCopy {
    /// The machine that keeps the repository, where that is one of its own.
    public var repositoryHost: Playbook.RepositoryHost? {
        switch repository {
        case .host(let host): host
        case .tls(let server): server.host
        case .existing, .shared, .s3: nil
        }
    }
}

extension Roster.Entry {
    /// The host of a repository.
    public init(_ repository: Playbook.RepositoryHost) {
        self.init(name: repository.ssh, ssh: repository.ssh, address: repository.address ?? repository.ssh, osUser: repository.user)
    }
}
