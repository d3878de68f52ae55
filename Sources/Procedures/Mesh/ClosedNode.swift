import EventLoop
import ProcedureKit
import Server
import Spock

/// A node of a Spock cluster that takes no writes of clients any more, so that the others can come to have all that was written there.
struct ClosedNode: Sendable {
    let mesh: any SpockNodes
    let name: String
    /// Of which it is one of the nodes.
    let window: ClosedWindow
    /// How long transactions may go on.
    let grace: Duration

    /// Closes it to clients.
    ///
    /// The read-only mode alone does not keep every write out: no client may be connected any more.
    func close(deadline: Deadline) async throws {
        let server = try await mesh.access.server(name), roster = mesh.access.roster
        // Superusers are let in all the same, among them the mesh's own role.
        try await server.limitConnections(to: 0, deadline: deadline)
        let moments = try await window.close([name], deadline: deadline)
        try await server.terminateClients(except: [roster.role, try roster.entry(name).osUser], deadline: deadline)
        _ = try await mesh.endClientTransactions(on: [name], begunBefore: moments, grace: grace, deadline: deadline)
    }

    /// The ways over which each of `nodes` reads it; none for one that does not.
    func readers(_ nodes: [String], deadline: Deadline) async throws -> [String: [Spock.Direction]] {
        let provider = try await mesh.spock(name), name = name
        return try await onEach(nodes) { node in
            let subscriber = try await mesh.spock(node)
            return try await subscriber.subscriptions(deadline: deadline).filter { $0.provider.rawValue == name && $0.subscriber.rawValue == node }
                .map { Spock.Direction(provider: provider, subscriber: subscriber, origin: $0.origin) }
        }
    }
}
