extension Playbook {
    /// `procedure: switchover`: the primary and one of its standbys change their places.
    public struct Switchover: Sendable {
        public let cluster: Cluster
        /// The standby that becomes the primary: one of ``Cluster/nodes``.
        @Located public var to: String
        /// In which nobody writes.
        public let window: Window
        public let hooks: Hooks

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster(pair: $0, &roster) }
            let to = section.required("to", .nodeName, example: "db2")
            let window = section.optional("window") { Window($0) }
            let hooks = section.optional("hooks") { Hooks($0) }
            if let to { roster.require(to, section) }
            guard let cluster, let to, let window, let hooks, cluster[to.wrappedValue] != nil else { return nil }
            (self.cluster, _to, self.window, self.hooks) = (cluster, to, window, hooks)
        }
    }

    /// Commands of the operator's, run by `sh -c` on the machine that pggraft runs on: for a virtual IP, a connection pooler, DNS.
    public struct Hooks: Sendable {
        /// Before anything is closed to clients. Where it fails nothing is changed.
        @Located public var before: String?
        /// As soon as the new primary takes writes.
        @Located public var after: String?

        init?(_ section: Section) {
            let before = section.optional("before", .shellCommand), after = section.optional("after", .shellCommand)
            guard let before, let after else { return nil }
            (_before, _after) = (before, after)
        }
    }
}

extension Playbook.Cluster {
    /// The nodes of a primary and its standbys, of which any may be down: then nobody but the playbook says where its data is.
    init?(pair section: Section, _ roster: inout Roster) {
        self.init(section, &roster, needsDataDirectories: true)
    }
}

extension Scalar<String> {
    static let shellCommand = Scalar("a command line") { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
}
