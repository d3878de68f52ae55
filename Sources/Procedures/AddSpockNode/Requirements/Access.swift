import PostgresConfig
import ProcedureKit
import Report
import Run

/// Every node, and pggraft itself, will be let in by the new node as the source lets it in, and its server takes these rules.
struct CallersAreLetIn: Requirement {
    let name = "access"
    private let access: NodeAccess
    private let ground: TargetGround
    private let survey: MeshSurvey

    init(_ access: NodeAccess, _ ground: TargetGround, survey: MeshSurvey) { (self.access, self.ground, self.survey) = (access, ground, survey) }
    var place: String? { access.mesh.newNode }

    func look(_ memory: Memory) async throws -> [Finding] {
        // Its files are written.
        guard !memory.beganCopy else { return [] }
        try await survey.requireAllHosts()
        _ = try await ground.instance()
        let admissions = try await access.admissions(), newNode = access.mesh.newNode, source = access.mesh.source
        var findings = admissions.problems.map { Finding(name, on: newNode, $0.fact, .notMet(hint: $0.hint)) }
        if let missing = admissions.missingFile {
            findings.append(
                Finding("TLS", on: newNode, "ssl will be on, as \(source) says it, and \(missing)", .notMet(hint: "put it there: without it the server does not start")))
        }
        for refusal in admissions.refusals {
            findings.append(
                Finding(
                    name, on: newNode, "its server would not take over pg_hba.conf of \(source): \(refusal)",
                    .notMet(hint: "put on \(newNode) what the line needs, or change the line on \(source)")))
        }
        guard findings.isEmpty else { return findings }
        var ways: [(way: String, callers: [String])] = []
        for admission in admissions.all {
            guard let rule = admission.rules.first else { continue }
            let way = "\(rule.type.rawValue) \(rule.method)" + rule.options.map { " \($0.name)=\($0.value)" }.joined()
            if let index = ways.firstIndex(where: { $0.way == way }) {
                ways[index].callers.append(admission.caller.name)
            } else {
                ways.append((way, [admission.caller.name]))
            }
        }
        let bySocket =
            admissions.comesBySocket && admissions[NodeAccess.itself]?.problem != nil
            ? [Finding(name, on: newNode, "lets \(NodeAccess.itself) in by its socket, as \(source) does")] : []
        return bySocket
            + ways.map { way, callers in
                Finding(
                    name, on: newNode, "lets \(list(callers)) in as \(source) does: \(way)",
                    way.hasSuffix(" trust") ? .note(hint: "nobody is asked who they are: the playbook says so") : .met)
            }
    }
}
