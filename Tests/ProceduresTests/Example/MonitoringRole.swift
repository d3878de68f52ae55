import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Run
import Server

/// Gives a node a role that a monitoring system logs in as: the worked example of CONTRIBUTING.md.
struct MonitoringRole: Procedure {
    private let order: Playbook.MonitoringRole
    private let text: RunOrigin
    private let access: ClusterAccess
    private let lock: ClusterLock

    init(_ order: Playbook.MonitoringRole, from origin: RunOrigin, _ ways: Ways) throws {
        (self.order, text) = (order, origin)
        access = ClusterAccess(try Roster(order), ways)
        lock = ClusterLock(order.cluster.name, on: order.node, of: access, saying: "works on cluster \(order.cluster.name)")
    }

    static let name = "monitoring-role"
    var name: String { Self.name }
    var cluster: String { order.cluster.name }
    func origin() -> RunOrigin { text }

    var requirements: [RequirementGroup] { [RequirementGroup("servers", [NodeTakesWrites(node: order.node, access: access)])] }

    var steps: [ListedStep] {
        [
            ListedStep("1", CreateRole(role: order.role, node: order.node, access: access)),
            ListedStep("2", LimitConnections(role: order.role, node: order.node, limit: order.connections, access: access)),
        ]
    }

    func takeLock(holder: Holder) async throws { try await lock.take(holder: holder) }

    func close() async {
        await lock.release()
        await access.close()
    }
}

extension Roster {
    fileprivate init(_ order: Playbook.MonitoringRole) throws {
        let cluster = order.cluster
        self.init(try cluster.nodes.map { try Entry($0, osUser: cluster.osUser) }, database: cluster.database, role: cluster.user)
    }
}

/// The node is no standby.
struct NodeTakesWrites: Requirement {
    let name = "PostgreSQL"
    let node: String
    let access: ClusterAccess
    var place: String? { node }

    func look(_ memory: Memory) async throws -> [Finding] {
        let isStandby = try await access.server(node).isInRecovery(deadline: .after(.seconds(10)))
        return [isStandby ? Finding(name, on: node, "a standby", .notMet(hint: "name its primary")) : Finding(name, on: node, "takes writes")]
    }
}
