import EventLoop
import Instance
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
            plan = allow(line, accepting, access, mark: run)
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
                plan.problems.append(Problem("\(node.target.name): the server refuses its files as they are: \(problem)", hint: "correct that line first"))
            }
        } else if connection == nil, try await instance.status(deadline: deadline).isRunning {
            // Where it cannot be judged by, it is not begun.
            try await instance.checkLog(deadline: deadline)
        }
        plan.remarks = plan.remarks.map(Redaction.redacted)
        plan.seen = Redaction.redacted(plan.seen)
        plan.problems = plan.problems.map { Problem(Redaction.redacted($0.fact), hint: $0.hint) }
        return plan
    }

    // MARK: Settings

    private func settings(
        _ assignments: [ConfigurationRequest.Assignment], _ configuration: InstanceConfiguration, _ instance: Instance
    ) throws -> ConfigurationPlan {
        let name = node.target.name
        var plan = ConfigurationPlan(names: assignments.map(\.name))
        for error in configuration.tree.errors {
            plan.problems.append(Problem("\(name): \(error.fact): with an error in the files the server takes nothing of them", hint: "correct that line first"))
        }
        var changes: [(name: String, value: String?)] = []
        for assignment in assignments {
            if let problem = obstacle(to: assignment, configuration, instance) {
                plan.problems.append(problem)
                continue
            }
            let pending = changes.last { isSameSetting($0.name, assignment.name) }
            switch result(of: assignment, from: pending.map { $0.value } ?? configuration.listText(assignment.name), instance.version) {
            case .success(let value): changes.append((assignment.name, value))
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
            seen.append("\(setting) = \(report.value ?? "the default"), from \(report.origin)" + (plan.waitingForRestart.contains(setting) ? "; waits for a restart" : ""))
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
        if Redaction.redacted(assignment.value) != assignment.value {
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
        guard report.isKnown || assignment.operation == .reset else {
            return Problem("\(node): the server knows no setting \(name)", hint: "`pggraft conf show` lists those that are set")
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

    /// The text that the files shall have for it; `nil` for no line at all.
    private func result(of assignment: ConfigurationRequest.Assignment, from current: String?, _ version: MajorVersion) -> Result<String?, Problem> {
        let node = node.target.name, name = assignment.name, element = assignment.value
        switch assignment.operation {
        case .set: return .success(element)
        case .reset: return .success(nil)
        case .add, .remove: break
        }
        let isAdded = assignment.operation == .add
        func invalid(_ value: String) -> Result<String?, Problem> {
            .failure(Problem("\(node): \(name) = '\(value)' is no valid list", hint: "set it as a whole: \(name)=…"))
        }
        switch ListSetting.of(name, in: version) {
        case nil: return .failure(Problem("\(node): \(name) is no list", hint: "set it as a whole: \(name)=…"))
        case .standbyNames:
            guard let list = StandbyNames(current ?? "", version: version) else { return invalid(current ?? "") }
            let changed = isAdded ? list.adding(element) : list.removing(element)
            guard changed.isSatisfiable || changed.names.isEmpty else {
                return .failure(
                    Problem(
                        "\(node): \(name) = '\(changed)' waits for \(changed.number) standbys and names \(changed.names.count): every commit would hang",
                        hint: "set it as a whole, with a smaller number"))
            }
            return .success(changed.names.isEmpty ? "" : changed.description)
        case .list(let syntax):
            guard let list = SettingList(current ?? "", syntax: syntax) else { return invalid(current ?? "") }
            // What is not in it is out of it.
            guard isAdded || list.contains(element) else { return .success(current) }
            return .success((isAdded ? list.adding(element) : list.removing(element)).description)
        }
    }

    // MARK: Rules

    private func allow(_ line: String, _ accepting: [String], _ access: AccessRules, mark: String?) -> ConfigurationPlan {
        let node = node.target.name
        var plan = ConfigurationPlan()
        let wanted = HBAFile(line, for: access.server)
        guard let rule = wanted.rules.first, wanted.invalidLines.isEmpty else {
            let why = wanted.invalidLines.first?.problem ?? "it is no rule"
            plan.problems.append(Problem("\(node): PostgreSQL \(access.server.version) would not read the line `\(line)`: \(why)"))
            return plan
        }
        for risk in rule.risks where !accepting.contains(risk.flag) {
            plan.problems.append(Problem("\(node): \(rule.explanation(of: risk))", hint: "name the risk, if that is meant: --\(risk.flag)"))
        }
        if rule.type == .hostssl, !access.server.sslIsOn {
            plan.problems.append(Problem("\(node): the rule is for SSL connections, and ssl is off: it would match nothing"))
        }
        refusals(access, &plan)
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
            plan.remarks.append(shadow.map { "\(place): behind \($0) it would have done nothing, or not for all it is for" } ?? place)
        }
        if access.isNewerThanServer { plan.remarks.append("\(access.file) was changed after the server has read it: the reload brings that in, too") }
        return plan
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

    /// With lines that the server refuses it would not take the new one either.
    private func refusals(_ access: AccessRules, _ plan: inout ConfigurationPlan) {
        for entry in access.rules.refusals {
            plan.problems.append(Problem("\(node.target.name): \(entry): the server refuses the whole file for this line", hint: "correct it first"))
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
        }
    }
}
