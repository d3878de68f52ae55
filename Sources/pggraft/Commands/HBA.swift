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
        guard !replication || database == nil else {
            throw ValidationError(
                "--replication is for a standby's connections, which are to no database: leave --database out (logical replication connects to one like everybody else)")
        }
        for (option, value) in [("--user", user), ("--database", database ?? "?"), ("--from", from)] where value.trimmed.isEmpty {
            throw ValidationError("\(option) is empty")
        }
        if from == "local", ssl { throw ValidationError("--ssl is for connections over the network, not for the Unix-domain socket") }
    }
}

struct HBAExplain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Which line decides over a connection, and why the earlier ones do not match. Changes nothing.",
        discussion: """
            --from takes an IP address, or `local` for the Unix-domain socket. Ends with 0 where a line lets the connection in (by its method), with 1 \
            where it is refused or cannot be told, with 2 where the server has no such role or database.
            """)

    @OptionGroup var options: NodeOptions
    @OptionGroup var client: ClientOptions

    @Flag(help: "Show every earlier line, however many.")
    var all = false

    private func origin() throws -> HBAConnection.Origin {
        if client.from == "local" { return .socket }
        guard let address = IPAddress(client.from) else { throw ValidationError("--from takes an IP address, or local; not \(client.from)") }
        return .address(address)
    }

    func validate() throws { _ = try origin() }

    func run() async throws {
        let wanted = HBAConnection(
            user: client.user, database: client.database ?? "", from: try origin(), usesSSL: client.ssl, isPhysicalReplication: client.replication)
        try await options.look { node, output in
            let view = try await view(of: wanted, on: node)
            switch output.form {
            case .text: view.show(on: output.terminal, all: all)
            case .json: output.write(view.json)
            }
            guard view.exitStatus == 0 else { throw ExitCode(view.exitStatus) }
        }
    }

    private func view(of wanted: HBAConnection, on node: ConfiguredNode) async throws -> ExplanationView {
        let deadline = Deadline.after(.seconds(60))
        let instance = try await node.instance(deadline: deadline)
        let connection = try await node.connection(deadline: deadline)
        let configuration = try await instance.configuration(through: connection, deadline: deadline)
        let access = try await instance.accessRules(configuration, through: connection, deadline: deadline)
        let explanation = try await instance.explain(wanted, by: access, through: connection, deadline: deadline)
        let reach = try await instance.reach(of: HBARule(localTo: [], users: [], method: ""), through: connection, deadline: deadline)
        var absent: [Problem] = []
        for (kind, name, known) in [("role", client.user, reach.roles), ("database", client.database, reach.databases)] {
            guard let name, let known, !known.contains(name) else { continue }
            let meant = Spelling.nearest(to: name, among: known).map { "did you mean \($0)?" }
            absent.append(Problem("\(node.target.name): there is no \(kind) \(name): whatever line decides, it does not connect", hint: meant))
        }
        return ExplanationView(
            node: node.target.name, unasked: await node.whyUnasked, isNewerThanServer: access.isNewerThanServer, sslIsOff: client.ssl && !access.server.sslIsOn,
            explanation: explanation, reasons: explanation.decision.refused.map { access.reason(against: $0) }, absent: absent)
    }
}

struct HBAAllow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "allow", abstract: "Put a line into pg_hba.conf where it takes effect, marked with the run's name; reload, read back.",
        discussion: """
            What already holds changes nothing. --user takes a role, all, or +role for its members; --database a database, all, sameuser, samerole; \
            --from an address, a network (10.0.0.0/8), a host name, samehost, samenet, all, or local. What the rule names and the server does not have \
            is told with the plan, and so is every reject that it goes before.
            """)

    @OptionGroup var options: NodeOptions
    @OptionGroup var client: ClientOptions

    @Option(help: "How the client proves who it is: scram-sha-256, cert, md5, peer …")
    var method: String

    @Flag(
        name: .customLong("any-address"),
        help: "The rule is meant to be open to every address, to a network larger than a /8 (IPv6: a /16), or to names that anybody can have (.com).")
    var anyAddress = false

    @Flag(name: .customLong("trust-over-network"), help: "The rule is meant to let anyone in over the network without asking who they are.")
    var trustOverNetwork = false

    @Flag(name: .customLong("clear-text-over-network"), help: "Clients are meant to send their password as it is, readable on the way (password, ldap, pam, radius without SSL).")
    var clearTextOverNetwork = false

    @Flag(help: "A --user or --database that begins with a slash is meant as a regular expression (PostgreSQL 16 and later).")
    var regex = false

    @Flag(name: .shortAndLong, help: "Answer the question before the change with yes.")
    var yes = false

    /// - Throws: `ValidationError` for what no line can say, or what the server would take for something else.
    private func rule() throws -> HBARule {
        do throws(Problem) {
            let user = try HBARule.User(asked: client.user)
            let database: HBARule.Database = if let name = client.database { try HBARule.Database(asked: name) } else { .replication }
            guard client.from != "local" else { return HBARule(localTo: [database], users: [user], method: method) }
            return HBARule(client.ssl ? .hostssl : .host, databases: [database], users: [user], from: try HBARule.Address(asked: client.from), method: method)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func validate() throws {
        if !client.replication, client.database == "replication" { throw ValidationError("for the connections of standbys say --replication") }
        if regex, ![client.user, client.database ?? ""].contains(where: { $0.hasPrefix("/") }) {
            throw ValidationError("--regex is for a --user or a --database that begins with a slash")
        }
        _ = try rule()
    }

    func run() async throws {
        let flags = [(HBARisk.everyAddress, anyAddress), (.trustOverNetwork, trustOverNetwork), (.clearTextOverNetwork, clearTextOverNetwork), (.regularExpression, regex)]
        let request = ConfigurationRequest(.allow(rule: "\(try rule())", accepting: flags.filter(\.1).map(\.0.flag)))
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
