import ArgumentParser
import Run

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "May it run? Every requirement with the numbers found. Changes nothing.")

    @OptionGroup var options: PlaybookOptions
    @OptionGroup var consents: ConsentOptions

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.session(output, asObject: true) { try await options.session(output.terminal, $0, consents: consents.given, sessionName: "pggraft check").check() }
    }
}
