@testable import Playbook

extension Playbook {
    /// `procedure: monitoring-role`: gives a node a role that a monitoring system logs in as.
    struct MonitoringRole: Sendable {
        let cluster: Cluster
        @Located var node: String
        @Located var role: String
        /// How many it may have at a time.
        @Located var connections: Int

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster($0, &roster) }
            let node = section.required("node", .nodeName, example: "n1")
            let role = section.optional("role", .identifier("a role name"), default: "monitor")
            let connections = section.optional("connections", .number(1...100), default: 3)
            if let node, !roster.knows(node.wrappedValue) {
                section.report("\"\(node.wrappedValue)\" is none of cluster.nodes", hint: "name one of them", at: node.place)
                return nil
            }
            guard let cluster, let node, let role, let connections else { return nil }
            (self.cluster, _node, _role, _connections) = (cluster, node, role, connections)
        }
    }
}
