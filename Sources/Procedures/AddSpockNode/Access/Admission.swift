import Instance
import PostgresConfig
import Report

/// How the new node will let a caller in: by the rule by which the source lets it in today.
struct Admission: Sendable {
    var caller: Caller
    /// One for each of its places; none where there is a problem.
    var rules: [HBARule] = []
    /// The source's rule that decides, as its file has it.
    var decidedBy: String?
    var problem: Problem?
    /// By which the source was asked about it.
    private var address: IPAddress?

    var method: String? { rules.first?.method }

    /// Whether the caller has to show a password.
    var needsPassword: Bool { method.map(Self.passwordMethods.contains) ?? false }

    private static let passwordMethods = ["scram-sha-256", "md5", "password"]

    /// What of the new node decides over which rules it can keep.
    struct Ground: Sendable, Hashable {
        var source: String
        var newNode: String
        /// Whether the source speaks TLS now.
        var sourceHasTLS: Bool
        /// What the new node's server will have of it.
        var tls: CopiedTLS
        /// What of its certificates is not there, as a sentence; `nil` where nothing is missing.
        var missingFile: String?
        /// Whether the source's user maps will be there.
        var hasMaps: Bool
        /// Whether the operator has said that anyone may come in over the network.
        var acceptsTrust: Bool
    }

    /// - Parameter decisions: what the source's files say of the caller's ``Caller/attempts``, those of others beside them.
    init(of caller: Caller, from address: IPAddress, on ground: Ground, deciding decisions: [HBAConnection: HBAExplanation.Decision]) {
        (self.caller, self.address) = (caller, address)
        let decisions = [true, false].reduce(into: [Bool: HBAExplanation.Decision]()) { $0[$1] = decisions[caller.attempt(from: address, usesTLS: $1)] }
        let attempts = Caller.attempts(sslmode: caller.sslmode, serverHasTLS: ground.sourceHasTLS)
        let possible = ground.tls.isOn ? attempts : attempts.filter { !$0 }
        problem = judge(possible.isEmpty ? attempts : possible, decisions, on: ground)
        // Refused without TLS, which is all that the new node has: what the source demands instead says more.
        if problem != nil, possible != attempts { problem = judge(attempts, decisions, on: ground) ?? problem }
        if problem != nil { rules = [] }
    }

    /// One of whom nobody knows where it comes from.
    init(ofUnknown caller: Caller) {
        self.caller = caller
        problem = Problem(
            "from which address \(caller.name) comes is not known", hint: "give its IP address in the playbook, or a name that its own host and others resolve")
    }

    private mutating func judge(_ attempts: [Bool], _ decisions: [Bool: HBAExplanation.Decision], on ground: Ground) -> Problem? {
        let who = caller.name, source = ground.source
        guard !attempts.isEmpty else {
            return Problem("\(who) wants TLS (sslmode=\(caller.sslmode ?? "")), and ssl is off on \(source)", hint: "turn ssl on there, or correct new_node.dsn")
        }
        var refusal: Problem?
        for usesTLS in attempts {
            switch decisions[usesTLS] {
            case .rule(let entry, let rule)? where rule.method == "reject":
                refusal =
                    refusal
                    ?? Problem(
                        "\(source) refuses \(who) (\(from)): \(shown(entry))", hint: "put this line above it, and reload: \(suggestion)")
            // libpq tries without TLS when it has nothing to show.
            case .rule(_, let rule)? where rule.method == "cert" && !caller.hasCertificate && attempts.contains(false) && usesTLS: continue
            case .rule(let entry, let rule)?:
                decidedBy = shown(entry)
                var type = rule.type
                // The other way the source would decide otherwise.
                if type == .host, ground.sourceHasTLS, decisions[true] != decisions[false] { type = usesTLS ? .hostssl : .hostnossl }
                rules = caller.places.map {
                    HBARule(type, databases: [.named(caller.database)], users: [.named(caller.user)], from: $0, method: rule.method, options: rule.options)
                }
                return obstacle(to: rule, type, on: ground)
            case .noLine?:
                refusal =
                    refusal
                    ?? Problem(
                        "no line of pg_hba.conf of \(source) lets \(who) in (\(from))", hint: "add this line there, and reload: \(suggestion)")
            case .filesRefused(let entries)?:
                return Problem(
                    "\(source) itself would not start with its pg_hba.conf, and \(ground.newNode) gets it: " + entries.map(shown).joined(separator: "; "),
                    hint: "correct it there, and reload")
            case .undecided(let questions)?:
                return Problem(
                    "which line of pg_hba.conf of \(source) decides over \(who) is not known: " + questions.map(\.description).joined(separator: " "),
                    hint: "put this line above the others, and reload: \(suggestion)")
            case nil: continue
            }
        }
        return refusal
            ?? Problem("\(source) asks \(who) for a certificate, and it has none", hint: "give its OS user one, or put this line above: \(suggestion)")
    }

