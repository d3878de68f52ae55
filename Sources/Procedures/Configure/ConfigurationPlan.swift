import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run

/// What a change of the configuration comes to on the real node.
struct ConfigurationPlan: Sendable {
    var edits: [ConfigurationEdit] = []
    /// The settings concerned.
    var names: [String] = []
    /// The text of the values that must decide afterwards.
    var expecting: [String: String] = [:]
    /// The rule that must be there afterwards.
    var rule: HBARule?
    var needsReload = false
    /// Settings that are written already or will be, and wait for a restart.
    var waitingForRestart: [String] = []
    /// Whether a restart is asked for and needed.
    var needsRestart = false
    /// Whether only sessions that begin later have the new values.
    var needsNewSession = false
    var problems: [Problem] = []
    /// What the operator should know before saying yes.
    var remarks: [String] = []
    /// What was seen, where nothing is to be done.
    var seen = ""
}

extension WriteConfiguration {
    /// - Parameter run: whose name new lines are marked with.
    func plan(_ run: String?) async throws -> ConfigurationPlan {
        let deadline = Deadline.after(.seconds(60))
        let instance = try await node.instance(deadline: deadline), connection = try await node.connection(deadline: deadline)
        let configuration = try await instance.configuration(through: connection, deadline: deadline)
        var plan: ConfigurationPlan
        switch request.change {
        case .settings(let assignments): plan = try settings(assignments, configuration, instance)
        case .allow(let line, let accepting):
            let access = try await instance.accessRules(configuration, through: connection, deadline: deadline)
            plan = try await allow(line, accepting, access, instance, connection, mark: run)
        case .removeLines(let lines): plan = remove(lines, try await instance.accessRules(configuration, through: connection, deadline: deadline))
        case .removeRules(let old):
            plan = remove(old, try await instance.accessRules(configuration, through: connection, deadline: deadline))
        }
        if let why = await node.whyUnasked, try await instance.status(deadline: deadline).isRunning {
            plan.remarks.append(
                "nobody can ask the server (\(why)): its log is the judge, and nobody on another machine is kept from changing it at the same time")
        }
        let reports = configuration.namesSet.map(configuration.report)
        func others(_ isWaiting: (SettingReport.State) -> Bool) -> [String] {
            reports.filter { report in isWaiting(report.state) && !plan.names.contains { isSameSetting($0, report.name) } }.map(\.name)
        }
        let waiting = others { if case .waitsForReload = $0 { true } else { false } }
        if !waiting.isEmpty, !plan.edits.isEmpty {
            plan.remarks.append("the reload also brings in what others have written and not loaded: \(list(waiting))")
        }
        if plan.needsRestart, case let pending = others({ if case .waitsForRestart = $0 { true } else { false } }), !pending.isEmpty {
            plan.remarks.append("the restart also brings in what others have written: \(list(pending))")
        }
        if let connection, plan.problems.isEmpty {
            for problem in try await instance.configurationProblems(through: connection, deadline: deadline) {
                let hint = advice(on: problem.error, file: problem.file, line: problem.line, in: configuration)
                plan.problems.append(Problem("\(node.target.name): the server refuses its files as they are: \(problem)", hint: hint))
            }
        } else if connection == nil, try await instance.status(deadline: deadline).isRunning {
            // Where it cannot be judged by, it is not begun.
            try await instance.checkLog(with: plan.expecting, deadline: deadline)
        }
        plan.remarks = plan.remarks.map(Redaction.redacted)
        plan.seen = Redaction.redacted(plan.seen)
        plan.problems = plan.problems.map { Problem(Redaction.redacted($0.fact), hint: $0.hint) }
        return plan
    }

    /// What to do about a line that the server does not take.
    private func advice(on error: String, file: String?, line: Int?, in configuration: InstanceConfiguration) -> String {
        if configuration.forbidden.contains(where: error.contains) { return unreadable }
        return line == 1 && file.flatMap { configuration.tree.files[$0] }?.beginsWithByteOrderMark ?? false ? Self.marked : "correct that line first"
    }

    private var unreadable: String {
        let osUser = node.target.osUser
        return "let \(osUser), the server's OS user, read what it cannot open: its owner or mode, or that of a directory above it, keeps \(osUser) out"
    }

