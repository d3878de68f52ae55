import ArgumentParser
import Foundation
import Run

/// In which form a command says what it has found and done.
enum OutputForm: String, CaseIterable, ExpressibleByArgument, Sendable { case text, json }

struct OutputOptions: ParsableArguments {
    @Option(help: "text, or json: an object, or JSON Lines of what happens. Then nothing is asked: what would ask wants --yes.")
    var output = OutputForm.text
}

/// Where a command says what it has found and done, in the form that was asked for. In JSON all of it is on standard output, errors too.
struct Output: Sendable {
    let form: OutputForm
    let terminal: Terminal

    init(_ options: OutputOptions) {
        form = options.output
        terminal = Terminal(isForJSON: options.output == .json)
    }

    /// One line.
    func write(_ value: JSON) {
        do {
            terminal.print(try value.line())
        } catch {
            terminal.printError("\(error)")
        }
    }

    /// The console of a session.
    /// - Parameters:
    ///   - isAgreed: the question before the first change is answered with yes already.
    ///   - asObject: in JSON, all that is shown is one object at the end.
    func console(isAgreed: Bool, asObject: Bool) -> any CommandConsole {
        switch form {
        case .text: SessionConsole(terminal: terminal, isAgreed: isAgreed)
        case .json: JSONConsole(isAgreed: isAgreed, asObject: asObject, write: write)
        }
    }
}

/// A console that also says how the command ended.
protocol CommandConsole: Console {
    func end(_ ending: Ending)
}

extension CommandConsole {
    func interruptibly<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await Interruption.cancelling(work)
    }
}
