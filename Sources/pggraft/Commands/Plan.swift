import ArgumentParser
import Run

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What each step would do, file changes as unified diffs. Changes nothing.")

    @OptionGroup var options: PlaybookOptions

    func run() async throws {
        let terminal = Terminal()
        try await Commanding.session(terminal) { try await options.session(terminal, sessionName: "pggraft check").plan() }
    }
}
