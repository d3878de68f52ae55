import ArgumentParser
import Procedures

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "May it run? Every requirement with the numbers found. Changes nothing.")

    @OptionGroup var options: PlaybookOptions

    func run() async throws {
        try await Operation.with(options, sessionName: "pggraft check") { operation in
            let findings = await operation.procedure.findings()
            CheckView(terminal: operation.terminal).show(findings)
            let failed = findings.filter { !$0.isMet }.count
            operation.terminal.print()
            guard failed == 0 else {
                operation.terminal.print(operation.terminal.styled("It may not run: \(failed) of \(findings.count) requirements are not met. Nothing was changed.", .bad))
                throw ExitCode(1)
            }
            operation.terminal.print(operation.terminal.styled("It may run: all \(findings.count) requirements are met. Nothing was changed.", .good))
        }
    }
}
