import Datanode
import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// The slave is a standby of this very datanode, and has streamed from it.
struct SlaveIsUsable: Requirement {
    let name = "slave"
    let order: FailedDatanode
    let survey: Survey
    var place: String? { order.slave }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([order.slave])
        let slave = order.slave, server = try await order.access.server(slave), deadline = Deadline.after(.seconds(20))
        guard await server.isSuperuser else {
            let role = order.access.roster.role
            return [Finding(name, on: slave, "\(role) is no superuser there", .notMet(hint: "connect as a superuser (cluster.user)"))]
        }
        let state = try await server.recovery(deadline: deadline)
        guard state.isInRecovery else {
            if memory.began(PromoteSuccessor.self) { return [Finding(name, on: slave, "the run has promoted it")] }
            let hint = "name the slave of \(order.datanode); where somebody has promoted it, tell the coordinators by hand, too"
            return [Finding(name, on: slave, "is no standby: it takes writes", .notMet(hint: hint))]
        }
        var findings: [Finding] = []
        findings += try await identity(deadline)
        findings += try await otherSlaves(state)
        if !state.hasStreamed {
            let hint =
                "if it has streamed before it was restarted last, or its master has written nothing since, say `slave_has_streamed: as-i-say`; "
                + "else it is no copy to go on with"
            findings.append(Finding(name, on: slave, "has received nothing since it was started", order.slaveHasStreamed ? .note(hint: nil) : .notMet(hint: hint)))
        } else {
            findings.append(
                Finding(
                    name, on: slave, "received up to \(state.receivedLSN?.description ?? "nothing"), replayed up to \(state.replayedLSN?.description ?? "nothing")"))
        }
        let settings = try await server.settings(["archive_mode", "archive_command"], deadline: deadline)
        if settings["archive_mode"] == "on", let command = settings["archive_command"], !["", "(disabled)"].contains(command) {
            findings.append(
                Finding(
                    name, on: slave, "will archive once it is promoted: \(Redaction.redacted(command).onOneLine)",
                    .note(hint: "see to it that this is not the archive that its master has written to, or change archive_command there")))
        }
        return findings
    }

    /// Whether it is a copy of this datanode: by the identifier that all copies of one share, and, where the master's cannot be read, by where it streams from.
    private func identity(_ deadline: Deadline) async throws -> [Finding] {
        let own = try await order.access.instance(order.slave).controlData(deadline: deadline).systemIdentifier
        for other in order.others {
            let found: SystemIdentifier
            do {
                found = try await order.access.instance(other, deadline: deadline).controlData(deadline: deadline).systemIdentifier
            } catch let error where !(error is CancellationError) {
                // Its own requirement tells of it.
                continue
            }
            if found == own { return [Finding(name, on: order.slave, "is a copy of \(other)", .notMet(hint: "name the slave of \(order.datanode)"))] }
        }
        do {
            let master = try await order.failed.oldInstance().controlData(deadline: deadline).systemIdentifier
            guard own != master else { return [] }
            return [
                Finding(
                    name, on: order.slave, "is a copy of another cluster: its system identifier is \(own), that of \(order.datanode) \(master)",
                    .notMet(hint: "name the slave of \(order.datanode)"))
            ]
        } catch let error where !(error is CancellationError) {
            let master = try order.access.roster.entry(order.datanode), said = try await order.failed.group.node(order.slave, deadline: deadline).look?.conninfo
            let from = "\(said?["host"] ?? said?["hostaddr"] ?? "?") port \(said?["port"] ?? "5432")"
            if from == "\(master.address) port \(master.port)" { return [Finding(name, on: order.slave, "streams from \(from), which is \(order.datanode)")] }
            return [
                Finding(
                    name, on: order.slave, "streams from \(from), and \(order.datanode) is at \(master.address) port \(master.port): whether that is the same nobody can say",
                    .notMet(hint: "if it is, write the address of \(order.datanode) in the playbook as the slave's primary_conninfo has it; else name its slave"))
            ]
        }
    }

    /// Another slave of the datanode that has more: what it has beyond would be lost.
    private func otherSlaves(_ own: RecoveryState) async throws -> [Finding] {
        func reached(_ state: RecoveryState) -> LSN { [state.receivedLSN, state.replayedLSN].compactMap(\.self).max() ?? .zero }
        var findings: [Finding] = []
        for other in order.otherSlaves {
            do {
                let state = try await order.access.server(other, deadline: .after(.seconds(10))).recovery(deadline: .after(.seconds(10)))
                let more = reached(state).bytes(since: reached(own))
                findings.append(
                    more > 0
                        ? Finding(
                            name, on: order.slave, "has \(UInt64(more).inBytes) less than \(other): they would be lost", .notMet(hint: "say `to: \(other)`"))
                        : Finding(name, on: other, "has no more than \(order.slave); it is left behind, and has to be made anew", .note(hint: nil)))
            } catch let error where !(error is CancellationError) {
                let hint = "it may have more than \(order.slave): start it first, if it can be"
                findings.append(Finding(name, on: other, "cannot be asked: \(Problem(explaining: error).fact)", .note(hint: hint)))
            }
        }
        return findings
    }
}

extension RecoveryState {
    /// Whether a part of a segment was received since the start. A receiver that has yet to receive anything shows the begin of the one that it asks for.
    fileprivate var hasStreamed: Bool { receivedLSN.map { $0.position % (1 << 20) != 0 } ?? false }
}

