import Instance
import PostgresConfig
import Report

/// What stands in the way of a rule, and what the operator should know of it, by what there is of the things that it names.
struct RuleDoubts: Sendable, Hashable {
    var problems: [Problem] = []
    var remarks: [String] = []
}

extension RuleDoubts {
    /// - Parameter node: where the rule is to stand.
    init(about rule: HBARule, by reach: RuleReach, on node: String) {
        for user in rule.users {
            switch user {
            case .named(let name): look(for: name, "role", in: reach.roles, node)
            case .memberOf(let role):
                look(for: role, "role", in: reach.roles, node)
                if reach.roles?.contains("+\(role)") == true { remarks.append("there is a role +\(role), too: the rule is not for it, but for the members of \(role)") }
                if let members = reach.members[role], reach.roles?.contains(role) == true { remarks.append("to \(role) belong today: \(shown(members))") }
            case .regex(let pattern): if let fitting = reach.fitting[pattern] { remarks.append("/\(pattern) fits today: \(shown(fitting))") }
            case .all, .file: break
            }
        }
        for database in rule.databases {
            switch database {
            case .named(let name): look(for: name, "database", in: reach.databases, node)
            case .regex(let pattern):
                // What fits as a role is told there.
                guard !rule.users.contains(.regex(pattern)), let fitting = reach.fitting[pattern] else { break }
                remarks.append("/\(pattern) fits today: \(shown(fitting))")
            case .all, .replication, .sameUser, .sameRole, .file: break
            }
        }
        guard case .hostName(let name) = rule.address else { return }
        switch reach.host {
        case .isFound, nil: break
        case .hasNoAddress:
            problems.append(
                Problem("\(node): its host finds no address of \(name): the rule would match nobody", hint: "have it found there (DNS, /etc/hosts), or give the address"))
        case .isCalled(let names):
            let called = names.isEmpty ? "have no name" : "are called \(list(names))"
            problems.append(
                Problem(
                    "\(node): to its host the addresses of \(name) \(called), and the server goes by the name of a client's address: the rule would match nobody",
                    hint: names.isEmpty ? "give the address" : "give \(alternatives(names)), or the address"))
        }
    }

    private mutating func look(for name: String, _ kind: String, in known: [String]?, _ node: String) {
        guard known?.contains(name) != true else { return }
        if name.contains(",") {
            let why = known == nil ? "nobody can ask for" : "is not there"
            problems.append(Problem("\(node): \(name) would be the name of one \(kind), which \(why)", hint: "a rule for each \(kind)"))
        } else if let known {
            let meant = Spelling.nearest(to: name, among: known + ["all"]).map { "; did you mean \($0)?" } ?? ""
            remarks.append("there is no \(kind) \(name) on \(node): until there is, the rule matches nobody\(meant)")
        } else {
            remarks.append("nobody could ask whether there is a \(kind) \(name) on \(node)")
        }
    }

    private func shown(_ names: [String]) -> String {
        names.isEmpty ? "nobody" : names.count > 8 ? names.prefix(8).joined(separator: ", ") + " and \(names.count - 8) more" : list(names)
    }
}
