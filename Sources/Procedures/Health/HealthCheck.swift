public import Playbook
public import ProcedureKit
import Report
public import Run
import Spock

/// What must be so once a node has joined (`check --post`): requirements, and no step.
public struct HealthCheck: Procedure {
    private let mesh: SpockMesh
    private let access: ClusterAccess
    private let lock: ClusterLock
    private let text: RunOrigin
    public let cluster: String

    /// - Throws: `Problem` for a playbook of no Spock cluster, and for what no playbook can say.
    public init(_ playbook: Playbook, at path: String, _ ways: Ways) throws {
        (mesh, cluster) = try SpockMesh.named(by: playbook, ways)
        (access, text) = (mesh.access, RunOrigin(path: path, content: playbook.text))
        lock = ClusterLock(cluster, on: mesh.source, of: access, saying: "works on cluster \(cluster)")
    }

    public var name: String { "check --post" }
    public func origin() -> RunOrigin { text }
    public var steps: [ListedStep] { [] }

    public var requirements: [RequirementGroup] {
        let survey = Survey(), members = MeshSurvey(mesh, survey)
        let hosts = HostIsReached.each(of: mesh.nodes, of: access, survey: survey)
        let nodes = members.members(mesh.nodes, on: hosts)
        return [
            RequirementGroup("hosts", hosts + nodes),
            RequirementGroup(
                "mesh",
                [
                    ClocksAgree(survey: survey, because: "the newest of two updates wins in Spock"), NodesKnowEachOther(survey: members), SubscriptionsReplicate(survey: members),
                    SubscribersKeepUp(survey: members), NothingIsLeftOver(survey: members), NothingWasDiscarded(survey: members),
                ]),
            RequirementGroup("rows", [RowsCross(survey: members, lock: lock)]),
        ]
    }

    public func takeLock(holder: Holder) async throws { try await lock.take(holder: holder) }

    public func close() async {
        await lock.release()
        await access.close()
    }
}

extension SpockMesh {
    /// The cluster that a playbook is of, with the node that it adds, and what the cluster is called.
    /// - Throws: `Problem` where it is of no Spock cluster.
    static func named(by playbook: Playbook, _ ways: Ways) throws -> (mesh: SpockMesh, cluster: String) {
        let (roster, cluster) = try Catalog.roster(of: playbook), access = ClusterAccess(roster, ways, sessionSettings: SpockSession.settings)
        switch playbook.procedure {
        case .addSpockNode(let add): return (SpockMesh(add, access), cluster)
        case .addSpockNodeLogical(let add): return (SpockMesh(add, access), cluster)
        default: throw Problem("\(playbook.name) adds no node to a Spock cluster", hint: "name the playbook that has added one")
        }
    }
}
