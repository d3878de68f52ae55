import ArgumentParser
import EventLoop
import Instance
import PostgresConfig
import Procedures
import Report

struct Conf: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "The settings of one node: where each comes from; change them, proven by the server.", subcommands: [ConfShow.self, ConfSet.self, ConfReset.self])
}

struct ConfShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Value, file and line, what overrides it, whether it waits for a restart. Changes nothing.")

    @OptionGroup var options: NodeOptions

    @Argument(help: "Settings; without a name, all that are set somewhere.")
    var names: [String] = []

    func run() async throws {
        try await options.look { node, terminal in
            let deadline = Deadline.after(.seconds(60))
            let instance = try await node.instance(deadline: deadline)
            let connection = try await node.connection(deadline: deadline)
            let configuration = try await instance.configuration(through: connection, deadline: deadline)
            if let why = await node.whyUnasked {
                terminal.print(terminal.styled("Nobody asked the server (\(why)): this is what its files say.", .warn))
            }
            for error in configuration.tree.errors { terminal.print(terminal.styled("✗ \(error.fact): the server takes nothing of the files", .bad)) }
            guard names.isEmpty else {
                for name in names {
                    var report = configuration.report(name)
                    if report.value == nil, configuration.inForce == nil {
                        report = report.valued(try await instance.valueAtStart(of: name, deadline: deadline))
                    }
                    show(report, on: terminal)
                }
                return
            }
            let reports = configuration.namesSet.map(configuration.report)
            terminal.print(table: [["setting", "value", "from", ""]] + reports.map { [$0.name, $0.shownValue, $0.origin, $0.remark] })
        }
    }

    private func show(_ report: SettingReport, on terminal: Terminal) {
        terminal.print(terminal.styled("\(report.name) = \(report.shownValue)", .bold))
        terminal.print("  from \(report.origin)")
        if !report.remark.isEmpty { terminal.print(terminal.styled("  \(report.remark)", .warn)) }
        for entry in report.hidden { terminal.print(terminal.styled("  does not decide: \(Redaction.redacted("\(entry)"))", .dim)) }
        for override in report.overrides { terminal.print(terminal.styled("  other for \(Redaction.redacted("\(override)"))", .warn)) }
    }
}

extension SettingReport {
    fileprivate var shownValue: String {
        guard let value else { return "(the server's default)" }
        return value.isEmpty ? "''" : Redaction.redacted(value)
    }

    fileprivate var remark: String {
        func said(_ value: String?) -> String { value.map { "the file says \($0.isEmpty ? "''" : Redaction.redacted($0))" } ?? "no file sets it any more" }
        if !isKnown { return "the server knows no such setting" }
        return switch state {
        case .inForce, .unknown: ""
        case .waitsForRestart(let value): "waits for a restart: \(said(value))"
        case .waitsForReload(let value): "not loaded, or refused: \(said(value))"
        }
    }
}

struct ConfSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Show the change as a diff, ask, write, reload, read back; put the old file back where the server refuses it.",
        discussion: "NAME=VALUE sets, NAME+=ELEMENT and NAME-=ELEMENT change one element of a list such as shared_preload_libraries.")

    @OptionGroup var options: NodeOptions

    @Argument(help: "NAME=VALUE, NAME+=ELEMENT or NAME-=ELEMENT.")
    var assignments: [String]

    @OptionGroup var change: ChangeOptions

    func run() async throws {
        let parsed = try assignments.map { text in
            guard let assignment = ConfigurationRequest.Assignment(text) else { throw ValidationError("\(text) is not NAME=VALUE") }
            return assignment
        }
        try await options.change(ConfigurationRequest(.settings(parsed), restarts: change.restart), isAgreed: change.yes)
    }
}

struct ConfReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "reset", abstract: "Take a setting out of all files, so that the server's default decides.")

    @OptionGroup var options: NodeOptions

    @Argument(help: "Settings.")
    var names: [String]

    @OptionGroup var change: ChangeOptions

    func run() async throws {
        let request = ConfigurationRequest(.settings(names.map { .init($0, .reset) }), restarts: change.restart)
        try await options.change(request, isAgreed: change.yes)
    }
}

struct ChangeOptions: ParsableArguments {
    @Flag(help: "Restart the server where a new value waits for it.")
    var restart = false

    @Flag(name: .shortAndLong, help: "Answer the question before the change with yes.")
    var yes = false
}
