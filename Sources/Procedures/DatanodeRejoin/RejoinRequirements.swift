import Datanode
import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// The master that the playbook names is one: it takes writes, and lets a superuser in.
struct MasterIsOurs: Requirement {
    let name = "master"
    let datanode: String
    let access: ClusterAccess
    let survey: Survey
    var place: String? { datanode }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([datanode])
        let server = try await access.server(datanode)
        guard await server.isSuperuser else {
            return [Finding(name, on: datanode, "\(access.roster.role) is no superuser there", .notMet(hint: "connect as a superuser (cluster.user)"))]
        }
        let place = try access.roster.entry(datanode), state = try await server.recovery(deadline: .after(.seconds(20)))
        guard !state.isInRecovery else {
            return [
                Finding(
                    name, on: datanode, "at \(place.address):\(place.port) a standby runs",
                    .notMet(hint: "cluster.datanodes has where the master of \(datanode) is: correct its address and port"))
            ]
        }
        return [Finding(name, on: datanode, "takes writes at \(place.address):\(place.port)")]
    }
}

/// A coordinator has the datanode where the playbook has its master, and reaches that.
struct CoordinatorHasMaster: Requirement {
    let name = "coordinator"
    private let coordinator: String
    private let datanode: String
    private let slave: String
    private let access: ClusterAccess
    private let survey: Survey
    var place: String? { coordinator }

    init(_ coordinator: String, datanode: String, slave: String, access: ClusterAccess, survey: Survey) {
        (self.coordinator, self.datanode, self.slave, self.access, self.survey) = (coordinator, datanode, slave, access, survey)
    }

    private func refused(_ found: String, _ hint: String) -> [Finding] { [Finding(name, on: coordinator, found, .notMet(hint: hint))] }

    func look(_ memory: Memory) async throws -> [Finding] {
        let deadline = Deadline.after(.seconds(20)), server: ServerSession
        do { server = try await access.server(coordinator, deadline: deadline) } catch let error where !(error is CancellationError) {
            return refused(
                "cannot be reached: \(Problem(explaining: error).fact)",
                "start it: whether it uses the old master cannot be seen; where the failover has left it out, resume that first")
        }
        guard await server.isSuperuser else {
            return refused("\(access.roster.role) is no superuser there", "connect as a superuser (cluster.user): others may not ask a datanode through it")
        }
        let asked = Coordinator(server), nodes: [ClusterNode]
        do { nodes = try await asked.nodes(deadline: deadline) } catch let error as PostgresError where error.code == "42P01" {
            return refused("is no coordinator of Postgres-XC: it has no pgxc_node", "correct its address and port")
        }
        guard let known = nodes.first(where: { $0.name == datanode && $0.kind == .datanode }) else {
            return refused("knows no datanode \(datanode)", "its datanodes are \(list(nodes.filter { $0.kind == .datanode }.map(\.name)))")
        }
        let master = try access.roster.entry(datanode), wanted = NodeAddress(host: master.address, port: master.port)
        guard known.place == wanted else { return try stale(known.place, wanted) }
        return try await reaches(asked, wanted, deadline)
    }

    /// It has another place for it.
    private func stale(_ known: NodeAddress, _ wanted: NodeAddress) throws -> [Finding] {
        let own = try access.roster.entry(slave)
        guard known == NodeAddress(host: own.address, port: own.port) else {
            return refused(
                "has \(datanode) at \(known), the playbook at \(wanted)", "correct the playbook; where a failover was not finished, resume that first: pggraft resume")
        }
        return refused(
            "has \(datanode) at \(known) still, where \(slave) is to be a slave",
            "finish the failover first, pggraft resume: started there, \(slave) would get what this coordinator writes. Where \(slave) is the master, the playbook has the two the wrong way round"
        )
    }

    /// Its sessions reach that very server, where that can be asked.
    private func reaches(_ asked: Coordinator, _ place: NodeAddress, _ deadline: Deadline) async throws -> [Finding] {
        let reached: ReachedServer
        do { reached = try await asked.reach(datanode, deadline: deadline) } catch let error as PostgresError where ["53000", "XX000"].contains(error.code) {
            return refused("has \(datanode) at \(place), and does not reach it: \(error.fact)", "on it: SELECT pgxc_pool_reload(); or resume the failover: pggraft resume")
        }
        // Another requirement tells what is the matter with it.
        do { try await survey.require([datanode]) } catch { return [Finding(name, on: coordinator, "has \(datanode) at \(place)")] }
        guard try await reached.isSame(as: access.server(datanode).reached(deadline: deadline)) else {
            return refused(
                "has \(datanode) at \(place), and its sessions reach another server: \(reached)", "on it: SELECT pgxc_pool_reload(); or resume the failover: pggraft resume")
        }
        return [Finding(name, on: coordinator, "reaches \(datanode) at \(place)")]
    }
}
