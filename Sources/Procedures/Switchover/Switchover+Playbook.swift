import Playbook
import ProcedureKit

extension Roster {
    /// The nodes of a primary and its standbys.
    init(pair cluster: Playbook.Cluster, otherHosts: [Entry] = []) throws {
        self.init(try cluster.nodes.map { try Entry($0, osUser: cluster.osUser) }, otherHosts: otherHosts, database: cluster.database, role: cluster.user)
    }
}
