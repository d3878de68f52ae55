import ArgumentParser
import Foundation
import Playbook
import ProcedureKit
import Procedures
import Run

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "May it run? Every requirement with the numbers found. Changes nothing.",
        discussion: """
            With --post, of a Spock cluster: is it as it must be once the node has joined? Every node knows every node, every subscription replicates and its slot is read, nobody \
            is far behind, nothing is left over, nothing was discarded, and a test row from every node comes to every node: in a table pggraft.canary, which is removed again.
            """)

    @OptionGroup var options: PlaybookOptions
    @OptionGroup var consents: ConsentOptions

    @Flag(help: "Before it runs: the default.")
    var pre = false

    @Flag(help: "After a node has joined a Spock cluster.")
    var post = false

    func validate() throws {
        if pre, post { throw ValidationError("--pre and --post are two checks: one at a time") }
    }

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.session(output, asObject: true) { console in
            let name = "pggraft check"
            guard post else { return try await options.session(output.terminal, console, consents: consents.given, sessionName: name).check() }
            let playbook = try Playbook.load(path: options.playbook), path = URL(fileURLWithPath: options.playbook).standardizedFileURL.path
            return try await RunSession(try HealthCheck(playbook, at: path, options.connection.ways(output.terminal, sessionName: name)), in: RunStore(), console: console).check()
        }
    }
}
