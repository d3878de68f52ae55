import ArgumentParser
import Glibc
import PostgresClient
import Run

@main
struct PGGraft: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pggraft",
        abstract: "Graft a new PostgreSQL node onto a running cluster from a physical copy, and prove that nothing was lost.",
        version: pggraftVersion,
        subcommands: [Check.self, Plan.self, RunCommand.self, Runs.self, Show.self, Resume.self, Undo.self, Conf.self, HBA.self])

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
}

/// How hosts are reached.
struct ConnectionOptions: ParsableArguments {
    @Option(name: .customLong("ssh-config"), help: "An ssh_config to use instead of ~/.ssh/config.", completion: .file())
    var sshConfig: String?

    @Flag(name: .shortAndLong, help: "Say more, on standard error: every command and statement, on which node, how long it took.")
    var verbose = false
}
