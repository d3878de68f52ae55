import EventLoop
import Instance
import Playbook
import ProcedureKit
import RemoteHost
import Report

extension Roster {
    /// The nodes that there are, the standby, and the repository's host.
    init(_ playbook: Playbook.HotStandby) throws {
        let osUser = playbook.cluster.osUser
        var entries = try playbook.cluster.nodes.map { try Entry($0, osUser: osUser) }
        entries.append(try Entry(playbook.standby.node, osUser: osUser, dataDirectory: playbook.standby.dataDirectory, copyOf: playbook.upstream))
        var others: [Entry] = []
        if case .pgBackRest(let copy) = playbook.copy.method { others = copy.repositoryHost.map { [Entry($0)] } ?? [] }
        if case .stanza(let stanza) = playbook.archive { others = stanza.repositoryHost.map { [Entry($0)] } ?? [] }
        self.init(entries, otherHosts: others, database: playbook.cluster.database, role: playbook.cluster.user)
    }
}

extension CopyFiles.Order {
    init(_ copy: Playbook.HotStandby.Copy.BaseBackup) {
        let compression: BaseBackupOptions.Compression? =
            switch copy.compression {
            case .none: nil
            case .gzip: .gzip
            case .lz4: .lz4
            case .zstd: .zstd
            }
        self.init(
            checkpointsFast: copy.checkpointsFast, maximumRate: copy.maximumRate.map { Int($0.bytes / 1024) }, compression: compression, verifies: copy.verifies,
            patience: Patience(limit: copy.stallLimit))
    }
}

extension ArchiveDirectory {
    /// - Throws: `Problem` for a path that is none.
    init(_ directory: Playbook.HotStandby.ArchiveDirectory) throws {
        self.init(path: try HostPath(checking: directory.path), onStandby: try directory.onStandby.map(HostPath.init(checking:)), isCleared: directory.isCleared)
    }
}
