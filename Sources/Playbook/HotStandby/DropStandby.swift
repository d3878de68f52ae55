extension Playbook {
    /// `procedure: drop-standby`: takes a standby out of its group.
    public struct DropStandby: Sendable {
        public let cluster: Cluster
        /// The name of the standby: one of ``Cluster/nodes``.
        @Located public var standby: String
        /// Whether its data is removed, which nothing brings back.
        @Located public var removesData: Bool

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster(pair: $0, &roster) }
            let standby = section.required("standby", .nodeName, example: "db2")
            let data = section.optional("data", .choice([("keep", false), ("remove", true)]), default: false)
            if let standby { roster.require(standby, section) }
            guard let cluster, let standby, let data, cluster[standby.wrappedValue] != nil else { return nil }
            (self.cluster, _standby, _removesData) = (cluster, standby, data)
        }
    }
}
