import ArgumentParser
import Foundation
import Procedures
import Run

struct Clean: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove what is left of runs that are finished or undone: FILE.before-RUN on the hosts, and their journals.",
        discussion: "Shows first what would go, and asks. A run that is removed cannot be undone any more.")

    @Argument(help: "Runs, as `pggraft runs` names them; without one, all that are finished or undone.")
    var names: [String] = []

    @Option(name: .customLong("older-than"), help: ArgumentHelp("Only runs that began so many days ago or earlier.", valueName: "days"))
    var olderThan: Int?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    @Flag(name: .shortAndLong, help: "Answer the question with yes.")
    var yes = false

    func validate() throws {
        if let olderThan, olderThan < 0 { throw ValidationError("--older-than takes a number of days") }
    }

    func run() async throws {
        let output = Output(output), catalog = Catalog(connection.ways(output.terminal))
        let before = olderThan.map { Date() - TimeInterval($0) * 24 * 3600 }
        try await Commanding.session(output, isAgreed: yes) { console in
            try await RunSession.clean(names, begunBefore: before, in: RunStore(), console: console, make: catalog.procedure(of:))
        }
    }
}
