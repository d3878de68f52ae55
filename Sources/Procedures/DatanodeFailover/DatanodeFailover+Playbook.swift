import Instance
import Playbook
import ProcedureKit
import RemoteHost
import Report

extension Roster {
    /// The words without which `pg_ctl` of Postgres-XC starts nothing.
    private static func startOptions(_ kind: String) -> [String] { ["-Z", kind] }

    /// The GTM's host, the coordinators, the datanodes' masters and their slaves.
    /// - Parameter makesSlaves: whether slaves have yet to be copied from their masters, and have their version and programs.
    init(_ cluster: Playbook.DatanodeCluster, makesSlaves: Bool = false) throws {
        func entry(_ node: Playbook.Node, startedAs kind: String? = nil, copyOf: String? = nil) throws -> Entry {
            var entry = try Entry(node, osUser: cluster.osUser, copyOf: copyOf)
            if entry.binDirectory == nil { entry.binDirectory = try cluster.binDirectory.map(HostPath.init(checking:)) }
            if let kind { entry.startOptions = Self.startOptions(kind) }
            return entry
        }
        let entries =
            try cluster.coordinators.map { try entry($0, startedAs: "coordinator") } + cluster.datanodes.map { try entry($0, startedAs: "datanode") }
            + cluster.slaves.map { try entry($0.node, startedAs: "datanode", copyOf: makesSlaves ? $0.datanode : nil) }
        self.init(entries, otherHosts: [try entry(cluster.gtm)], database: cluster.database, role: cluster.user)
    }
}
