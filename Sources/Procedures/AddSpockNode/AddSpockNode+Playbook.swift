import EventLoop
import PgBackRest
import Playbook
import ProcedureKit
import RemoteHost
import Report

extension Roster {
    /// The nodes that there are, the new one, and the repository's host.
    init(_ playbook: Playbook.AddSpockNode) throws {
        let osUser = playbook.cluster.osUser
        var entries = try playbook.cluster.nodes.map { try Entry($0, osUser: osUser) }
        entries.append(try Entry(playbook.newNode.node, osUser: osUser, dataDirectory: playbook.newNode.dataDirectory, copyOf: playbook.source.name))
        var others: [Entry] = []
        let host: Playbook.AddSpockNode.RepositoryHost? =
            switch playbook.copy.repository {
            case .host(let host): host
            case .tls(let server): server.host
            case .existing, .shared, .s3: nil
            }
        if let repository = host {
            others.append(Entry(name: repository.ssh, ssh: repository.ssh, address: repository.address ?? repository.ssh, osUser: repository.user))
        }
        self.init(entries, otherHosts: others, database: playbook.cluster.database, role: playbook.cluster.user)
    }
}

extension BackRestCopy.Order {
    /// - Throws: `Problem` for what no playbook can say.
    init(_ copy: Playbook.AddSpockNode.Copy, to newNode: Playbook.AddSpockNode.NewNode) throws {
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
            replicationUser: copy.replicationUser, patience: Patience(limit: copy.stallLimit), tablespaces: try newNode.tablespaces.mapValues(HostPath.init(checking:)))
    }
}

extension BackRestCopy.Order.Place {
    /// - Throws: `Problem` for what no playbook can say.
    fileprivate init(_ store: Playbook.AddSpockNode.S3Repository) throws {
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
    fileprivate init(_ server: Playbook.AddSpockNode.TLSRepository) throws {
        let host = server.host
        self = .tls(
            ssh: host.ssh, address: host.address ?? host.ssh, path: try HostPath(checking: host.path ?? "/var/lib/pgbackrest"), user: host.user,
            TLSAccess(
                port: server.port, caFile: try HostPath(checking: server.caFile), certFile: try HostPath(checking: server.certFile),
                keyFile: try HostPath(checking: server.keyFile)))
    }
}
