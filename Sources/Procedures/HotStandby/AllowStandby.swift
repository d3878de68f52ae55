import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Allow the secondary host to connect.
struct AllowStandby: Step {
    static let name = "allow-standby"

    let pair: StandbyPair
    let node: ConfiguredNode
    private let found = SharedLook<IPAddress>()

    init(_ pair: StandbyPair, on node: ConfiguredNode) { (self.pair, self.node) = (pair, node) }

    var title: String { "Allow secondary host \(pair.standby.name) to connect to \(pair.sender)" }

    private struct Ground {
        var address: IPAddress
        /// What lets the standby in today.
        var decided: (entry: HBARules.Entry, rule: HBARule)?
        /// What would.
        var rule: HBARule
        /// The server may not have read yet what its files say.
        var isUnread: Bool
    }

    private func look() async throws -> Ground {
        let pair = pair, deadline = Deadline.after(.seconds(60)), sender = pair.sender
        let instance = try await pair.access.instance(sender), server = try await pair.access.server(sender), connection = server.connection
        async let role = pair.replicationRole(deadline: deadline)
        let configuration = try await instance.configuration(through: connection, deadline: deadline)
        let rules = try await instance.accessRules(configuration, through: connection, deadline: deadline), hasTLS = rules.server.sslIsOn
        let address = try await found.value { try await pair.address() }
        var decided: (HBARules.Entry, HBARule)?
        // As libpq tries them.
        for usesTLS in [true, false] where hasTLS || !usesTLS {
            let client = HBAConnection(user: pair.role, database: "replication", from: .address(address), usesSSL: usesTLS, isPhysicalReplication: true)
            if case .rule(let entry, let rule) = try await instance.explain(client, by: rules, through: connection, deadline: deadline).decision, rule.method != "reject" {
                decided = (entry, rule)
                break
            }
        }
        let password = try await role?.password, knowsSCRAM = server.features.hasSCRAM && password != .md5
        let method = pair.isTrusted ? "trust" : knowsSCRAM ? "scram-sha-256" : "md5"
        let rule = HBARule(hasTLS ? .hostssl : .host, databases: [.replication], users: [.named(pair.role)], from: .network(IPNetwork(address)), method: method)
        return Ground(address: address, decided: decided, rule: rule, isUnread: rules.isNewerThanServer)
    }

    private func writer(_ rule: HBARule) -> WriteConfiguration {
        WriteConfiguration(node: node, request: ConfigurationRequest(.allow(rule: "\(rule)", accepting: pair.isTrusted ? [HBARisk.trustOverNetwork.flag] : [])))
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let ground = try await look()
        if let (entry, _) = ground.decided {
            let line = Redaction.redacted("\(entry)").onOneLine
            guard ground.isUnread else { return .done("\(pair.sender) lets \(ground.address) in: \(line)") }
            return .needed([Change("\(pair.sender): reload the server: it may not have read \(line)")])
        }
        let inspection = try await writer(ground.rule).inspect(memory)
        // It will be there by then.
        guard case .needed(let changes) = inspection else { return inspection }
        return .needed(changes.filter { !$0.text.hasPrefix("there is no role \(pair.role) ") })
    }

    func perform(_ run: StepRun) async throws -> String {
        let ground = try await look(), line: String, said: String
        if let (entry, _) = ground.decided {
            let instance = try await pair.access.instance(pair.sender), server = try await pair.access.server(pair.sender)
            _ = try await instance.reload(through: server.connection, deadline: .after(.seconds(60)))
            (line, said) = (Redaction.redacted("\(entry)").onOneLine, "reloaded")
        } else {
            said = try await writer(ground.rule).perform(run)
            line = "\(ground.rule)".onOneLine
        }
        // That is told before anything is copied; what the next steps see to is not looked at yet.
        if let refusal = try await pair.refusal(), refusal.reason != .other { throw refusal.problem }
        return "\(line); \(said)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try !run.created.isEmpty else { return .undone([]) }
        return try await WriteConfiguration(node: node, request: ConfigurationRequest(.allow(rule: "", accepting: []))).undo(run)
    }
}
