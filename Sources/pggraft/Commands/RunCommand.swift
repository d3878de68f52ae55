import ArgumentParser
import Run

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Do it: show the plan, ask, perform every step, end with the node table and the proof.")

    @OptionGroup var options: PlaybookOptions

    @Flag(name: .shortAndLong, help: "Answer the question before the first change with yes.")
    var yes = false

    func run() async throws {
        let terminal = Terminal()
        try await Commanding.session(terminal) { try await options.session(terminal, isAgreed: yes).run() }
    }
}
