extension Playbook {
    /// `procedure: rejoin`: a node that was the primary comes back as a standby of the one that is.
    public struct Rejoin: Sendable {
        public let cluster: Cluster
        /// The node that comes back: one of ``Cluster/nodes``.
        @Located public var node: String
        /// The role that it streams as; `nil` for the one that the primary streamed as when it was a standby.
        @Located public var replicationUser: String?
        /// What stays free where the primary's WAL is: the node's slot is given up before.
        @Located public var keepsFree: ByteCount
        /// What is done where it can neither follow as it is nor be rewound.
        public let copy: Copy

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster(pair: $0, &roster) }
            let node = section.required("node", .nodeName, example: "db1")
            let user = section.optional("replication_user", .identifier("a role name"))
            let copy = section.optional("copy", .word("none", .none, or: "the keys of a copy below it"), default: .none) { NewCopy($0, cluster: cluster).map(Copy.anew) }
            let keepFree = section.optional("keep_free", .byteCount, default: .freeForWAL)
            if let node { roster.require(node, section) }
            guard let cluster, let node, let user, let copy, let keepFree, cluster[node.wrappedValue] != nil else { return nil }
            (self.cluster, _node, _replicationUser, self.copy, _keepsFree) = (cluster, node, user, copy, keepFree)
        }
    }
}

extension Playbook.Rejoin {
    public enum Copy: Sendable {
        case none
        case anew(NewCopy)
    }

    /// The copy of the primary that takes the place of a data directory which cannot follow.
    public struct NewCopy: Sendable {
        public let copy: Playbook.HotStandby.Copy
        @Located public var existing: Existing

        /// What becomes of the data directory.
        public enum Existing: String, Sendable, Hashable {
            case moveAside = "move-aside"
            case remove
            /// What differs in it is overwritten, by pgBackRest.
            case delta
        }

        init?(_ section: Section, cluster: Playbook.Cluster?) {
            let given = section.optional("existing", .choice([("move-aside", .moveAside), ("remove", .remove), ("delta", .delta)]) as Scalar<Existing>)
            guard let copy = Playbook.HotStandby.Copy(section, cluster: cluster), let given else { return nil }
            let isStreamed = if case .baseBackup = copy.method { true } else { false }
            if let existing = given.wrappedValue, isStreamed == (existing == .delta) {
                section.report(
                    isStreamed ? "pg_basebackup cannot go on with what is there" : "pgbackrest overwrites what differs in the data directory",
                    hint: isStreamed ? "say `existing: move-aside` or `existing: remove`, or copy by pgbackrest" : "say `existing: delta`, or copy by pg_basebackup",
                    at: given.place)
                return nil
            }
            self.copy = copy
            _existing = Located(given.wrappedValue ?? (isStreamed ? .moveAside : .delta), at: given.place)
        }
    }
}