    private static let marked = "the file begins with a byte-order mark, which is a part of the server's first word there: save it as UTF-8 without one"

    // MARK: Settings

    private func settings(
        _ assignments: [ConfigurationRequest.Assignment], _ configuration: InstanceConfiguration, _ instance: Instance
    ) throws -> ConfigurationPlan {
        let name = node.target.name
        var plan = ConfigurationPlan(names: assignments.map(\.name))
        for error in configuration.tree.errors {
            let hint = advice(on: error.text, file: error.file, line: error.line, in: configuration)
            plan.problems.append(Problem("\(name): \(error.fact): with an error in the files the server takes nothing of them", hint: hint))
        }
        var changes: [(name: String, value: String?)] = []
        for assignment in assignments {
            if let problem = obstacle(to: assignment, configuration, instance) {
                plan.problems.append(problem)
                continue
            }
            let pending = changes.last { isSameSetting($0.name, assignment.name) }
            switch result(of: assignment, from: pending.map { $0.value } ?? configuration.listText(assignment.name), instance.version) {
            case .success(.text(let value)): changes.append((assignment.name, value))
            case .success(.asItIs): changes.append((assignment.name, pending.map { $0.value } ?? configuration.tree.deciding(assignment.name)?.value))
            case .failure(let problem): plan.problems.append(problem)
            }
        }
        guard plan.problems.isEmpty else { return plan }
        do {
            plan.edits = try configuration.edits(changes)
        } catch {
            plan.problems.append(Problem("\(name)", because: error))
            return plan
        }
        var seen: [String] = []
        for (setting, value) in changes {
            let report = configuration.report(setting), row = configuration.inForce?.row(setting)
            if let value { plan.expecting[setting] = value }
            if row?.context.hasSuffix("backend") ?? false { plan.needsNewSession = true }
            let isWritten = value == nil ? report.isFromNoFile : configuration.tree.deciding(setting)?.value == value
            switch report.state {
            case .waitsForRestart where isWritten: plan.waitingForRestart.append(setting)
            case .waitsForReload where isWritten: plan.needsReload = true
            default:
                let isSame = value.map { row?.means($0, in: instance.version) ?? false } ?? false
                if !isWritten, !isSame, row?.context == "postmaster" { plan.waitingForRestart.append(setting) }
            }
            for override in report.overrides { plan.remarks.append("sessions of \(override) keep that value") }
            if value != nil {
                // A line that this session does not see may be the one that is changed.
                for entry in configuration.tree.overridden(setting) { plan.remarks.append("\(entry) stays, and does not decide") }
            }
            let shown = report.value.map { Redaction.redacted($0, of: setting) } ?? "the default"
            seen.append("\(setting) = \(shown), from \(report.origin)" + (plan.waitingForRestart.contains(setting) ? "; waits for a restart" : ""))
        }
        plan.needsRestart = request.restarts && !plan.waitingForRestart.isEmpty
        if !request.restarts, !plan.waitingForRestart.isEmpty {
            plan.remarks.append("\(list(plan.waitingForRestart)) takes effect when the server is restarted, which is not done without --restart")
        }
        plan.seen = seen.joined(separator: "; ")
        return plan
    }

    private func obstacle(
        to assignment: ConfigurationRequest.Assignment, _ configuration: InstanceConfiguration, _ instance: Instance
    ) -> Problem? {
        let node = node.target.name, name = assignment.name, version = instance.version
        if Redaction.redacted(assignment.value, of: name) != assignment.value {
            return Problem("\(node): the value of \(name) holds a password, which is to stand on no command line", hint: "refer to a passfile")
        }
        guard let own = instance.features.settingName(name) else {
            return Problem("\(node): PostgreSQL \(version) has no setting \(name)", hint: "see the release notes of PostgreSQL \(version)")
        }
        guard isSameSetting(own, name) else {
            return Problem("\(node): PostgreSQL \(version) has no setting \(name): it is called \(own) there", hint: "set \(own)")
        }
        if SettingHistory.of(name)?.era(in: version)?.place == .recoveryConf {
            return Problem(
                "\(node): \(name) stands in recovery.conf in PostgreSQL \(version), which is read at the start only", hint: "edit recovery.conf, and restart the standby")
        }
        let report = configuration.report(name)
        // What the server does not know can stand in a file all the same.
        guard report.isKnown || (assignment.operation == .reset && configuration.tree.deciding(name) != nil) else {
            return configuration.inForce?.unknown(name, on: node)
        }
        if configuration.inForce?.row(name)?.context == "internal" { return Problem("\(node): \(name) cannot be changed") }
        switch report.decider {
        case .commandLine, .environment:
            return Problem(
                "\(node): \(name) is decided by \(report.origin), which no file overrides",
                hint: "change how the server is started (pg_ctl -o, /etc/postgresql/*/*/pg_ctl.conf, the service's unit)")
        case .file, .session, .nobody: return nil
        }
    }

