import ArgumentParser
import Foundation
import Run

struct Runs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "This machine's runs: when, what, how far, how it ended.")

    func run() async throws {
        let terminal = Terminal()
        let (runs, unreadable) = try RunStore().runs()
        if runs.isEmpty { terminal.print("There are no runs in \(RunStore().directory).") }
        for run in runs {
            let started = run.startedAt.formatted(date: .abbreviated, time: .shortened)
            terminal.print("\(run.header.run)  \(started)  \(run.header.procedure)  \(run.outcome ?? "cut off, or still going on")"
                + (run.isFinished ? "" : "  in step \(run.lastStep ?? "none")"))
        }
        for error in unreadable { terminal.print(terminal.styled("\(error)", .warn)) }
    }
}

struct Show: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The journal of a run as a timeline, with what each step created.")

    @Argument(help: "The run, as `pggraft runs` names it.")
    var name: String

    func run() async throws {
        let terminal = Terminal()
        do {
            let summary = try RunStore().existing(name)
            for entry in try Journal.read(at: summary.journal) {
                let time = entry.at.formatted(date: .omitted, time: .standard)
                let place = entry.step.map { " \($0)" } ?? ""
                let created = entry.event == .creating ? try entry.value?.decoded(as: Created.self).description : nil
                let text = created ?? entry.text ?? entry.key ?? ""
                terminal.print("\(time)  \(entry.event.rawValue)\(place)" + (text.isEmpty ? "" : ": \(text)"))
            }
        } catch {
            throw finish(terminal, error)
        }
    }
}

extension RunStore {
    /// - Throws: ``Problem`` when there is no such run.
    func existing(_ name: String) throws -> Summary {
        guard let summary = try find(name) else {
            throw Problem("there is no run \(name) on this machine", hint: "`pggraft runs` lists them.")
        }
        return summary
    }
}
