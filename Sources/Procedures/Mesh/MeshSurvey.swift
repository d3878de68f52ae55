import ProcedureKit
import Run
import Spock

/// What was seen of the members of the mesh, for the requirements that rest on it.
actor MeshSurvey {
    nonisolated let mesh: SpockMesh
    private let survey: Survey
    private(set) var states: [String: SpockNodeState] = [:]

    init(_ mesh: SpockMesh, _ survey: Survey) { (self.mesh, self.survey) = (mesh, survey) }

    /// - Throws: `NotLooked` where the host of `node` was not reached.
    nonisolated func requireHost(_ node: String) async throws { try await survey.require([node]) }

    /// - Throws: `NotLooked` where the host of a node, the new one's among them, was not reached.
    nonisolated func requireAllHosts() async throws { try await survey.require(mesh.nodes) }

    /// Says that `node` is the member it should be.
    func saw(_ node: String, _ state: SpockNodeState) { states[node] = state }

    /// - Throws: `NotLooked` where the source is no member that could be looked at.
    func requireSource() throws {
        guard states[mesh.source] != nil else { throw NotLooked() }
    }

    /// One for each of `nodes`, which tells this survey what it sees.
    /// - Parameter hosts: those that are looked at beside it: of several nodes on one host only the first has its connection looked at.
    nonisolated func members(_ nodes: [String], on hosts: [HostIsReached]) -> [MemberIsSpockNode] {
        nodes.map { node in
            MemberIsSpockNode(node: node, mesh: mesh, hostIsLookedAt: hosts.contains { $0.place == node }) { await self.saw(node, $0) }
        }
    }
}
