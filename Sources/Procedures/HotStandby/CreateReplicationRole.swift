import EventLoop
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Create the internal database user that manages replication, and give the standby its password.
struct CreateReplicationRole: Step {
    static let name = "replication-role"
    private static let role = "role", line = "password line", file = "password file"

    let pair: StandbyPair
    private var maker: String { pair.roleMaker ?? pair.primary }
    var title: String { "Create internal database user \(pair.role) on \(maker)" }

    /// Where a password comes from that the standby does not have yet.
    private enum Origin {
        case standby, another, operatorsFile, prompt, random

        func words(_ pair: StandbyPair) -> String {
            switch self {
            case .standby: "that \(pair.standby.name) has in its password file"
            case .another: "that another standby has in its password file"
            case .operatorsFile: "that your password file has for \(pair.primary)"
            case .prompt: "that you are asked for"
            case .random: "that is made at random, and is nowhere else"
            }
        }
    }

    private struct Ground {
        var role: ReplicationRole?
        /// `nil` where nobody asks for a password.
        var passfile: StandbyPair.FoundPassfile?
        var origin: Origin
        var known: Secret?
    }

    private func look() async throws -> Ground {
        async let found = pair.replicationRole(deadline: .after(.seconds(20)))
        if pair.isTrusted { return Ground(role: try await found, passfile: nil, origin: .standby, known: nil) }
        let passfile = try await pair.passfile(), line = try pair.passfileLine(), role = try await found
        if let password = line.password(in: passfile.text ?? "") { return Ground(role: role, passfile: passfile, origin: .standby, known: password) }
        if let password = try await pair.knownElsewhere() { return Ground(role: role, passfile: passfile, origin: .another, known: password) }
        let primary = try pair.access.roster.entry(pair.primary)
        if let password = PasswordFile.password(host: primary.address, port: primary.port, database: "replication", user: pair.role) {
            return Ground(role: role, passfile: passfile, origin: .operatorsFile, known: password)
        }
        return Ground(role: role, passfile: passfile, origin: role != nil || pair.asksPassword ? .prompt : .random, known: nil)
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let ground = try await look(), name = pair.role, primary = pair.primary, standby = pair.standby.name
        if let file = ground.passfile, file.isOpen {
            return .blocked([Problem("\(standby): others may read \(file.path), and it is not used therefore", hint: "chmod 0600 \(file.path)")])
        }
        if let role = ground.role {
            let problems = Self.problems(of: role, called: name, on: primary)
            guard problems.isEmpty else { return .blocked(problems) }
        }
        var changes: [Change] = []
        if ground.role == nil {
            let password = pair.isTrusted ? "without a password" : "with the verifier of the password \(ground.origin.words(pair))"
            changes.append(Change("\(maker): CREATE ROLE \(name) LOGIN REPLICATION CONNECTION LIMIT \(pair.connectionLimit), \(password)"))
        }
        if ground.origin != .standby, let file = ground.passfile {
            changes.append(Change("\(standby): \(file.path) gets a line for \(try pair.passfileLine().key) (0600), with the password \(ground.origin.words(pair))"))
        }
        guard changes.isEmpty else { return .needed(changes) }
        let limit = ground.role.map { $0.connectionLimit < 0 ? "no connection limit" : "connection limit \($0.connectionLimit)" } ?? ""
        return .done("\(name) has REPLICATION, \(limit)\(pair.isTrusted ? "" : ", and \(standby) its password")")
    }

    /// Why a role that is there cannot be streamed as.
    static func problems(of role: ReplicationRole, called name: String, on primary: String) -> [Problem] {
        var problems: [Problem] = []
        func refuse(_ fact: String, _ hint: String) { problems.append(Problem("\(primary): the role \(name) \(fact)", hint: hint)) }
        if !role.mayReplicate { refuse("has no REPLICATION", "ALTER ROLE \(name) REPLICATION, or name another one (replication.user)") }
        if !role.mayLogIn { refuse("may not log in", "ALTER ROLE \(name) LOGIN, or name another one (replication.user)") }
        if role.connectionLimit >= 0, role.connectionLimit < role.connections + 2 {
            refuse(
                "may have \(role.connectionLimit) connections, and has \(role.connections): a copy takes two more",
                "ALTER ROLE \(name) CONNECTION LIMIT \(role.connections + 5)")
        }
        return problems
    }

