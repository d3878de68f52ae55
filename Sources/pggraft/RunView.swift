import Report
import Run

/// A run as the operator sees it: a line a step, with its place in the run and the source document's number.
struct RunView: Sendable {
    let terminal: Terminal

    func show(_ event: RunEvent) {
        switch event {
        case .inspecting(let id, let title): terminal.progress(line("…", id, title, .dim))
        case .skipped(let id, let title, let seen): terminal.print(line("=", id, title, .dim) + detail(seen))
        case .began(let id, let title): terminal.progress(line("▸", id, title, .bold))
        case .progress(let id, let text, let fraction):
            terminal.progress(line("▸", id, text + (fraction.map { "  " + bar($0) } ?? ""), .bold))
        case .note(_, let text): terminal.print(indent(text))
        case .done(let id, let title, let result, let took):
            terminal.print(line("✓", id, title, .good) + terminal.styled("  \(took.inSeconds)", .dim) + detail(result))
        case .failed(let id, let title, let problem):
            terminal.printError(line("✗", id, title, .bad) + "\n" + indent(problem.description))
        case .released(let bracket, let problems):
            if problems.isEmpty {
                terminal.print(indent(terminal.styled("\(bracket): opened again on the way out", .warn)))
            } else {
                terminal.printError(indent(terminal.styled("\(bracket): NOT opened again everywhere, see below", .bad)))
            }
        case .undone(let id, let title, let lines):
            // A step that had left nothing is no news.
            guard !lines.isEmpty else { break }
            terminal.print(line("↶", id, title, .good) + detail(lines.joined(separator: "\n")))
        case .left(let id, let title, let problems):
            terminal.printError(line("!", id, title, .warn))
            problems.forEach { terminal.printError(indent($0.description)) }
        }
    }

    /// Every step with what it would change, file changes as unified diffs.
    func show(_ plan: [Runner.Planned]) {
        if plan.contains(where: { !$0.id.number.isEmpty }) {
            terminal.print(terminal.styled("In brackets: the step's number in the document that the procedure follows.", .dim))
        }
        for step in plan {
            switch step.inspection {
            case .done(let seen): terminal.print(line("=", step.id, step.title, .dim) + detail(seen))
            case .needed(let changes):
                terminal.print(line("+", step.id, step.title, .bold))
                for change in changes {
                    terminal.print(indent(change.text))
                    if let diff = change.diff { terminal.print(indent(coloured(diff))) }
                }
            case .blocked(let problems):
                terminal.print(line("✗", step.id, step.title, .bad))
                problems.forEach { terminal.print(indent($0.description)) }
            }
        }
    }

    private func line(_ mark: String, _ id: StepID, _ title: String, _ style: Terminal.Style) -> String {
        terminal.styled("\(mark) \(Self.numbers(of: id))  \(title)", style)
    }

    /// ` 9/24   (8)`; blanks for the only step of its run.
    static func numbers(of id: StepID) -> String {
        guard let position = id.position, position.count > 1 else { return "   " }
        let width = "\(position.count)".count * 2 + 1, number = id.number.isEmpty ? "" : "(\(id.number))"
        func padded(_ text: String, to width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }
        return padded("\(position)", to: width) + padded(number, to: 6)
    }

    private func detail(_ text: String) -> String { text.isEmpty ? "" : "\n" + indent(terminal.styled(text, .dim)) }

    private func indent(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { "       \($0)" }.joined(separator: "\n")
    }

    private func coloured(_ diff: String) -> String {
        diff.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            terminal.styled(String(line), line.hasPrefix("+") ? .good : line.hasPrefix("-") ? .bad : .dim)
        }.joined(separator: "\n")
    }

    private func bar(_ fraction: Double) -> String {
        let full = Int((max(0, min(1, fraction)) * 20).rounded(.down))
        return "[" + String(repeating: "#", count: full) + String(repeating: ".", count: 20 - full) + "]"
    }
}
