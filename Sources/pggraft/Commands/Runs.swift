import ArgumentParser
import Foundation
import Run

struct Runs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "This machine's runs: when, what, how far, how it ended.")

    func run() async throws {
        let terminal = Terminal(), store = RunStore()
        try await Commanding.failing(terminal) { try list(store, on: terminal) }
    }

    private func list(_ store: RunStore, on terminal: Terminal) throws {
        let (runs, unreadable) = try store.runs()
        if runs.isEmpty { terminal.print("There are no runs in \(store.directory).") }
        let rows = runs.map { [$0.header.run, $0.startedAt.onTheOperatorsClock, $0.header.procedure, $0.state.rawValue, $0.progress] }
        terminal.print(table: [["run", "begun", "procedure", "state", "step"]] + rows)
        for (_, error) in unreadable { terminal.printError(terminal.styled("\(error)", .warn)) }
    }
}

struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The journal of a run as a timeline, with what each step created.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    func run() async throws {
        let terminal = Terminal()
        try await Commanding.failing(terminal) {
            let summary = try RunStore().run(name), header = summary.header
            terminal.print("run \(header.run): \(header.procedure) on cluster \(header.cluster), by \(header.startedBy)")
            terminal.print("playbook \(header.playbook)\njournal  \(summary.journal)\n")
            for line in try Timeline(try Journal.read(at: summary.journal), isGoingOn: summary.state == .goingOn).lines {
                let style: Terminal.Style =
                    switch line.mark {
                    case .turn, .begun: .bold
                    case .seen: .dim
                    case .done, .undone: .good
                    case .failed: .bad
                    case .left, .window: .warn
                    }
                terminal.print("\(line.at.onTheOperatorsClock)  " + terminal.styled("\(line.mark == .turn ? "" : line.mark.rawValue + " ")\(line.text)", style))
                for detail in line.details { terminal.print(String(repeating: " ", count: 23) + detail) }
            }
            terminal.print("\nIt is \(summary.state.rawValue).")
            if summary.state != .finished, summary.state != .undone { terminal.print(summary.ways) }
        }
    }
}

extension Date {
    /// `2026-11-21 07:12:03`, in this machine's time zone.
    fileprivate var onTheOperatorsClock: String {
        formatted(Date.ISO8601FormatStyle(timeZone: .current).year().month().day().dateTimeSeparator(.space).time(includingFractionalSeconds: false))
    }
}
