extension Playbook {
    /// `procedure: failover`: a standby takes the place of a primary that is lost.
    public struct Failover: Sendable {
        public let cluster: Cluster
        /// The primary that is lost: one of ``Cluster/nodes``.
        @Located public var primary: String
        /// The standby that takes its place; `nil` for the one that has most.
        @Located public var to: String?
        /// Whether the operator has seen to it that a primary whose host cannot be reached is dead, and stays so.
        @Located public var primaryIsDead: Bool
        public let hooks: Hooks

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { Cluster(pair: $0, &roster) }
            let primary = section.required("primary", .nodeName, example: "db1")
            let to = section.optional("to", .nodeName)
            let isDead = section.optional("primary_is_dead", .choice([("true", true), ("false", false)]), default: false)
            let hooks = section.optional("hooks") { Hooks($0) }
            if let primary { roster.require(primary, section) }
            if let to, let name = to.wrappedValue { roster.require(Located(name, at: to.place), section) }
            if let primary, let to, to.wrappedValue == primary.wrappedValue {
                section.report("\"\(primary.wrappedValue)\" is the primary that is lost", hint: "name a standby, or leave out `to`: the one that has most", at: to.place)
                return nil
            }
            guard let cluster, let primary, let to, let isDead, let hooks, cluster[primary.wrappedValue] != nil else { return nil }
            if let name = to.wrappedValue, cluster[name] == nil { return nil }
            (self.cluster, _primary, _to, _primaryIsDead, self.hooks) = (cluster, primary, to, isDead, hooks)
        }
    }
}
