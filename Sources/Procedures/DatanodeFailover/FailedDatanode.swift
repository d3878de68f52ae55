import Datanode
import EventLoop
import Instance
import Playbook
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

extension Consent {
    /// The GTM may be restarted where transactions were left in doubt.
    public static let restartGTM = Consent(rawValue: "restart-gtm")
}

/// A datanode whose master is lost, the slave that takes its place, and who has to know.
struct FailedDatanode: Sendable {
    let access: ClusterAccess
    /// As the coordinators know it; in the roster, the place of its lost master.
    let datanode: String
    let slave: String
    let coordinators: [String]
    /// The other datanodes, which may know what became of a transaction.
    let others: [String]
    let failed: FailedGroup
    let tables: [Playbook.DatanodeFailover.TableName]
    let slaveHasStreamed: Bool
    /// Coordinators and datanodes that gave no answer.
    let silent = SilentNodes()
    private let restartsGTM: Bool

    init(_ playbook: Playbook.DatanodeFailover, _ access: ClusterAccess, consents: [Consent]) {
        let cluster = playbook.cluster
        (self.access, datanode, slave, coordinators) = (access, playbook.datanode, playbook.slave, cluster.coordinators.map(\.name))
        others = cluster.datanodes.map(\.name).filter { $0 != playbook.datanode }
        (tables, slaveHasStreamed, restartsGTM) = (playbook.tables, playbook.slaveHasStreamed, playbook.restartsGTM || consents.contains(.restartGTM))
        failed = FailedGroup(
            group: Group([playbook.datanode, playbook.slave], of: access), old: playbook.datanode, wanted: playbook.slave,
            primaryIsDead: playbook.masterIsDead || consents.contains(.primaryIsDead),
            words: FailedGroup.Words(
                dead: "--master-is-dead or `master_is_dead: true` in the playbook",
                works: "a failover is for a master that is lost: stop it first (pg_ctl stop -m fast), and nothing is lost with a slave that has everything"),
            hasOneStandby: true)
    }

    /// Where the coordinators shall reach it.
    var place: NodeAddress {
        get throws {
            let entry = try access.roster.entry(slave)
            return NodeAddress(host: entry.address, port: entry.port)
        }
    }

    func mayRestartGTM(_ memory: Memory) throws -> Bool { try restartsGTM || memory.consented(to: .restartGTM) }

    func gtm() async throws -> GTM {
        let entry = try access.roster.entry(Playbook.DatanodeCluster.gtmName)
        guard let directory = entry.dataDirectory else { throw UnknownNode(name: entry.name) }
        return GTM(host: try await access.host(entry.name), user: entry.osUser, binDirectory: entry.binDirectory, dataDirectory: directory)
    }

    /// Whether the GTM did not run, and does by now. One that may not be started is told of.
    func gtmIsDown() async throws -> Bool {
        let gtm: GTM
        do {
            gtm = try await self.gtm()
            if try await gtm.isRunning(deadline: .after(.seconds(10))) { return false }
        } catch let error where !(error is CancellationError) {
            return false
        }
        guard restartsGTM else {
            throw Problem(
                "the GTM does not run, and without it no server of the cluster can be asked",
                hint: "start it, and run or resume again; with `restart_gtm: yes` in the playbook a run that has stopped it starts it")
        }
        try await gtm.restart(deadline: .after(.seconds(60)))
        return true
    }

    /// A coordinator, where it can be reached within seconds.
    func coordinator(_ name: String) async throws -> Coordinator {
        do {
            let coordinator = Coordinator(try await access.server(name, deadline: silent.deadline(for: name, .seconds(10))))
            silent.remove(name)
            return coordinator
        } catch let error where !(error is CancellationError) {
            // One that is starting is there.
            if (error as? PostgresError)?.code != "57P03" { silent.add(name) }
            throw error
        }
    }

    // MARK: Coordinators

    /// How one coordinator has the datanode.
    enum Told: Sendable {
        /// Its sessions reach the new master.
        case proven(ReachedServer)
        /// It still has another place for it, or its sessions do.
        case not(String)
        /// It could not be asked.
        case silent(Problem)
    }

    /// Whether a coordinator reaches the new master, which is `server`.
    func told(_ name: String, _ server: ReachedServer, deadline: Deadline = .after(.seconds(10))) async throws -> Told {
        let coordinator: Coordinator
        do { coordinator = try await self.coordinator(name) } catch let error where !(error is CancellationError) {
            return .silent(Problem(explaining: error))
        }
        do {
            guard let known = try await coordinator.nodes(deadline: deadline).first(where: { $0.name == datanode }) else { return .not("it does not know \(datanode)") }
            guard try known.place == place else { return .not("it has \(datanode) at \(known.place)") }
            let reached = try await coordinator.reach(datanode, deadline: deadline)
            return reached.isSame(as: server) ? .proven(reached) : .not("its sessions reach \(reached)")
        } catch let error as PostgresError where error.isServerAway {
            await access.forgetServer(name)
            return .silent(Problem(explaining: error))
        } catch let error as PostgresError where error.code == "53000" || error.code == "XX000" {
            return .not("its sessions do not reach it: \(error.fact)")
        }
    }

    /// The new master, which nobody else can be.
    func newMaster() async throws -> ReachedServer { try await access.server(slave).reached(deadline: .after(.seconds(20))) }
}
