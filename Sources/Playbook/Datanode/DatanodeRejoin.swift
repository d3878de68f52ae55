import Report

extension Playbook {
    /// `procedure: datanode-rejoin`: a server that was the master of a datanode comes back as a slave of the one that is.
    public struct DatanodeRejoin: Sendable {
        public let cluster: DatanodeCluster
        /// The server that comes back: one of ``DatanodeCluster/slaves``.
        @Located public var slave: String
        /// The datanode that it is a slave of.
        public let datanode: String
        /// The role that it streams as; `nil` for the one that the new master streamed as when it was a slave.
        @Located public var replicationUser: String?
        /// Whether the datanode's commits wait for it once it streams.
        @Located public var isSynchronous: Bool
        /// What stays free where the new master's WAL is: the slave's slot is given up before.
        @Located public var keepsFree: ByteCount
        /// What is made where it can neither follow as it is nor be rewound; `nil` for nothing.
        public let copy: NewCopy?

        /// A base backup of the new master, which takes the place of a data directory that cannot follow.
        public struct NewCopy: Sendable {
            public let copy: HotStandby.Copy.BaseBackup
            @Located public var existing: Existing

            /// What becomes of the data directory.
            public enum Existing: String, Sendable, Hashable {
                case moveAside = "move-aside"
                case remove
            }

            init?(_ section: Section) {
                let existing = section.optional("existing", .choice([("move-aside", .moveAside), ("remove", .remove)]), default: Existing.moveAside)
                guard let copy = HotStandby.Copy.BaseBackup(section), let existing else { return nil }
                (self.copy, _existing) = (copy, existing)
            }
        }

        private enum Copy { case none, anew(NewCopy) }

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { DatanodeCluster($0, &roster) }
            let slave = section.required("slave", .nodeName, example: "datanode1_old")
            let user = section.optional("replication_user", .identifier("a role name"))
            let copy = section.optional("copy", .word("none", Copy.none, or: "the keys of a copy below it"), default: Copy.none) { NewCopy($0).map(Copy.anew) }
            let synchronous = section.optional("synchronous", .choice([("yes", true), ("no", false)]), default: true)
            let keepFree = section.optional("keep_free", .byteCount, default: .freeForWAL)
            guard let cluster, let slave, let user, let copy, let synchronous, let keepFree else { return nil }
            guard
                let found = cluster.require(
                    slave: slave, section, hint: "cluster.datanodes has where its master is since the failover; add the old one to cluster.slaves, with `of:`")
            else { return nil }
            self.cluster = cluster
            (_slave, datanode, _replicationUser, _isSynchronous, _keepsFree) = (slave, found.datanode, user, synchronous, keepFree)
            self.copy = if case .anew(let copy) = copy { copy } else { nil }
        }
    }
}
