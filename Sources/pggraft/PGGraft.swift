import ArgumentParser
import Glibc
import PostgresClient
import Procedures
import Run

@main
struct PGGraft: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pggraft",
        abstract: "Graft a new PostgreSQL node onto a running cluster from a physical copy, and prove that nothing was lost.",
        version: pggraftVersion,
        subcommands: [
            Check.self, Plan.self, RunCommand.self, Status.self, DoctorCommand.self, Verify.self, Runs.self, Show.self, Resume.self, Undo.self, Clean.self, Conf.self, HBA.self,
        ])

    static func main() async {
        // Before anything else: what the operator's shell says about PostgreSQL is not what the playbook means.
        LibpqEnvironment.clear()
        // Whoever reads the output may go away in the middle of the window.
        signal(SIGPIPE, SIG_IGN)
        await main(nil)
    }
}

/// What every command that reads a playbook takes.
struct PlaybookOptions: ParsableArguments {
    @Argument(help: "The playbook: a YAML file that names the nodes and the procedure.", completion: .file(extensions: ["yaml", "yml"]))
    var playbook: String

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions
}

/// What only the operator can know; the journal keeps it.
struct ConsentOptions: ParsableArguments {
    @Flag(
        name: [.customLong("primary-is-dead"), .customLong("master-is-dead")],
        help: "Of a failover: the primary, whose host cannot be reached, is powered off or cut off from its clients for good.")
    var primaryIsDead = false

    @Flag(name: .customLong("restart-gtm"), help: "Of a failover of a datanode: restart the GTM where transactions were left in doubt.")
    var restartsGTM = false

    @Flag(name: .customLong("create-roles"), help: "Of add-spock-node-logical: make the roles on the new node that the source has and it lacks.")
    var createsRoles = false

    @Flag(name: .customLong("node-is-gone"), help: "Of a removal: the node, which gives no answer, is gone for good and will not come back and write.")
    var nodeIsGone = false

    @Flag(name: .customLong("give-up-writes"), help: "Of a removal: also where something was written on the node that not every other node has.")
    var givesUpWrites = false

    var given: [Consent] {
        [(primaryIsDead, Consent.primaryIsDead), (restartsGTM, .restartGTM), (createsRoles, .createRoles), (nodeIsGone, .nodeIsGone), (givesUpWrites, .giveUpWrites)].filter(\.0)
            .map(\.1)
    }
}

/// How hosts are reached.
struct ConnectionOptions: ParsableArguments {
    @Option(name: .customLong("ssh-config"), help: "An ssh_config to use instead of ~/.ssh/config.", completion: .file())
    var sshConfig: String?

    @Flag(name: .shortAndLong, help: "Say more, on standard error: every command and statement, on which node, how long it took.")
    var verbose = false
}
