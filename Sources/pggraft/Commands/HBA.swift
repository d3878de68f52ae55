import ArgumentParser
import EventLoop
import Instance
import PostgresConfig
import Procedures
import Report

struct HBA: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hba", abstract: "Who may connect to one node: which line of pg_hba.conf decides; put a line where it takes effect.",
        subcommands: [HBAExplain.self, HBAAllow.self, HBARemove.self])
}

/// The connection that is asked about.
struct ClientOptions: ParsableArguments {
    @Option(help: "The role that connects.")
    var user: String

    @Option(help: "The database it connects to; not needed with --replication.")
    var database: String?

    @Option(help: "Where it comes from.")
    var from: String

    @Flag(help: "Physical replication: a standby, pg_basebackup.")
    var replication = false

    @Flag(help: "Over SSL.")
    var ssl = false

    func validate() throws {
        guard replication || database != nil else { throw ValidationError("--database or --replication is needed") }
    }
}

struct HBAExplain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Which line decides over a connection, and why the earlier ones do not match. Changes nothing.",
        discussion: "--from takes an IP address, or `local` for the Unix-domain socket.")

    @OptionGroup var options: NodeOptions
    @OptionGroup var client: ClientOptions

    @Flag(help: "Show every earlier line, however many.")
    var all = false

    func run() async throws {
        let origin: HBAConnection.Origin
        if client.from == "local" {
            origin = .socket
        } else if let address = IPAddress(client.from) {
            origin = .address(address)
        } else {
            throw ValidationError("--from takes an IP address, or local; not \(client.from)")
        }
        let wanted = HBAConnection(
            user: client.user, database: client.database ?? "", from: origin, usesSSL: client.ssl, isPhysicalReplication: client.replication)
        try await options.look { node, terminal in
            let deadline = Deadline.after(.seconds(60))
            let instance = try await node.instance(deadline: deadline)
            let connection = try await node.connection(deadline: deadline)
            let configuration = try await instance.configuration(through: connection, deadline: deadline)
            let access = try await instance.accessRules(configuration, through: connection, deadline: deadline)
            let explanation = try await instance.explain(wanted, by: access, through: connection, deadline: deadline)
            if let why = await node.whyUnasked {
                terminal.print(terminal.styled("Nobody asked the server (\(why)): this is what its files say.", .warn))
            } else if access.isNewerThanServer {
                terminal.print(terminal.styled("The file was changed after the server has read it: until a reload it may decide otherwise.", .warn))
            }
            if client.ssl, !access.server.sslIsOn { terminal.print(terminal.styled("ssl is off: the server takes no such connection.", .warn)) }
            show(explanation, on: terminal)
        }
    }

    private static let nearest = 40

    private func shown(_ entry: HBARules.Entry) -> String { Redaction.redacted("\(entry)") }

    private func show(_ explanation: HBAExplanation, on terminal: Terminal) {
        let left = all ? 0 : max(0, explanation.steps.count - Self.nearest)
        if left > 0 { terminal.print(terminal.styled("\(left) earlier lines do not match either; --all shows them", .dim)) }
        for step in explanation.steps.dropFirst(left) {
            switch step.verdict {
            case .doesNotMatch(let mismatch):
                terminal.print(terminal.styled("  \(shown(step.entry))", .dim))
                terminal.print(terminal.styled("      no: \(mismatch)", .dim))
            case .open(let questions):
                terminal.print(terminal.styled("? \(shown(step.entry))", .warn))
                for question in questions { terminal.print(terminal.styled("      \(question)", .warn)) }
            case .decides:
                terminal.print(terminal.styled("→ \(shown(step.entry))", .bold))
            }
        }
        switch explanation.decision {
        case .rule(let entry, let rule):
            let text = "\(entry.location) decides: \(rule.method)"
            terminal.print(rule.method == "reject" ? terminal.styled(text + ": the connection is refused", .bad) : terminal.styled(text, .good))
        case .noLine: terminal.print(terminal.styled("no line matches: the connection is refused", .bad))
        case .filesRefused, .undecided: terminal.print(terminal.styled("\(explanation.decision)", .bad))
        }
        if case .filesRefused(let entries) = explanation.decision {
            for entry in entries { terminal.print(terminal.styled("  \(shown(entry))", .bad)) }
        }
    }
}

struct HBAAllow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Put a line into pg_hba.conf where it takes effect, marked with the run's name; reload, read back.",
        discussion: """
            What already holds changes nothing. --user takes a role, all, or +role for its members; --database a database, all, sameuser, samerole; \
            --from an address, a network (10.0.0.0/8), a host name, samehost, samenet, all, or local.
            """)

    @OptionGroup var options: NodeOptions
    @OptionGroup var client: ClientOptions

    @Option(help: "How the client proves who it is: scram-sha-256, cert, md5, peer …")
    var method: String

    @Flag(name: .customLong("any-address"), help: "The rule is meant to be open to every address.")
    var anyAddress = false

    @Flag(name: .customLong("trust-over-network"), help: "The rule is meant to let anyone in over the network without asking who they are.")
    var trustOverNetwork = false

    @Flag(name: .shortAndLong, help: "Answer the question before the change with yes.")
    var yes = false

    private var rule: HBARule {
        let user: HBARule.User =
            switch client.user {
            case "all": .all
            case let text where text.hasPrefix("+"): .memberOf(String(text.dropFirst()))
            case let text: .named(text)
            }
        let database: HBARule.Database =
            switch client.database {
            case _ where client.replication: .replication
            case "all"?: .all
            case "sameuser"?: .sameUser
            case "samerole"?: .sameRole
            case let text: .named(text ?? "")
            }
        guard client.from != "local" else { return HBARule(localTo: [database], users: [user], method: method) }
        let address: HBARule.Address =
            switch client.from {
            case "all": .all
            case "samehost": .sameHost
            case "samenet": .sameNet
            case let text: IPNetwork(text).map(HBARule.Address.network) ?? .hostName(text)
            }
        return HBARule(client.ssl ? .hostssl : .host, databases: [database], users: [user], from: address, method: method)
    }

    func validate() throws {
        if !client.replication, client.database == "replication" { throw ValidationError("for the connections of standbys say --replication") }
    }

    func run() async throws {
        let accepting = (anyAddress ? [HBARisk.everyAddress.flag] : []) + (trustOverNetwork ? [HBARisk.trustOverNetwork.flag] : [])
        let request = ConfigurationRequest(.allow(rule: "\(rule)", accepting: accepting))
        try await options.change(request, isAgreed: yes)
    }
}

struct HBARemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take out the lines that a run has put into pg_hba.conf, and nothing else; reload, read back.",
        discussion: "They are known by the mark behind them, `# pggraft RUN`: it works from any machine, and whatever else was changed since.")

    @OptionGroup var options: NodeOptions

    @Argument(help: "The run, as the mark has it.")
    var name: String

    @Flag(name: .shortAndLong, help: "Answer the question before the change with yes.")
    var yes = false

    func validate() throws {
        guard !name.trimmed.isEmpty else { throw ValidationError("The name of the run is empty.") }
    }

    func run() async throws {
        try await options.change(ConfigurationRequest(.removeRules(ofRun: name)), isAgreed: yes)
    }
}
