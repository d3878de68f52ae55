import Run

/// The requirements as the operator sees them: a line each, with the numbers found.
struct CheckView: Sendable {
    let terminal: Terminal

    func show(_ findings: [Finding]) {
        let width = findings.map { $0.requirement.count }.max() ?? 0
        let placeWidth = findings.map { ($0.place ?? "").count }.max() ?? 0
        for finding in findings {
            let (mark, style, hint): (String, Terminal.Style, String?) =
                switch finding.verdict {
                case .met: ("✓", .good, nil)
                case .note(let hint): ("!", .warn, hint)
                case .notMet(let hint): ("✗", .bad, hint)
                }
            let place = finding.place ?? ""
            let head = "\(mark) \(padded(finding.requirement, width))  \(padded(place, placeWidth))  "
            let continuation = "\n" + String(repeating: " ", count: width + placeWidth + 6)
            terminal.print(terminal.styled(head, style) + finding.found.split(separator: "\n").joined(separator: continuation))
            for line in hint?.split(separator: "\n") ?? [] { terminal.print("    HINT: \(line)") }
        }
    }

    private func padded(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
}