    /// Why the new node could not keep the rule.
    private func obstacle(to rule: HBARule, _ type: HBARule.ConnectionType, on ground: Ground) -> Problem? {
        let who = caller.name, new = ground.newNode, lets = "\(ground.source) lets \(who) in by \(decidedBy ?? "")"
        let instead = "or put a line above it that asks for a password: \(suggestion)"
        let wantsTLS = !Caller.attempts(sslmode: caller.sslmode, serverHasTLS: true).contains(false)
        if type == .hostgssenc { return Problem("\(lets): whether \(new) can encrypt by GSSAPI is not known before it runs", hint: "put this line above it: \(suggestion)") }
        if type == .hostssl || wantsTLS {
            let why = type == .hostssl ? lets : "\(who) wants TLS (sslmode=\(caller.sslmode ?? ""))"
            if !ground.tls.isOn {
                return Problem("\(why), and ssl will be off on \(new)", hint: "say ssl = on with a certificate in a configuration file that \(new) has, \(instead)")
            }
            if let missing = ground.missingFile { return Problem("\(why), and \(missing)", hint: "put it there, \(instead)") }
        }
        if rule.method == "cert" || rule.options.contains(where: { $0.name == "clientcert" }), ground.tls.authorityFile.isEmpty {
            return Problem("\(lets), and \(new) will have no ssl_ca_file to know certificates by", hint: "give it one, \(instead)")
        }
        if let map = rule.options.first(where: { $0.name == "map" }), !ground.hasMaps {
            return Problem("\(lets), and \(new) has no user map \(map.value) until it has joined", hint: "put it into pg_ident.conf of \(new), \(instead)")
        }
        switch rule.method {
        case "trust":
            guard !ground.acceptsTrust, rules.contains(where: { $0.risks.contains(.trustOverNetwork) }) else { return nil }
            return Problem(
                "\(lets): on \(new), too, anyone from there could be \(caller.user) without a password",
                hint: "put this line above it, and reload: \(suggestion); or say trust_over_network: true of new_node, if that is meant")
        case "cert": return nil
        case let method where Self.passwordMethods.contains(method): return nil
        default:
            return Problem(
                "\(lets): whether \(new) can ask by \(rule.method) is not known before it runs", hint: "put this line above it, and reload: \(suggestion)")
        }
    }

    private func shown(_ entry: HBARules.Entry) -> String { Redaction.redacted("\(entry)") }

    private var from: String { address.map { "\(caller.user) from \($0)" } ?? caller.user }

    /// A line that would let the caller in everywhere.
    private var suggestion: String {
        let place = address.map { HBARule.Address.network(IPNetwork($0)) } ?? caller.places.first ?? .all
        let rule = HBARule(.host, databases: [.named(caller.database)], users: [.named(caller.user)], from: place, method: "scram-sha-256")
        return "\(rule)".split(separator: " ").joined(separator: " ")
    }
}
