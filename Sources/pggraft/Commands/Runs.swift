import ArgumentParser
import Foundation
import Report
import Run

struct Runs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "This machine's runs: when, what, how far, how it ended.")

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let output = Output(output), store = RunStore()
        try await Commanding.failing(output) { try list(store, output) }
    }

    private func list(_ store: RunStore, _ output: Output) throws {
        let (runs, unreadable) = try store.runs(), problems = unreadable.map { Problem(explaining: $0.error) }, terminal = output.terminal
        switch output.form {
        case .text:
            if runs.isEmpty, problems.isEmpty { terminal.print("There are no runs in \(store.directory).") }
            let rows = runs.map { [$0.header.run, $0.startedAt.onTheOperatorsClock, $0.header.procedure, $0.state.rawValue, $0.progress] }
            terminal.print(table: [["run", "begun", "procedure", "state", "step"]] + rows)
            for problem in problems { terminal.printError(terminal.styled("\(problem)", .warn)) }
        case .json:
            output.write(
                .object([
                    "directory": JSON(store.directory), "runs": JSON(each: runs, \.json), "unreadable": JSON(each: problems, \.json), "status": JSON(problems.isEmpty ? 0 : 1),
                ]))
        }
        guard problems.isEmpty else { throw ExitCode.failure }
    }
}

struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The journal of a run as a timeline, with what each step created.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    @OptionGroup var output: OutputOptions

    func run() async throws {
        let output = Output(output), terminal = output.terminal
        try await Commanding.failing(output) {
            let summary = try RunStore().run(name), header = summary.header
            let timeline = try Timeline(try Journal.read(at: summary.journal), isGoingOn: summary.state == .goingOn)
            guard output.form == .text else {
                return output.write(.object(["run": summary.json, "timeline": JSON(each: timeline.lines, \.json), "status": JSON(0)]))
            }
            terminal.print("run \(header.run): \(header.procedure) on cluster \(header.cluster), by \(header.startedBy)")
            terminal.print("playbook \(header.playbook)\njournal  \(summary.journal)\n")
            for line in timeline.lines {
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
    var onTheOperatorsClock: String {
        formatted(Date.ISO8601FormatStyle(timeZone: .current).year().month().day().dateTimeSeparator(.space).time(includingFractionalSeconds: false))
    }
}
