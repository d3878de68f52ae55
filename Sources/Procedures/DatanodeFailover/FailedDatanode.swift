import Datanode
import EventLoop
import Instance
import Playbook
import PostgresClient
import PostgresConfig
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
    /// Its other slaves, which may have more.
    let otherSlaves: [String]
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
        otherSlaves = cluster.slaves(of: playbook.datanode).map(\.node.name).filter { $0 != playbook.slave }
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

    /// Coordinators that nobody waits for: on the host of a master that is said to be dead.
    func deadCoordinators(_ memory: Memory) throws -> [String] {
        guard try failed.primaryIsDead(memory) else { return [] }
        let address = try access.roster.entry(datanode).address
        return try coordinators.filter { try access.roster.entry($0).address == address }
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
    func gtmIsDown(starts: Bool) async throws -> Bool {
        let gtm: GTM
        do {
            gtm = try await self.gtm()
            if try await gtm.isRunning(deadline: .after(.seconds(10))) { return false }
        } catch let error where !(error is CancellationError) {
            return false
        }
        guard starts, restartsGTM else {
            throw Problem(
                "the GTM does not run, and without it no server of the cluster can be asked",
                hint: "start it, and run or resume again; a run that was begun with --restart-gtm starts it when it is resumed")
        }
        try await gtm.start(deadline: .after(.seconds(60)))
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

    /// Why every commit on another datanode hangs: with a host may go the master of one and the slave of the other; `nil` where none is seen to.
    ///
    /// A slave whose host lost power stays in the master's view for a minute: what it has written down does not move then.
    func hangingCommits(on other: String) async throws -> Problem? {
        let server = try await access.server(other)
        func look() async throws -> (names: StandbyNames, written: LSN, waitedFor: [StreamingStandby])? {
            let look = try await failed.group.look(at: other)
            guard let names = StandbyNames(look.settings["synchronous_standby_names"] ?? "", version: server.features.version), names.number > 0 else { return nil }
            let there = GroupView.Node(name: other, address: "", state: .serving(look))
            return (names, look.writtenLSN ?? .zero, GroupView([there]).standbysWaitedFor(by: names, on: there))
        }
        guard let first = try await look() else { return nil }
        func isWellServed(_ standbys: [StreamingStandby]) -> Bool { standbys.filter { ($0.flushedLSN ?? .zero) >= first.written }.count >= first.names.number }
        guard !isWellServed(first.waitedFor) else { return nil }
        do {
            return try await wait(for: "commits of \(other) to be written down", until: .after(.seconds(5)), every: .milliseconds(200)) { () -> Look<Problem?> in
                guard let now = try await look() else { return .found(nil) }
                return isWellServed(now.waitedFor) ? .found(nil) : .notYet("\(now.waitedFor.count) of \(first.names.number)")
            }
        } catch is DeadlineExceeded {
            return Problem(
                "\(other): commits there wait for \(first.names), and no such slave writes anything down: every write hangs",
                hint: "take the slave that is gone out first (`procedure: datanode-drop-slave`, also where its host is gone), "
                    + "or empty synchronous_standby_names in the files of \(other) and reload it; then go on")
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

        var isProven: Bool { if case .proven = self { true } else { false } }
    }

    /// Whether this run has seen a coordinator's pool reloaded. That a session of ours reaches the new master proves nothing of the others': where a database
    /// and user have no connection yet, the new place is taken without that.
    static func reloaded(_ coordinator: String) -> Fact<Bool> { Fact("pool of \(coordinator) reloaded") }

    /// Whether a coordinator reaches the new master, which is `server`, and its pool was reloaded.
    func told(_ name: String, _ server: ReachedServer, _ memory: Memory) async throws -> Told {
        let deadline = Deadline.after(.seconds(15)), coordinator: Coordinator
        do { coordinator = try await self.coordinator(name) } catch let error where !(error is CancellationError) {
            return .silent(Problem(explaining: error))
        }
        do {
            guard let known = try await coordinator.nodes(deadline: deadline).first(where: { $0.name == datanode }) else { return .not("it does not know \(datanode)") }
            guard try known.place == place else { return .not("it has \(datanode) at \(known.place)") }
            guard try memory.recall(Self.reloaded(name)) == true else { return .not("its pool was not reloaded by this run") }
            let reached = try await coordinator.reach(datanode, deadline: deadline)
            return reached.isSame(as: server) ? .proven(reached) : .not("its sessions reach \(reached)")
        } catch let error as PostgresError where error.code == "53000" || error.code == "XX000" {
            return .not("its sessions do not reach it: \(error.fact)")
        } catch let error where (error as? PostgresError)?.isServerAway ?? (error is DeadlineExceeded) {
            await access.forgetServer(name)
            return .silent(Problem(explaining: error))
        }
    }

    /// The new master, which nobody else can be.
    func newMaster() async throws -> ReachedServer { try await access.server(slave).reached(deadline: .after(.seconds(20))) }
}
