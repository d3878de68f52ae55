import Report

extension Playbook {
    /// `procedure: datanode-failover`: a slave takes the place of a datanode's master that is lost, and every coordinator is told.
    public struct DatanodeFailover: Sendable {
        public let cluster: DatanodeCluster
        /// The datanode whose master is lost: one of ``DatanodeCluster/datanodes``.
        @Located public var datanode: String
        /// The slave that takes its place: one of ``DatanodeCluster/slaves``.
        @Located public var slave: String
        /// Whether the operator has seen to it that a master whose host cannot be reached is dead, and stays so.
        @Located public var masterIsDead: Bool
        /// Whether the GTM may be restarted where transactions were left in doubt.
        @Located public var restartsGTM: Bool
        /// Whether the operator answers for it that a slave has streamed that was restarted since, and has received nothing in this life.
        @Located public var slaveHasStreamed: Bool
        /// Tables that are counted before and after.
        @Located public var tables: [TableName]

        /// A table with its schema.
        public struct TableName: Sendable, Hashable, CustomStringConvertible {
            public var schema: String
            public var name: String
            public var description: String { "\(schema).\(name)" }
        }

        init?(_ section: Section) {
            var roster = Roster()
            let cluster = section.required("cluster") { DatanodeCluster($0, &roster) }
            let datanode = section.required("datanode", .nodeName, example: "datanode1")
            let to = section.optional("to", .nodeName)
            let isDead = section.optional("master_is_dead", .choice([("true", true), ("false", false)]), default: false)
            let restarts = section.optional("restart_gtm", .choice([("yes", true), ("no", false)]), default: false)
            let streamed = section.optional("slave_has_streamed", .choice([("seen", false), ("as-i-say", true)]), default: false)
            let tables = section.optional("tables", .tables, default: [])
            guard let cluster, let datanode, let to, let isDead, let restarts, let streamed, let tables, cluster.require(datanode: datanode, section) else { return nil }
            let slaves = cluster.slaves(of: datanode.wrappedValue).map(\.node.name)
            let slave: Located<String>
            if let name = to.wrappedValue {
                guard slaves.contains(name) else {
                    let hint = slaves.isEmpty ? "cluster.slaves has none" : "cluster.slaves has \(slaves.joined(separator: ", "))"
                    section.report("\"\(name)\" is no slave of \(datanode.wrappedValue)", hint: hint, at: to.place)
                    return nil
                }
                slave = Located(name, at: to.place)
            } else {
                guard slaves.count == 1, let name = slaves.first else {
                    section.report(
                        slaves.isEmpty ? "\(datanode.wrappedValue) has no slave in cluster.slaves" : "\(datanode.wrappedValue) has \(slaves.count) slaves",
                        hint: slaves.isEmpty ? "add the one that takes its place, with `of: \(datanode.wrappedValue)`" : "say which one takes its place: `to: \(slaves[0])`",
                        at: datanode.place)
                    return nil
                }
                slave = Located(name, at: datanode.place)
            }
            self.cluster = cluster
            (_datanode, _slave, _masterIsDead, _restartsGTM, _slaveHasStreamed, _tables) = (datanode, slave, isDead, restarts, streamed, tables)
        }
    }
}

extension Scalar<[Playbook.DatanodeFailover.TableName]> {
    /// `app.ledger, app.events`: names as the catalog has them, without quotes.
    fileprivate static let tables = Scalar("tables with their schemas such as app.ledger, app.events") { text in
        let names = text.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmed.split(separator: ".", omittingEmptySubsequences: false).map(String.init) }
        guard names.allSatisfy({ $0.count == 2 && $0.allSatisfy { (1...63).contains($0.utf8.count) } }) else { return nil }
        return names.map { Playbook.DatanodeFailover.TableName(schema: $0[0], name: $0[1]) }
    }
}
