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
        if case .host(let repository) = playbook.copy.repository {
            others.append(Entry(name: repository.ssh, ssh: repository.ssh, address: repository.address, osUser: repository.user))
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
            case .host(let host): .host(ssh: host.ssh, address: host.address, path: try HostPath(checking: host.path), user: host.user)
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
            stanza: stanza, repository: repository, backup: backup, compression: compression, processes: copy.processMax,
            replicationUser: copy.replicationUser, patience: Patience(limit: copy.stallLimit), tablespaces: try newNode.tablespaces.mapValues(HostPath.init(checking:)))
    }
}
