import Report

extension Playbook {
    /// `procedure: datanode-drop-slave`: takes a slave away from its datanode for good.
    public struct DatanodeDropSlave: Sendable {
        public let cluster: DatanodeCluster
        /// One of ``DatanodeCluster/slaves``.
        @Located public var slave: String
        /// The datanode that it is a slave of.
        public let datanode: String
        /// The directory of the slave's archive, as the master's `archive_command` names it; `nil` where it has none of its own.
        @Located public var archive: String?
        /// Whether its data is removed, which nothing brings back.
        @Located public var removesData: Bool

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { DatanodeCluster($0, &roster) }
            let slave = section.required("slave", .nodeName, example: "datanode1_slave")
            let archive = section.optional("archive", .path)
            let data = section.optional("data", .choice([("keep", false), ("remove", true)]), default: false)
            guard let cluster, let slave, let archive, let data,
                let found = cluster.require(slave: slave, section, hint: "a master is never dropped: fail over first, then it is a slave, or of no use")
            else { return nil }
            self.cluster = cluster
            (_slave, datanode, _archive, _removesData) = (slave, found.datanode, archive, data)
        }
    }
}
