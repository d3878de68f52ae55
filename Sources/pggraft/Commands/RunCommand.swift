import ArgumentParser
import Run

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Do it: show the plan, ask, perform every step, end with the node table and the proof.")

    @OptionGroup var options: PlaybookOptions
    @OptionGroup var consents: ConsentOptions

    @Flag(name: .shortAndLong, help: "Answer the question before the first change with yes.")
    var yes = false

    func run() async throws {
        let output = Output(options.output)
        try await Commanding.session(output, isAgreed: yes) { try await options.session(output.terminal, $0, consents: consents.given).run() }
    }
}
