public import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Server

/// A primary and its standbys: the nodes of a roster, which are looked at all at once.
public struct Group: Sendable {
    public let access: ClusterAccess
    public let nodes: [String]
    private let looks: NodeLooks

    public init(_ nodes: [String], of access: ClusterAccess) { (self.nodes, self.access, looks) = (nodes, access, NodeLooks(access)) }

    /// What each of them is at this moment: its server is asked, and where that gives no answer its host.
    public func look(deadline: Deadline = .after(.seconds(30))) async throws -> GroupView {
        let found = try await onEach(nodes) { try await self.node($0, deadline: deadline) }
        return GroupView(nodes.compactMap { found[$0] })
    }

    /// One of them.
    public func node(_ name: String, deadline: Deadline) async throws -> GroupView.Node {
        let entry = try access.roster.entry(name)
        return GroupView.Node(name: name, address: entry.address, port: entry.port, state: try await looks.state(of: name, deadline: deadline) { try await ask(name, $0) })
    }

    /// What the server of one of the roster says, whether or not it is of this group.
    /// - Throws: what asking it throws.
    public func look(at name: String, deadline: Deadline = .after(.seconds(20))) async throws -> ReplicationLook { try await ask(name, deadline) }

    /// Whether one that was looked at gave no answer: it is not waited for as long again.
    public func gaveNoAnswer(_ name: String) -> Bool { looks.gaveNoAnswer(name) }

    private func ask(_ name: String, _ deadline: Deadline) async throws -> ReplicationLook {
        let server = try await access.server(name, deadline: deadline)
        var look = try await server.replication(deadline: deadline)
        looks.answered(name)
        if server.features.standbyMarker == .recoveryConf {
            let said = try await access.instance(name, deadline: deadline).saidInRecovery(look.recovery.isInRecovery, deadline: deadline)
            look.conninfo = look.conninfo ?? said.conninfo
            look.settings["primary_slot_name"] = said.slot
        }
        return look
    }
}