    func perform(_ run: StepRun) async throws -> String {
        let ground = try await look(), line = try pair.passfileLine()
        let password: Secret? = if pair.isTrusted { nil } else if let known = ground.known { known } else { try newPassword(ground.origin) }
        if ground.origin != .standby, let file = ground.passfile, let password {
            // Before the role: what was made at random is nowhere else.
            let standby = pair.standby.name, host = try await pair.access.host(standby), user = try pair.access.roster.entry(standby).osUser
            if file.text == nil { try run.creating(Created(Self.file, on: standby, file.path.path)) }
            try run.creating(Created(Self.line, on: standby, line.key))
            let text = line.added(to: file.text ?? "", password: password)
            let isWritten = try await host.write(
                Array(text.utf8), to: file.path, replacing: file.text.map { Array($0.utf8) }, as: user, mode: file.text == nil ? 0o600 : nil, deadline: .after(.seconds(20)))
            guard isWritten else { throw Problem("\(standby): \(file.path) was changed meanwhile", hint: "resume the run") }
        }
        guard ground.role == nil else { return "\(pair.role) is there; \(pair.standby.name) has its password" }
        try run.creating(Created(Self.role, on: maker, pair.role))
        try await pair.access.server(maker).createReplicationRole(pair.role, connectionLimit: pair.connectionLimit, password: password, deadline: .after(.seconds(20)))
        return "created, connection limit \(pair.connectionLimit)\(pair.isTrusted ? "" : "; its password is in the password file of \(pair.standby.name)")"
    }

    private func newPassword(_ origin: Origin) throws -> Secret {
        guard origin == .prompt else { return Self.random() }
        guard let given = pair.access.ask("Password of \(pair.role), which \(pair.standby.name) streams as"), !given.isEmpty else {
            throw Problem(
                "nobody is here to be asked for the password of \(pair.role)",
                hint: "put the line \(try pair.passfileLine().key):PASSWORD into the password file of \(pair.standby.name) (0600), or into yours")
        }
        return Secret(given)
    }

    /// 190 bits.
    static func random() -> Secret {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
        return Secret(String((0..<32).map { _ in letters[Int.random(in: letters.indices)] }))
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let created = try run.created, line = try pair.passfileLine(), madeFile = created.contains { $0.kind == Self.file }
        return await takeBack(created) { [pair] thing in
            switch thing.kind {
            case Self.role:
                let server = try await pair.access.server(thing.place), deadline = Deadline.after(.seconds(20))
                guard let role = try await pair.replicationRole(deadline: deadline) else { return .absent }
                guard role.connections == 0 else {
                    return .left(
                        Problem("\(thing) is in use by \(role.connections) connections: left alone", hint: "stop those standbys, or keep the role; then undo again"))
                }
                try await server.dropRole(thing.name, deadline: deadline)
                return .gone("\(thing) is dropped")
            case Self.line:
                let host = try await pair.access.host(thing.place), user = try pair.access.roster.entry(thing.place).osUser, deadline = Deadline.after(.seconds(20))
                let passfile = try await pair.passfile()
                guard let text = passfile.text, thing.name == line.key, case let rest = line.removed(from: text), rest != text else { return .absent }
                if rest.isEmpty, madeFile {
                    try await host.remove(passfile.path, as: user, deadline: deadline)
                } else {
                    guard try await host.write(Array(rest.utf8), to: passfile.path, replacing: Array(text.utf8), as: user, deadline: deadline) else {
                        return .left(Problem("\(thing.place): \(passfile.path) was changed meanwhile", hint: "undo again"))
                    }
                }
                return .gone("\(thing.place): the password of \(pair.role) is out of \(passfile.path)")
            default: return .absent
            }
        }
    }
}