    /// What the files shall have for a setting.
    private enum Wanted {
        /// `nil` for no line at all.
        case text(String?)
        /// What they have, byte for byte.
        case asItIs
    }

    private func result(of assignment: ConfigurationRequest.Assignment, from current: String?, _ version: MajorVersion) -> Result<Wanted, Problem> {
        let node = node.target.name, name = assignment.name, element = assignment.value
        switch assignment.operation {
        case .set: return .success(.text(element))
        case .reset: return .success(.text(nil))
        case .add, .remove: break
        }
        let isAdded = assignment.operation == .add
        func invalid(_ value: String) -> Result<Wanted, Problem> {
            .failure(Problem("\(node): \(name) = '\(value)' is no valid list", hint: "set it as a whole: \(name)=…"))
        }
        switch ListSetting.of(name, in: version) {
        case nil: return .failure(Problem("\(node): \(name) is no list", hint: "set it as a whole: \(name)=…"))
        case .standbyNames:
            guard let list = StandbyNames(current ?? "", version: version) else { return invalid(current ?? "") }
            guard list.contains(element) != isAdded else { return .success(.asItIs) }
            let changed = isAdded ? list.adding(element) : list.removing(element)
            guard changed.isSatisfiable || changed.names.isEmpty else {
                return .failure(
                    Problem(
                        "\(node): \(name) = '\(changed)' waits for \(changed.number) standbys and names \(changed.names.count): every commit would hang",
                        hint: "set it as a whole, with a smaller number"))
            }
            return .success(.text(changed.names.isEmpty ? "" : changed.description))
        case .list(let syntax):
            guard let list = SettingList(current ?? "", syntax: syntax) else { return invalid(current ?? "") }
            guard list.contains(element) != isAdded else { return .success(.asItIs) }
            return .success(.text((isAdded ? list.adding(element) : list.removing(element)).description))
        }
    }

    // MARK: Rules

    private func allow(
        _ line: String, _ accepting: [String], _ access: AccessRules, _ instance: Instance, _ connection: PostgresConnection?, mark: String?
    ) async throws -> ConfigurationPlan {
        let node = node.target.name
        var plan = ConfigurationPlan()
        let wanted = HBAFile(line, for: access.server)
        guard let rule = wanted.rules.first, wanted.rules.count == 1, wanted.invalidLines.isEmpty else {
            let why = wanted.invalidLines.first?.problem ?? "it is no rule, or more than one"
            plan.problems.append(Problem("\(node): PostgreSQL \(access.server.version) would not read the line `\(line)`: \(why)"))
            return plan
        }
        for risk in rule.risks where !accepting.contains(risk.flag) {
            plan.problems.append(Problem("\(node): \(rule.explanation(of: risk))", hint: "name the risk, if that is meant: --\(risk.flag)"))
        }
        if accepting.contains(HBARisk.regularExpression.flag), !rule.hasRegularExpression {
            plan.problems.append(Problem("\(node): in pg_hba.conf PostgreSQL \(access.server.version) knows no regular expressions: what begins with a slash is a name there"))
        }
        if rule.type == .hostssl, !access.server.sslIsOn {
            plan.problems.append(Problem("\(node): the rule is for SSL connections, and ssl is off: it would match nothing"))
        }
        refusals(access, &plan)
        guard plan.problems.isEmpty else { return plan }
        let doubts = try await doubts(about: rule, instance, connection)
        plan.problems += doubts.problems
        plan.remarks += doubts.remarks
        guard plan.problems.isEmpty else { return plan }
        plan.rule = rule
        var file = HBAFile(access.content ?? [], for: access.server)
        switch file.ensure(rule, mark: HBAMark("pggraft \(mark ?? "RUN")")) {
        case .present(let line):
            plan.seen = "\(access.file):\(line) does that already"
            plan.needsReload = access.isNewerThanServer
        case .inserted(let line, let shadow):
            plan.edits = [ConfigurationEdit(path: access.file, before: access.content, after: file.render())]
            let place = "the rule becomes line \(line)"
            plan.remarks.append(shadow.map { "\(place), before `\($0.text)`: behind that it would have done nothing, or not for all it is for" } ?? place)
            if rule.method != "reject" {
                for entry in access.rules.rejects(overlapping: rule) {
                    plan.remarks.append("\(entry) refuses what it matches today, and will not where the rule matches it, too")
                }
            }
        }
        if access.isNewerThanServer { plan.remarks.append("\(access.file) was changed after the server has read it: the reload brings that in, too") }
        return plan
    }

