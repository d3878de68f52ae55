import PostgresConfig
import Report
import Run

/// What `hba explain` has found: the lines that were tried, and what decides.
struct ExplanationView: Sendable {
    let node: String
    /// Why nobody could ask the server.
    let unasked: String?
    /// The file was changed after the server has read it.
    let isNewerThanServer: Bool
    /// The connection is over SSL, and the server takes none.
    let sslIsOff: Bool
    let explanation: HBAExplanation
    /// The server's own, against each of the lines for which it takes nothing of its files.
    let reasons: [String?]
    /// A role or database that the server does not have.
    let absent: [Problem]

    private static let nearest = 40

    /// - Parameter all: show every line, however many.
    func show(on terminal: Terminal, all: Bool) {
        if let unasked {
            terminal.print(terminal.styled("Nobody asked the server (\(unasked)): this is what its files say.", .warn))
        } else if isNewerThanServer {
            terminal.print(terminal.styled("The file was changed after the server has read it: until a reload it may decide otherwise.", .warn))
        }
        if sslIsOff { terminal.print(terminal.styled("ssl is off: the server takes no such connection.", .warn)) }
        let left = all ? 0 : max(0, explanation.steps.count - Self.nearest)
        if left > 0 { terminal.print(terminal.styled("\(left) earlier lines do not match either; --all shows them", .dim)) }
        for step in explanation.steps.dropFirst(left) { show(step, on: terminal) }
        switch explanation.decision {
        case .rule(let entry, let rule):
            let text = "\(entry.location) decides: \(rule.method)"
            terminal.print(rule.method == "reject" ? terminal.styled(text + ": the connection is refused", .bad) : terminal.styled(text, .good))
        case .noLine: terminal.print(terminal.styled("no line matches: the connection is refused", .bad))
        case .filesRefused, .undecided: terminal.print(terminal.styled("\(explanation.decision)", .bad))
        }
        for (entry, reason) in zip(explanation.decision.refused, reasons) {
            terminal.print(terminal.styled("  \(shown(entry))", .bad))
            if let reason { terminal.print(terminal.styled("      \(Redaction.redacted(reason))", .bad)) }
        }
        for problem in absent { terminal.printError(terminal.styled(problem.description, .bad)) }
    }

    private func show(_ step: HBAExplanation.Step, on terminal: Terminal) {
        switch step.verdict {
        case .doesNotMatch(let mismatch):
            terminal.print(terminal.styled("  \(shown(step.entry))", .dim))
            terminal.print(terminal.styled("      no: \(mismatch)", .dim))
        case .open(let questions):
            terminal.print(terminal.styled("? \(shown(step.entry))", .warn))
            for question in questions { terminal.print(terminal.styled("      \(question)", .warn)) }
        case .decides:
            terminal.print(terminal.styled("→ \(shown(step.entry))", .bold))
        }
    }

    private func shown(_ entry: HBARules.Entry) -> String { Redaction.redacted("\(entry)") }

    /// Whether a line lets the connection in, and the server takes it.
    var letsIn: Bool { explanation.decision.letsIn && !sslIsOff && absent.isEmpty }

    /// 2 for a role or database that the server does not have, 1 where the connection is refused or it cannot be told.
    var exitStatus: Int32 { absent.isEmpty ? letsIn ? 0 : 1 : 2 }

    var json: JSON {
        var decision: [String: JSON] = ["kind": .null, "line": .null, "method": .null, "refused": .array([]), "questions": .array([])]
        switch explanation.decision {
        case .rule(let entry, let rule):
            decision["kind"] = .string("rule")
            decision["line"] = entry.json
            decision["method"] = JSON(rule.method)
        case .noLine: decision["kind"] = .string("no_line")
        case .filesRefused(let entries):
            decision["kind"] = .string("files_refused")
            decision["refused"] = JSON(each: Array(zip(entries, reasons))) { entry, reason in
                .object(["line": entry.json, "reason": JSON(reason.map { Redaction.redacted($0) })])
            }
        case .undecided(let questions):
            decision["kind"] = .string("undecided")
            decision["questions"] = JSON(each: questions) { JSON($0.description) }
        }
        return .object([
            "node": JSON(node), "unasked": JSON(unasked), "is_newer_than_server": .bool(isNewerThanServer), "ssl_is_off": .bool(sslIsOff),
            "lines": JSON(each: explanation.steps, \.json), "decision": .object(decision), "absent": JSON(each: absent, \.json), "lets_in": .bool(letsIn),
            "status": JSON(Int(exitStatus)),
        ])
    }
}

extension HBARules.Entry {
    fileprivate var json: JSON { .object(["file": JSON(file), "line": JSON(line), "text": JSON(Redaction.redacted(text))]) }
}

extension HBAExplanation.Step {
    fileprivate var json: JSON {
        let (verdict, why): (String, [String]) =
            switch verdict {
            case .decides: ("decides", [])
            case .doesNotMatch(let mismatch): ("does_not_match", [mismatch.description])
            case .open(let questions): ("open", questions.map(\.description))
            }
        return .object(["line": entry.json, "verdict": JSON(verdict), "why": JSON(each: why) { .string($0) }])
    }
}
