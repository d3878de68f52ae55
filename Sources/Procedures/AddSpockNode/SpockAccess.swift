import EventLoop
import ProcedureKit
import Server
import Spock

extension ClusterAccess {
    /// The shared session on node `name`, for what is Spock's.
    func spock(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> SpockSession {
        SpockSession(try await server(name, deadline: deadline))
    }

    /// A session of its own on node `name`, for what is Spock's. The caller closes it.
    func separateSpock(_ name: String, deadline: Deadline = .after(.seconds(20))) async throws -> SpockSession {
        SpockSession(try await separateServer(name, deadline: deadline))
    }
}