    /// What there is on the server of what the rule names.
    private func doubts(about rule: HBARule, _ instance: Instance, _ connection: PostgresConnection?) async throws -> RuleDoubts {
        do {
            return RuleDoubts(about: rule, by: try await instance.reach(of: rule, through: connection, deadline: .after(.seconds(60))), on: node.target.name)
        } catch let error as PostgresError where error.code == "2201B" {
            return RuleDoubts(problems: [Problem("\(node.target.name): the server cannot read the regular expression", because: error)])
        }
    }

    private func remove(_ run: String, _ access: AccessRules) -> ConfigurationPlan {
        var plan = ConfigurationPlan()
        guard let mark = HBAMark("pggraft \(run)"), let content = access.content else {
            plan.problems.append(Problem("\(node.target.name): there is nothing of run \(run) in \(access.file)"))
            return plan
        }
        refusals(access, &plan)
        var file = HBAFile(content, for: access.server)
        guard file.remove(marked: mark) else {
            plan.seen = "no line of run \(run) is in \(access.file)"
            return plan
        }
        plan.edits = [ConfigurationEdit(path: access.file, before: content, after: file.render())]
        return plan
    }

    private func remove(_ lines: [String], _ access: AccessRules) -> ConfigurationPlan {
        var plan = ConfigurationPlan()
        refusals(access, &plan)
        guard let content = access.content else { return plan }
        var file = HBAFile(content, for: access.server), isChanged = false
        for rule in HBAFile(lines.joined(separator: "\n"), for: access.server).rules { isChanged = file.remove(rule) || isChanged }
        guard isChanged else {
            plan.seen = "\(access.file) has no such line"
            plan.needsReload = access.isNewerThanServer
            return plan
        }
        plan.edits = [ConfigurationEdit(path: access.file, before: content, after: file.render())]
        return plan
    }

    /// With lines that the server refuses it would not take the new one either.
    private func refusals(_ access: AccessRules, _ plan: inout ConfigurationPlan) {
        for entry in access.rules.refusals {
            let reason = access.reason(against: entry) ?? "", isMarked = entry.line == 1 && (access.content ?? []).starts(with: SettingsFile.byteOrderMark)
            let hint = reason.contains("Permission denied") ? unreadable : isMarked ? Self.marked : "correct it first"
            plan.problems.append(Problem("\(node.target.name): \(entry): the server refuses the whole file for this line: \(reason)", hint: hint))
        }
    }
}

extension InstanceConfiguration {
    /// What a list is edited from: the text of the files, else the server's default. Not what the asking session has.
    fileprivate func listText(_ name: String) -> String? { tree.deciding(name)?.value ?? inForce?.row(name)?.defaultValue }
}

extension SettingReport {
    fileprivate var isFromNoFile: Bool {
        if case .file = decider { false } else { true }
    }
}

extension HBARisk {
    /// The option with which an operator names it.
    public var flag: String {
        switch self {
        case .everyAddress: "any-address"
        case .trustOverNetwork: "trust-over-network"
        case .clearTextOverNetwork: "clear-text-over-network"
        case .regularExpression: "regex"
        }
    }
}
