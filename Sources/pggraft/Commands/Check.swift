import ArgumentParser
import Run

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "May it run? Every requirement with the numbers found. Changes nothing.")

    @OptionGroup var options: PlaybookOptions

    func run() async throws {
        let terminal = Terminal()
        try await Commanding.session(terminal) { try await options.session(terminal, sessionName: "pggraft check").check() }
    }
}
