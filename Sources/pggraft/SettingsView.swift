import Instance
import PostgresConfig
import Procedures
import Report
import Run

/// What `conf show` has found: settings, and what it could not find.
struct SettingsView: Sendable {
    let node: String
    /// Why nobody could ask the server.
    let unasked: String?
    /// For which the server takes nothing of its files.
    let errors: [SettingsTree.Problem]
    let reports: [SettingReport]
    /// What was asked for and the server does not know.
    let unknown: [(name: String, problem: Problem)]
    /// Whether settings were named.
    let isOfNames: Bool

    func show(on terminal: Terminal) {
        if let unasked { terminal.print(terminal.styled("Nobody asked the server (\(unasked)): this is what its files say.", .warn)) }
        for error in errors { terminal.print(terminal.styled("✗ \(error.fact): the server takes nothing of the files", .bad)) }
        if isOfNames {
            for report in reports { show(report, on: terminal) }
        } else {
            terminal.print(table: [["setting", "value", "from", ""]] + reports.map { [$0.name, $0.shownValue, $0.origin, $0.remark] })
        }
        for (_, problem) in unknown { terminal.printError(terminal.styled(problem.description, .bad)) }
    }

    private func show(_ report: SettingReport, on terminal: Terminal) {
        terminal.print(terminal.styled("\(report.name) = \(report.shownValue)", .bold))
        terminal.print("  from \(report.origin)")
        if !report.remark.isEmpty { terminal.print(terminal.styled("  \(report.remark)", .warn)) }
        for entry in report.hidden { terminal.print(terminal.styled("  does not decide: \(entry)", .dim)) }
        for override in report.overrides { terminal.print(terminal.styled("  other for \(override)", .warn)) }
    }

    /// 2 for a name that the server does not know, 1 where it takes nothing of its files.
    var exitStatus: Int32 { unknown.isEmpty ? errors.isEmpty ? 0 : 1 : 2 }

    var json: JSON {
        .object([
            "node": JSON(node), "unasked": JSON(unasked), "errors": JSON(each: errors, \.json), "settings": JSON(each: reports, \.json),
            "unknown": JSON(each: unknown) { .object($0.problem.fields.merging(["name": JSON($0.name)]) { $1 }) }, "status": JSON(Int(exitStatus)),
        ])
    }
}

extension SettingReport {
    var shownValue: String {
        guard let value else { return "(the server's default)" }
        return value.isEmpty ? "''" : redacted(value)
    }

    /// What may be shown of one of its values.
    private func redacted(_ value: String) -> String { Redaction.redacted(value, of: name) }

    var remark: String {
        func said(_ value: String?) -> String { value.map { "the file says \($0.isEmpty ? "''" : redacted($0))" } ?? "no file sets it any more" }
        if !isKnown { return "the server knows no such setting" }
        return switch state {
        case .inForce, .unknown: ""
        case .waitsForRestart(let value): "waits for a restart: \(said(value))"
        case .waitsForReload(let value): "not loaded, or refused: \(said(value))"
        }
    }

    fileprivate var json: JSON {
        let (source, file, line): (String, String?, Int?) =
            switch decider {
            case .file(let entry): ("file", entry.file, entry.line)
            case .commandLine: ("command_line", nil, nil)
            case .environment: ("environment", nil, nil)
            case .session: ("session", nil, nil)
            case .nobody: ("default", nil, nil)
            }
        let (state, written): (String, String?) =
            switch state {
            case .inForce: ("in_force", nil)
            case .waitsForRestart(let value): ("waits_for_restart", value)
            case .waitsForReload(let value): ("waits_for_reload", value)
            case .unknown: ("unasked", nil)
            }
        return .object([
            "name": JSON(name), "value": JSON(value.map(redacted)), "source": JSON(source), "file": JSON(file), "line": JSON(line), "state": JSON(state),
            "written": JSON(written.map(redacted)), "is_known": .bool(isKnown),
            "hidden": JSON(each: hidden) { .object(["file": JSON($0.file), "line": JSON($0.line), "value": JSON(redacted($0.value))]) },
            "overrides": JSON(each: overrides) {
                .object(["database": JSON($0.database), "role": JSON($0.role), "value": JSON(redacted($0.value))])
            },
        ])
    }
}
