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
        commandName: "show", abstract: "Value, file and line, what overrides it, whether it waits for a restart. Changes nothing.",
        discussion: "Ends with 2 where the server knows no such setting, with 1 where it takes nothing of its files.")

    @OptionGroup var options: NodeOptions

    @Argument(help: "Settings; without a name, all that are set somewhere.")
    var names: [String] = []

    func run() async throws {
        try await options.look { node, output in
            let view = try await view(of: node)
            switch output.form {
            case .text: view.show(on: output.terminal)
            case .json: output.write(view.json)
            }
            guard view.exitStatus == 0 else { throw ExitCode(view.exitStatus) }
        }
    }

    private func view(of node: ConfiguredNode) async throws -> SettingsView {
        let deadline = Deadline.after(.seconds(60))
        let instance = try await node.instance(deadline: deadline)
        let connection = try await node.connection(deadline: deadline)
        let configuration = try await instance.configuration(through: connection, deadline: deadline)
        var reports = names.isEmpty ? configuration.namesSet.map(configuration.report) : [], unknown: [(name: String, problem: Problem)] = []
        for name in names {
            let report = configuration.report(name)
            if let inForce = configuration.inForce, report.value == nil {
                unknown.append((name, inForce.unknown(name, on: node.target.name)))
            } else {
                reports.append(report.value == nil ? report.valued(try await instance.valueAtStart(of: name, deadline: deadline)) : report)
            }
        }
        return SettingsView(
            node: node.target.name, unasked: await node.whyUnasked, errors: configuration.tree.errors, reports: reports, unknown: unknown, isOfNames: !names.isEmpty)
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

    private func parsed() throws -> [ConfigurationRequest.Assignment] {
        try assignments.map { text in
            guard let assignment = ConfigurationRequest.Assignment(text) else { throw ValidationError("\(text) is not NAME=VALUE") }
            return assignment
        }
    }

    func validate() throws { _ = try parsed() }

    func run() async throws {
        try await options.change(ConfigurationRequest(.settings(try parsed()), restarts: change.restart), isAgreed: change.yes)
    }
}

struct ConfReset: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "reset", abstract: "Take a setting out of all files, so that the server's default decides.")

    @OptionGroup var options: NodeOptions

    @Argument(help: "Settings.")
    var names: [String]

    @OptionGroup var change: ChangeOptions

    func validate() throws {
        for name in names where name.isEmpty || name.contains(where: { $0.isWhitespace || $0 == "=" }) { throw ValidationError("\(name) is no name of a setting") }
    }

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