/// A coordinator can be told, and knows the datanode by the name that the playbook has for it.
struct CoordinatorIsUsable: Requirement {
    let name = "coordinator"
    private let coordinator: String
    private let order: FailedDatanode
    /// The playbook's.
    private let known: [String]
    var place: String? { coordinator }

    init(_ coordinator: String, order: FailedDatanode, known: [String]) { (self.coordinator, self.order, self.known) = (coordinator, order, known) }

    func look(_ memory: Memory) async throws -> [Finding] {
        let deadline = Deadline.after(.seconds(20)), server: ServerSession
        do { server = try await order.coordinator(coordinator).session } catch let error where !(error is CancellationError) {
            return [
                Finding(
                    name, on: coordinator, "cannot be reached: \(Problem(explaining: error).fact)",
                    .note(hint: "start it first if that can be: until it was told, the run stays open, and it must not come back to a master that runs again"))
            ]
        }
        guard await server.isSuperuser else {
            let hint = "connect as a superuser (cluster.user): ALTER NODE is refused to others"
            return [Finding(name, on: coordinator, "\(order.access.roster.role) is no superuser there", .notMet(hint: hint))]
        }
        let nodes = try await Coordinator(server).nodes(of: coordinator, deadline: deadline)
        return [datanode(nodes)] + strangers(nodes)
    }

    private func datanode(_ nodes: [ClusterNode]) -> Finding {
        let datanodes = nodes.filter { $0.kind == .datanode }.map(\.name)
        guard let node = nodes.first(where: { $0.name == order.datanode }) else {
            let near = nodes.first { $0.name.lowercased() == order.datanode.lowercased() }
            return Finding(
                name, on: coordinator, "knows no node \(order.datanode)",
                .notMet(hint: near.map { "capitals count: it has \($0.name)" } ?? "its datanodes are \(list(datanodes))"))
        }
        guard node.kind == .datanode else {
            return Finding(name, on: coordinator, "has \(order.datanode) as a coordinator", .notMet(hint: "its datanodes are \(list(datanodes))"))
        }
        let flags = node.flags.isEmpty ? "" : " (\(node.flags), which it stays)"
        return Finding(name, on: coordinator, "has \(node.name) at \(node.place)\(flags)")
    }

    /// Coordinators that the playbook does not name go on with the old master.
    private func strangers(_ nodes: [ClusterNode]) -> [Finding] {
        let strangers = nodes.filter { $0.kind == .coordinator && !known.contains($0.name) }
        return strangers.map {
            Finding(
                name, on: coordinator, "knows a coordinator \($0.name) at \($0.place), which the playbook does not",
                .notMet(hint: "add it to cluster.coordinators: untold, it would go on with the old master; or DROP NODE it where it is gone for good"))
        }
    }
}

/// Another datanode, which may know what became of a transaction.
struct OtherDatanodeAnswers: Requirement {
    let name = "datanode"
    private let datanode: String
    private let order: FailedDatanode
    var place: String? { datanode }

    init(_ datanode: String, order: FailedDatanode) { (self.datanode, self.order) = (datanode, order) }

    func look(_ memory: Memory) async throws -> [Finding] {
        do {
            let server = try await order.access.server(datanode, deadline: order.silent.deadline(for: datanode, .seconds(10)))
            if try await server.isInRecovery(deadline: .after(.seconds(20))) {
                return [Finding(name, on: datanode, "is a standby", .notMet(hint: "cluster.datanodes has where each datanode's master is: correct its address and port"))]
            }
            if let hanging = try await order.hangingCommits(on: datanode) { return [Finding(notMet: name, on: datanode, hanging)] }
            return [Finding(name, on: datanode, "answers")]
        } catch let error where !(error is CancellationError) {
            order.silent.add(datanode)
            return [
                Finding(
                    name, on: datanode, "cannot be asked: \(Problem(explaining: error).fact)",
                    .note(hint: "where a transaction is left in doubt, the run stops before anybody writes: only this one may know what became of it"))
            ]
        }
    }
}

/// The GTM can be restarted, should that be needed.
struct GTMIsReached: Requirement {
    let name = "GTM"
    let order: FailedDatanode
    var place: String? { "gtm" }

    func look(_ memory: Memory) async throws -> [Finding] {
        let consent = try order.mayRestartGTM(memory) ? "restarted where a transaction was left in doubt" : "not restarted unless you say --restart-gtm"
        do {
            guard try await order.gtm().isRunning(deadline: .after(.seconds(20))) else {
                if memory.began(RestartGTM.self) || memory.began(VerifyDatanode.self), try order.mayRestartGTM(memory) {
                    return [Finding(name, on: place, "does not run", .note(hint: "the run starts it"))]
                }
                return [Finding(name, on: place, "does not run", .notMet(hint: "start it: without it no coordinator begins a transaction"))]
            }
            return [Finding(name, on: place, "runs; \(consent)")]
        } catch let error where !(error is CancellationError) {
            return [
                Finding(
                    name, on: place, "its program cannot be asked: \(Problem(explaining: error).fact)",
                    .note(hint: "say where gtm_ctl is (bin_directory): where a transaction is left in doubt the GTM may have to be restarted"))
            ]
        }
    }
}
