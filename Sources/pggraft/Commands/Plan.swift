import ArgumentParser
import Run

struct Plan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What each step would do, file changes as unified diffs. Changes nothing.")

    @OptionGroup var options: PlaybookOptions
    @OptionGroup var consents: ConsentOptions

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.session(output, asObject: true) { try await options.session(output.terminal, $0, consents: consents.given, sessionName: "pggraft check").plan() }
    }
}
