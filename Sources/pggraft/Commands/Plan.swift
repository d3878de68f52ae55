import ArgumentParser
import Procedures
import Run

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What each step would do, file changes as unified diffs. Changes nothing.")

    @OptionGroup var options: PlaybookOptions

    func run() async throws {
        try await Operation.with(options, sessionName: "pggraft check") { operation in
            guard try await operation.showPlan() else { throw ExitCode(1) }
        }
    }
}
