import EventLoop
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
        let others = playbook.copy.backRest?.repositoryHost.map { [Entry($0)] } ?? []
        self.init(entries, otherHosts: others, database: playbook.cluster.database, role: playbook.cluster.user)
    }
}
