public import Playbook

/// Who is of the Spock cluster that a playbook is of.
public struct SpockMembers: Sendable, Hashable {
    /// What the cluster is called.
    public var cluster: String
    /// In the order of the playbook.
    public var members: [String]
    /// The one that may be none: it is to join, or has left.
    public var unsettled: String?

    public var nodes: [String] { members + [unsettled].compactMap(\.self) }

    public init(cluster: String, members: [String], unsettled: String? = nil) { (self.cluster, self.members, self.unsettled) = (cluster, members, unsettled) }

    /// - Returns: `nil` for a playbook of something else.
    public init?(of playbook: Playbook) {
        switch playbook.procedure {
        case .addSpockNode(let add): self.init(cluster: add.cluster.name, members: add.cluster.nodes.map(\.name), unsettled: add.newNode.node.name)
        case .addSpockNodeLogical(let add): self.init(cluster: add.cluster.name, members: add.cluster.nodes.map(\.name), unsettled: add.newNode.node.name)
        case .removeSpockNode(let order): self.init(cluster: order.cluster.name, members: order.staying.map(\.name), unsettled: order.cluster[order.node] == nil ? nil : order.node)
        default: return nil
        }
    }
}
