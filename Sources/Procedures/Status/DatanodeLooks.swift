import Datanode
import EventLoop
public import Playbook
import PostgresClient
public import ProcedureKit
import Server

/// The servers of a Postgres-XC cluster, looked at all at once.
public struct DatanodeLooks: Sendable {
    private let access: ClusterAccess
    private let looks: NodeLooks
    private let coordinators: [String]
    private let datanodes: [(name: String, group: Group)]

    /// - Returns: `nil` for a playbook of something else.
    /// - Throws: `Problem` for what no playbook can say.
    public init?(of playbook: Playbook, _ ways: Ways) throws {
        guard let cluster = playbook.datanodeCluster else { return nil }
        access = ClusterAccess(try Catalog.roster(of: playbook).roster, ways)
        looks = NodeLooks(access)
        coordinators = cluster.coordinators.map(\.name)
        datanodes = cluster.datanodes.map { [access] datanode in (datanode.name, Group([datanode.name] + cluster.slaves(of: datanode.name).map(\.node.name), of: access)) }
    }

    public func look() async throws -> DatanodeStatus {
        async let asked = onEach(coordinators) { name in
            try await looks.state(of: name, deadline: .after(.seconds(30))) { try await ask(name, $0) }
        }
        let views = try await onEach(Array(datanodes.indices)) { try await datanodes[$0].group.look() }, states = try await asked
        return DatanodeStatus(
            coordinators: coordinators.compactMap { name in states[name].map { (name, $0) } },
            datanodes: datanodes.indices.compactMap { index in views[index].map { DatanodeStatus.Datanode(datanodes[index].name, $0) } })
    }

    private func ask(_ name: String, _ deadline: Deadline) async throws -> DatanodeStatus.CoordinatorLook {
        let server = try await access.server(name, deadline: deadline)
        async let prepared = server.preparedTransactions(deadline: deadline)
        var known: [ClusterNode]?
        do { known = try await Coordinator(server).nodes(deadline: deadline) } catch let error as PostgresError where error.code == "42P01" {
            // A server that is none.
        }
        return DatanodeStatus.CoordinatorLook(known: known, prepared: try await prepared)
    }

    public func close() async { await access.close() }
}

extension Playbook {
    /// The cluster of a playbook of Postgres-XC's datanodes; `nil` for one of something else.
    var datanodeCluster: DatanodeCluster? {
        switch procedure {
        case .datanodeDropSlave(let order): order.cluster
        case .datanodeFailover(let order): order.cluster
        case .datanodeRejoin(let order): order.cluster
        case .datanodeStandby(let order): order.cluster
        default: nil
        }
    }
}
