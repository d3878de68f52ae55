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

/// The master of a datanode runs, is no standby, and knows pggraft as a superuser.
struct MasterIsOne: Requirement {
    let name = "master"
    let slave: MadeSlave
    let survey: Survey
    var place: String? { slave.datanode }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await survey.require([slave.datanode])
        let datanode = slave.datanode, access = slave.node.access, server = try await access.server(datanode), deadline = Deadline.after(.seconds(20))
        guard await server.isSuperuser else {
            return [Finding(name, on: datanode, "\(access.roster.role) is no superuser there", .notMet(hint: "connect as a superuser (cluster.user)"))]
        }
        guard try await !server.isInRecovery(deadline: deadline) else {
            return [Finding(name, on: datanode, "is a standby", .notMet(hint: "cluster.datanodes has where each datanode's master is: correct its address and port"))]
        }
        var findings = [Finding(name, on: datanode, "PostgreSQL \(await server.connection.serverVersion), no standby")]
        let names = try await server.synchronousStandbyNames(deadline: deadline)
        if !names.names.isEmpty {
            let isThere = names.contains(slave.name)
            findings.append(
                Finding("synchronous_standby_names", on: datanode, "\(names)", .note(hint: "commits wait for these\(isThere ? "" : "; \(slave.name) is not among them yet")")))
        }
        return findings
    }
}

/// A coordinator is one, and reaches under the name of each datanode the server that the playbook has for its master.
struct CoordinatorReachesMasters: Requirement {
    let name = "coordinator"
    let coordinator: String
    let datanodes: [String]
    let access: ClusterAccess
    let survey: Survey
    var place: String? { coordinator }

    func look(_ memory: Memory) async throws -> [Finding] {
        let deadline = Deadline.after(.seconds(20)), server: ServerSession
        do { server = try await access.server(coordinator, deadline: deadline) } catch let error where !(error is CancellationError) {
            return [
                Finding(
                    name, on: coordinator, "cannot be reached: \(Problem(explaining: error).fact)",
                    .notMet(hint: "start it, or correct its address and port: the role is made on every node, and every one has to reach the masters"))
            ]
        }
        guard await server.isSuperuser else {
            return [Finding(name, on: coordinator, "\(access.roster.role) is no superuser there", .notMet(hint: "connect as a superuser (cluster.user)"))]
        }
        let asked = Coordinator(server), nodes = try await asked.nodes(of: coordinator, deadline: deadline)
        var findings: [Finding] = []
        for datanode in datanodes { findings.append(try await finding(of: datanode, asked, nodes, deadline)) }
        return findings
    }

    private func finding(of datanode: String, _ asked: Coordinator, _ nodes: [ClusterNode], _ deadline: Deadline) async throws -> Finding {
        let known = nodes.filter { $0.kind == .datanode }.map(\.name), entry = try access.roster.entry(datanode)
        guard let node = nodes.first(where: { $0.name == datanode }), node.kind == .datanode else {
            let near = nodes.first { $0.name.lowercased() == datanode.lowercased() && $0.kind == .datanode }
            let what = nodes.contains { $0.name == datanode } ? "has \(datanode) as a coordinator" : "knows no node \(datanode)"
            return Finding(name, on: coordinator, what, .notMet(hint: near.map { "capitals count: it has \($0.name)" } ?? "its datanodes are \(list(known))"))
        }
        let master: ReachedServer
        do { master = try await access.server(datanode).reached(deadline: deadline) } catch let error where !(error is CancellationError) { throw NotLooked() }
        do {
            let reached = try await asked.reach(datanode, deadline: deadline)
            guard reached.isSame(as: master) else {
                return Finding(
                    name, on: coordinator, "reaches \(reached) under \(datanode), and not \(entry.address):\(entry.port)",
                    .notMet(hint: "cluster.datanodes has where each datanode's master is: correct its address and port"))
            }
        } catch let error as PostgresError {
            return Finding(name, on: coordinator, "does not reach \(datanode) at \(node.place): \(error.fact)", .notMet(hint: "mend that first: SELECT pgxc_pool_reload()"))
        }
        return Finding(name, on: coordinator, "reaches \(datanode) at \(node.place)")
    }
}

/// No other standby of the master bears the name of the slave.
struct NameIsFree: Requirement {
    let name = "slave"
    let slave: MadeSlave
    let ground: SourceGround
    var place: String? { slave.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        try await ground.requireUp()
        let datanode = slave.datanode, senders = try await slave.node.access.server(datanode).standbys(deadline: .after(.seconds(20)))
        let others = senders.filter { $0.state != "backup" && !isSameSetting($0.application, slave.name) }.map { "\($0.application) at \($0.client ?? "?")" }
        let also = others.isEmpty ? "" : "; \(datanode) has \(list(others)) besides"
        guard let own = senders.first(where: { isSameSetting($0.application, slave.name) }) else { return [Finding(name, on: slave.name, "will be made\(also)")] }
        if memory.of(slave.name).beganCopy { return [] }
        guard try await slave.pair.streams() else {
            return [
                Finding(
                    name, on: slave.name, "\(datanode) streams to another standby of this name, at \(own.client ?? "?")",
                    .notMet(hint: "correct the address, port and data_directory of \(slave.name), or give it another name"))
            ]
        }
        return [Finding(name, on: slave.name, "streams from \(datanode) already\(also)")]
    }
}

/// The master's OS user reaches the slave's host by `ssh`, without a question.
struct ArchiveIsReached: Requirement {
    let name = "archive"
    let archive: SlaveArchive
    let slave: MadeSlave
    let ground: TargetGround
    var place: String? { slave.datanode }

    private static let asking = "uname -n; id -un"

    func look(_ memory: Memory) async throws -> [Finding] {
        let target = try await ground.instance(), master = try await slave.node.access.instance(slave.datanode), deadline = Deadline.after(.seconds(30))
        guard archive.archiveCommandLength <= SlaveArchive.longest else {
            return [
                Finding(
                    name, on: slave.datanode, "archive_command would have \(archive.archiveCommandLength) bytes, and the server takes \(SlaveArchive.longest)",
                    .notMet(hint: "name a directory with a shorter path"))
            ]
        }
        let words = ["ssh"] + SlaveArchive.options + ["--", archive.host],
            answer = try await master.host.run(Command(words: words + [Self.asking]).as(master.user), deadline: deadline)
        let line = "as \(master.user) on the host of \(slave.datanode): \(Shell.line(words + ["true"]))"
        guard answer.succeeded else {
            let said = (answer.errorText + answer.text).onOneLine
            return [
                Finding(
                    name, on: slave.datanode, "\(master.user) does not reach \(archive.host) by ssh: \(said.isEmpty ? "\(answer.status)" : said)",
                    .notMet(hint: "have this work without a question (a key, and the host's key in known_hosts), \(line)"))
            ]
        }
        let there = try await target.host.require(.script(Self.asking).as(target.user), deadline: deadline).text
        guard answer.text == there else {
            let (found, wanted) = (answer.text.split(separator: "\n"), there.split(separator: "\n"))
            return [
                Finding(
                    name, on: slave.datanode,
                    "ssh to \(archive.host) comes to \(found.reversed().joined(separator: "@")), and \(slave.name) is on \(wanted.reversed().joined(separator: "@"))",
                    .notMet(hint: "say by which name it is reached from there: `archive_host:` of \(slave.name)"))
            ]
        }
        return [Finding(name, on: slave.datanode, "\(master.user) reaches \(archive.host) by ssh without a question")]
    }
}
