import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Spock

/// A node that the new one will ask for a password has one, and it is right: the roles and passwords of the source come along.
struct NodeHasPassword: Requirement {
    let name = "password"
    let node: String
    let access: NodeAccess
    let ground: TargetGround
    let survey: MeshSurvey
    var place: String? { node }

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.beganCopy else { return [] }
        try await survey.requireAllHosts()
        let copy = try await ground.instance(), mesh = survey.mesh
        guard let admission = try await access.admissions()[node], admission.needsPassword, let method = admission.method else { return [] }
        let instance = node == mesh.newNode ? copy : try await mesh.access.instance(node), target = try mesh.newNodeDSN
        let nodes = await survey.states[mesh.source]?.nodes ?? []
        var there = try mesh.dsn(of: mesh.source, among: nodes)
        (there["user"], there["dbname"]) = (admission.caller.user, mesh.database)
        let line = PasswordLine(for: target, to: mesh.newNode), asks = "\(mesh.newNode) will ask it for a password (\(method))"
        switch try await instance.tryPassword(of: target, at: there, deadline: .after(.seconds(30))) {
        case .tried(let answer) where answer.succeeded: return [Finding(name, on: node, "\(mesh.source) takes the one that it has for \(mesh.newNode)")]
        case .tried(let answer):
            return [
                Finding(
                    name, on: node, "\(asks), and \(mesh.source) does not take the one that \(instance.user) has for \(mesh.newNode): \(answer.errorText)",
                    .notMet(hint: line.hint(in: "the password file of \(instance.user) on \(node)", correcting: true)))
            ]
        case .open(let file):
            return [Finding(name, on: node, "\(asks), and libpq does not read \(file), which others may read", .notMet(hint: "chmod 0600 \(file)"))]
        case .noLine(let file):
            let carrying = nodes.filter { $0.dsn?.password != nil }.map(\.name.rawValue).filter(mesh.members.contains)
            return [
                Finding(
                    name, on: node,
                    "\(asks), and \(file) has none for it"
                        + (carrying.isEmpty
                            ? "" : "; the DSNs of \(list(carrying)) in spock.node_interface hold one, that of \(mesh.newNode) does not: no password stands in a playbook"),
                    .notMet(hint: line.hint(in: "\(file) of \(instance.user) on \(node)")))
            ]
        }
    }
}

/// pggraft itself can log in to the new node, which is a copy of the source, from the new node's host.
struct OperatorHasPassword: Requirement {
    let name = "password"
    let access: NodeAccess
    let ground: TargetGround
    let survey: MeshSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        guard !memory.beganCopy else { return [] }
        try await survey.requireAllHosts()
        _ = try await ground.instance()
        let mesh = access.mesh, entry = try mesh.access.roster.entry(mesh.newNode)
        // Tried meanwhile: it is asked for a password where the rule that is looked for says so.
        async let trial: Void = mesh.access.tryLogin(to: mesh.source, asIfTo: mesh.newNode, deadline: .after(.seconds(30)))
        let admissions = try await access.admissions()
        guard let admission = admissions[NodeAccess.itself], admission.needsPassword else { return [] }
        do {
            try await trial
        } catch let error as PostgresError where !admissions.comesBySocket {
            // The port of the line is that of the forwarded connection: any.
            let line = PasswordLine(for: Conninfo(["host": entry.address, "port": "*", "dbname": mesh.database, "user": admission.caller.user]), to: mesh.newNode)
            return [
                Finding(
                    name, "pggraft could not log in to \(mesh.newNode), which will ask as \(mesh.source) does: \(Problem(explaining: error).fact)",
                    .notMet(hint: line.hint(in: "your own ~/.pgpass")))
            ]
        } catch is PostgresError {
            // By the socket it needs none.
        }
        return []
    }
}

/// The line of a password file that a connection needs.
struct PasswordLine: Sendable {
    let text: String
    private let node: String

    init(for conninfo: Conninfo, to node: String) {
        self.node = node
        func field(_ text: String?) -> String { (text ?? "").replacing("\\", with: "\\\\").replacing(":", with: "\\:") }
        text = [conninfo["host"] ?? conninfo["hostaddr"], conninfo["port"] ?? "5432", conninfo["dbname"], conninfo["user"]].map(field).joined(separator: ":") + ":PASSWORD"
    }

    func hint(in file: String, correcting: Bool = false) -> String {
        correcting ? "correct the line for \(node) in \(file): \(text)" : "put this line into \(file), mode 0600: \(text)"
    }
}
