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
    private let silent = SilentNodes()

    public init(_ nodes: [String], of access: ClusterAccess) { (self.nodes, self.access) = (nodes, access) }

    /// What each of them is at this moment: its server is asked, and where that gives no answer its host.
    ///
    /// One that is silent is waited for once, and not for long after that: those that are there may have clients that wait.
    public func look(deadline: Deadline = .after(.seconds(30))) async throws -> GroupView {
        let found = try await onEach(nodes) { try await self.node($0, deadline: deadline) }
        return GroupView(nodes.compactMap { found[$0] })
    }

    /// One of them.
    public func node(_ name: String, deadline: Deadline) async throws -> GroupView.Node {
        let entry = try access.roster.entry(name)
        return GroupView.Node(name: name, address: entry.address, port: entry.port, state: try await state(of: name, deadline: deadline))
    }

    /// What the server of one of the roster says, whether or not it is of this group.
    /// - Throws: what asking it throws.
    public func look(at name: String, deadline: Deadline = .after(.seconds(20))) async throws -> ReplicationLook { try await ask(name, deadline) }

    /// Whether one that was looked at gave no answer: it is not waited for as long again.
    public func gaveNoAnswer(_ name: String) -> Bool { silent.contains(name) }

    private func state(of name: String, deadline: Deadline) async throws -> GroupView.State {
        let wasSilent = silent.contains(name), first = Deadline.after(wasSilent ? .seconds(2) : .seconds(15)).orAfter(deadline.remaining)
        var refusal: any Error
        do {
            return .serving(try await ask(name, first))
        } catch let error where !(error is CancellationError) {
            refusal = error
        }
        await access.forgetServer(name)
        // The connection may have been that of a server that was restarted since, or of a host that was.
        if !first.hasPassed {
            do {
                return .serving(try await ask(name, deadline))
            } catch let error where !(error is CancellationError) {
                refusal = error
            }
        }
        // A server that is deaf may have a host that is not: that is waited for a little, whatever is left.
        let last = Deadline.after(min(wasSilent ? .seconds(2) : .seconds(5), max(.seconds(2), deadline.remaining)))
        do {
            let instance = try await access.instance(name, deadline: last), processes = try await instance.processes(deadline: last)
            guard processes.isEmpty else { return .deaf(processes, Problem(explaining: refusal)) }
            return .down(try await instance.controlData(deadline: last))
        } catch let error where !(error is CancellationError) {
            silent.add(name)
            return .unreachable(Problem(explaining: (error as? PostgresError) == nil ? error : refusal))
        }
    }

    private func ask(_ name: String, _ deadline: Deadline) async throws -> ReplicationLook {
        let server = try await access.server(name, deadline: deadline)
        var look = try await server.replication(deadline: deadline)
        silent.remove(name)
        if server.features.standbyMarker == .recoveryConf {
            let said = try await access.instance(name, deadline: deadline).saidInRecovery(look.recovery.isInRecovery, deadline: deadline)
            look.conninfo = look.conninfo ?? said.conninfo
            look.settings["primary_slot_name"] = said.slot
        }
        return look
    }
}
