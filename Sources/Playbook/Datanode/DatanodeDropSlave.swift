extension Playbook {
    /// `procedure: datanode-drop-slave`: takes a slave of a datanode out for good, with all that its master has for it.
    public struct DatanodeDropSlave: Sendable {
        public let cluster: DatanodeCluster
        public let slave: DatanodeCluster.Slave
        /// Whether its data is removed, and what was archived for it, which nothing brings back.
        @Located public var removesData: Bool

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { DatanodeCluster($0, &roster) }
            let name = section.required("slave", .nodeName, example: "datanode1_slave")
            let data = section.optional("data", .choice([("keep", false), ("remove", true)]), default: false)
            guard let cluster, let name, let data else { return nil }
            guard let slave = cluster.require(slave: name, section, hint: "name the slave to take out") else { return nil }
            (self.cluster, self.slave, _removesData) = (cluster, slave, data)
        }
    }
}
