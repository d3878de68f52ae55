import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Spock

/// Spock is installed for the new node, in the version of the mesh.
struct SpockIsInstalled: Requirement {
    let name = "Spock"
    private let ground: TargetGround
    private let survey: MeshSurvey

    init(_ ground: TargetGround, survey: MeshSurvey) { (self.ground, self.survey) = (ground, survey) }
    var place: String? { survey.mesh.newNode }

    func look(_ memory: Memory) async throws -> [Finding] {
        let mesh = survey.mesh, deadline = Deadline.after(.seconds(60))
        let instance = try await ground.instance()
        guard let share = try await mesh.access.server(mesh.source).build(["SHAREDIR"], deadline: deadline)["SHAREDIR"] else { return [] }
        let original = try await mesh.access.instance(mesh.source)
        let wanted = try await mesh.spock(mesh.source).extensionVersion(deadline: deadline), there = original.relocated(share, to: instance)
        let words = wanted.map(\.description)
        guard let installed = try await instance.installedVersion(of: "spock", in: there, deadline: deadline) else {
            return [
                Finding(name, on: mesh.newNode, "not installed (\(there)/extension/spock.control)", .notMet(hint: "install Spock \(words ?? "") on \(mesh.newNode)"))
            ]
        }
        guard SpockVersion(installed) == wanted else {
            return [
                Finding(
                    name, on: mesh.newNode, "version \(installed) is installed, the cluster has \(words ?? "none")",
                    .notMet(hint: "install Spock \(words ?? "") on \(mesh.newNode)"))
            ]
        }
        return [Finding(name, on: mesh.newNode, "\(installed) is installed")]
    }
}

/// The new node's host reaches a member with the DSN that it will subscribe by.
struct NewNodeReachesMember: Requirement {
    let name = "route"
    private let member: String
    private let ground: TargetGround
    private let survey: MeshSurvey

    init(member: String, _ ground: TargetGround, survey: MeshSurvey) { (self.member, self.ground, self.survey) = (member, ground, survey) }
    var place: String? { survey.mesh.newNode }

    func look(_ memory: Memory) async throws -> [Finding] {
        let mesh = survey.mesh, entry = try mesh.access.roster.entry(mesh.newNode)
        let instance = try await ground.instance(), dsn = try mesh.dsn(of: member, among: await survey.states[mesh.source]?.nodes ?? [])
        let answer = try await instance.psql(dsn, "SELECT 1", deadline: .after(.seconds(30)))
        return [
            answer.succeeded
                ? Finding(name, on: mesh.newNode, "reaches \(member) with the mesh's DSN")
                : Finding(
                    name, on: mesh.newNode, "cannot connect to \(member): \(answer.errorText)",
                    .notMet(hint: "allow \(entry.address) in pg_hba.conf of \(member), and give \(entry.osUser) on \(mesh.newNode) the password in ~/.pgpass"))
        ]
    }
}

/// A member reaches the new node's host, where nothing listens yet, or a standby that need not let it in.
struct MemberReachesNewNode: Requirement {
    let name = "route"
    let member: String
    let survey: MeshSurvey
    var place: String? { member }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.beganCopy else { return [] }
        let mesh = survey.mesh, entry = try mesh.access.roster.entry(mesh.newNode), target = try mesh.newNodeDSN
        try await survey.requireHost(member)
        try await survey.requireHost(mesh.newNode)
        try await survey.requireSource()
        let instance = try await mesh.access.instance(member), reply = try await instance.psql(target, "SELECT 1", deadline: .after(.seconds(30)))
        guard reply.succeeded || ["onnection refused", "FATAL:"].contains(where: reply.errorText.contains) else {
            return [
                Finding(
                    name, on: member, "cannot reach \(mesh.newNode): \(reply.errorText)",
                    .notMet(hint: "open port \(entry.port) of \(entry.address) for \(member)"))
            ]
        }
        return [Finding(name, on: member, "reaches the host of \(mesh.newNode)")]
    }
}
