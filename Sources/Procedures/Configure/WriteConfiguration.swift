import EventLoop
import Foundation
import Instance
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run

/// Writes the files, has the server judge them, and puts them back where it refuses.
struct WriteConfiguration: Step {
    let node: ConfiguredNode
    let request: ConfigurationRequest
    static let name = "configure"

    var title: String {
        let name = node.target.name
        return switch request.change {
        case .settings(let assignments): "Change \(list(Array(Set(assignments.map(\.name))).sorted())) on \(name)"
        case .allow: "Let a connection in on \(name)"
        case .removeLines(let lines): "Take \(lines.count == 1 ? "a line" : "\(lines.count) lines") out of pg_hba.conf on \(name)"
        case .removeRules(let run): "Take the lines of run \(run) out of pg_hba.conf on \(name)"
        }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let plan = try await plan(try memory.header?.run)
        guard plan.problems.isEmpty else { return .blocked(plan.problems) }
        guard !plan.edits.isEmpty || plan.needsReload || plan.needsRestart else { return .done(plan.seen) }
        var changes = plan.edits.map { Change("\($0.path)", diff: $0.diff) }
        if try await isRunning() {
            changes.append(Change("reload the server, and read back what it made of the files"))
            if plan.needsRestart { changes.append(Change("restart the server: \(list(plan.waitingForRestart)) needs it")) }
        } else {
            let isOfSettings = if case .settings = request.change { true } else { false }
            changes.append(Change("the server does not run: " + (isOfSettings ? "its programs check the files" : "it reads the rules when it starts")))
        }
        return .needed(changes + plan.remarks.map { Change($0) })
    }

    private func isRunning() async throws -> Bool {
        let deadline = Deadline.after(.seconds(20))
        return try await node.instance(deadline: deadline).status(deadline: deadline).isRunning
    }

    func perform(_ run: StepRun) async throws -> String {
        let plan = try await plan(try run.memory.header?.run)
        guard plan.problems.isEmpty else { throw Blocked(problems: plan.problems) }
        let instance = try await node.instance(deadline: .after(.seconds(20))), kept = KeptFiles(instance: instance)
        let isOfSettings = if case .settings = request.change { true } else { false }
        // What it would not start with anyhow is no reason to refuse a change, which may be the first of several that mend it.
        let before = isOfSettings ? try await startProblems(plan, instance) : []
        // Where it was started to log to, once it is stopped.
        var log: HostPath?
        do {
            for edit in plan.edits {
                if isOfSettings { try remember(edit, plan, run) }
                try await kept.apply(edit, run, deadline: .after(.seconds(60)))
            }
            return try await prove(plan, instance, run, before, &log)
        } catch let error where !((error as? HostError)?.isOfConnection ?? false) && !(error is JournalError) {
            let said = await words(of: error, instance)
            // In a task of its own, so that Ctrl-C does not leave half of it.
            throw await Task { [log] in await putBack(said, kept, instance, run, log) }.value
        }
    }

    /// Why the server would not start with its files as they are; nothing where nobody is about to start it.
    private func startProblems(_ plan: ConfigurationPlan, _ instance: Instance) async throws -> [ConfigurationProblem] {
        let deadline = Deadline.after(.seconds(60)), isRunning = try await instance.status(deadline: deadline).isRunning
        guard !isRunning || !plan.waitingForRestart.isEmpty else { return [] }
        do {
            _ = try await instance.checkStart(through: isRunning ? try await node.connection(deadline: deadline) : nil, deadline: deadline)
        } catch InstanceError.configurationRefused(_, let problems) {
            return problems
        }
        return []
    }

    /// Asks the server's program what a start would come to.
    /// - Parameter before: why it would not have started before the change.
    /// - Returns: what is to be said of it.
    private func proveStart(_ instance: Instance, _ before: [ConfigurationProblem], isRunning: Bool) async throws -> String {
        let deadline = Deadline.after(.seconds(60))
        do {
            return switch try await instance.checkStart(through: isRunning ? try await node.connection(deadline: deadline) : nil, deadline: deadline) {
            case .begun: ""
            case .values: isRunning ? "; its program accepts the files, and whether it starts with them only a start shows" : ""
            case .none: "; whether it starts with them only a start shows"
            }
        } catch InstanceError.configurationRefused(_, let problems) where !problems.isEmpty && problems.allSatisfy(before.contains) {
            return "; it would not start with its files, as it would not before: \(list(problems.map(\.error)))"
        }
    }

    /// Has the server read the files; where it does not run, has its programs read them.
    /// - Parameter log: gets where the server was started to log to, before it is stopped.
    private func prove(
        _ plan: ConfigurationPlan, _ instance: Instance, _ run: StepRun, _ before: [ConfigurationProblem], _ log: inout HostPath?
    ) async throws -> String {
        let deadline = Deadline.after(.seconds(60))
        guard try await instance.status(deadline: deadline).isRunning else {
            guard case .settings = request.change else { return "the server does not run; no program but the server reads these rules, they were checked here only" }
            return "the server does not run; its programs accept the files" + (try await proveStart(instance, before, isRunning: false))
        }
        var pending: [String], judge = "read back"
        if let connection = try await node.connection(deadline: deadline), instance.features.hasHBARulesView {
            pending = try await instance.reload(expecting: plan.expecting, through: connection, deadline: deadline).pendingRestart
            // A session keeps what it began with.
            if plan.needsNewSession { await node.forgetConnection() }
            _ = try await readBack(plan, instance)
        } else {
            pending = try await instance.reloadByLog(deadline: deadline).pendingRestart
            judge = "accepted, as the server's log says"
        }
        pending = pending.filter { name in plan.names.contains { isSameSetting($0, name) } }
        guard !pending.isEmpty else { return "reloaded and \(judge)" }
        let start = try await proveStart(instance, before, isRunning: true)
        guard request.restarts else { return "written and \(judge); waits for a restart: \(list(pending))\(start)" }
        run.progress("restarting the server")
        log = try await instance.startLog(deadline: deadline)
        await node.forgetConnection()
        try await instance.restart(deadline: .after(.seconds(600)))
        guard try await readBack(plan, instance) else {
            return "restarted; nobody could ask it afterwards: \(await node.whyUnasked ?? "")"
        }
        return "restarted and \(judge)"
    }

    /// What `pg_settings` and `pg_hba_file_rules` must say by now.
    /// - Returns: whether anybody could ask.
    private func readBack(_ plan: ConfigurationPlan, _ instance: Instance) async throws -> Bool {
        let deadline = Deadline.after(.seconds(30))
        guard let connection = try await node.connection(deadline: deadline) else { return false }
        let now = try await instance.configuration(through: connection, deadline: deadline)
        for (name, value) in plan.expecting {
            let report = now.report(name)
            // A value that the server had by default is not taken from the file, one of the asking role hides it from this session only.
            if case .session = report.decider, now.tree.deciding(name)?.value == value { continue }
            guard now.tree.deciding(name)?.value == value, report.state != .waitsForReload(value), !report.isDecidedAtStart else {
                throw Problem("\(node.target.name): \(name) was written and something else decides: \(report.origin)")
            }
        }
        guard let rule = plan.rule else { return true }
        let access = try await instance.accessRules(now, through: connection, deadline: deadline)
        guard access.rules.areAccepted, access.rules.entries.contains(where: { $0.reading.rule == rule }) else {
            throw Problem("\(node.target.name): the rule was written and is not what the server reads in \(access.file)")
        }
        return true
    }

    /// `error`, with what the server's own program says of files that the server refuses: its views say that a value cannot be
    /// used, and not why; its log does.
    private func words(of error: any Error, _ instance: Instance) async -> any Error {
        guard instance.features.hasHBARulesView,
            case InstanceError.configurationRefused(let node, let problems)? = error as? InstanceError
        else { return error }
        do {
            try await instance.checkFiles(deadline: .after(.seconds(20)))
        } catch InstanceError.configurationRefused(_, let words) {
            return InstanceError.configurationRefused(node: node, problems: problems + words)
        } catch {
            // What the server itself has said is enough.
        }
        return error
    }

    /// Puts the files back after an error, and has the server read those.
    /// - Returns: the error, with the state that things are in.
    private func putBack(_ error: any Error, _ kept: KeptFiles, _ instance: Instance, _ run: StepRun, _ log: HostPath?) async -> any Error {
        let deadline = Deadline.after(.seconds(120))
        do {
            if case .left(let problems, _) = try await kept.restore(run, deadline: deadline) {
                return Problem(explaining: error, leaving: "not everything is as it was: \(list(problems.map(\.description)))")
            }
        } catch let second {
            return Problem(
                explaining: error, leaving: "putting the files back did not work either: \(Problem(explaining: second).fact)",
                hint: "the previous version of each file is beside it")
        }
        var waiting: [String] = [], isStartedAgain = false
        do {
            switch try await instance.status(deadline: deadline) {
            // What it has read of the refused files goes again.
            case .running: waiting = try await reload(instance, deadline)
            case .stopped where request.restarts:
                try await instance.startAsBefore(logTo: log, deadline: .after(.seconds(600)))
                isStartedAgain = true
            case .stopped, .notACluster: break
            }
        } catch InstanceError.configurationRefused(_, let problems) {
            return Problem(explaining: error, leaving: "the files are as they were, and the server takes nothing of them, either: \(list(problems.map(\.description)))")
        } catch let second {
            return Problem(
                explaining: error, leaving: "the files are as they were, but the server was not brought to read them: \(Problem(explaining: second).fact)",
                hint: "what it runs with may be a part of what was refused: look at `pggraft conf show`, and reload or start it")
        }
        if error is CancellationError { return error }
        let runsWith = waiting.isEmpty ? "" : ", and the server waits for a restart to be so too (\(list(waiting)))"
        let started = isStartedAgain ? ", and the server, which was stopped for it, was started again as it had been" : ""
        return Problem(explaining: error, leaving: "the files are as they were\(runsWith)\(started)")
    }

    /// - Returns: settings that wait for a restart.
    private func reload(_ instance: Instance, _ deadline: Deadline) async throws -> [String] {
        if let connection = try await node.connection(deadline: deadline), instance.features.hasHBARulesView {
            return try await instance.reload(through: connection, deadline: deadline).pendingRestart
        }
        return try await instance.reloadByLog(deadline: deadline).pendingRestart
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let instance = try await node.instance(deadline: .after(.seconds(20))), deadline = Deadline.after(.seconds(120))
        var outcome = try await KeptFiles(instance: instance, of: run.step).restore(run, deadline: deadline)
        if case .left = outcome, case .allow = request.change, try await removeLine(instance, run, deadline) {
            outcome = .undone(["\(node.target.name): the line of this run is out of pg_hba.conf; what was changed since stays"])
        }
        if case .left = outcome, case .settings = request.change { outcome = try await restoreSettings(outcome, instance, run, deadline) }
        // Also where the files were put back earlier: the server may not have read them then.
        let lines = outcome.lines
        if case .left = outcome, lines.isEmpty { return outcome }
        guard try !KeptFiles.changed(on: instance.node, in: run.memory, by: run.step).isEmpty,
            try await instance.status(deadline: deadline).isRunning
        else { return outcome }
        let pending = try await reload(instance, deadline)
        let all = lines + ["reloaded" + (pending.isEmpty ? "" : "; waits for a restart: \(list(pending))")]
        if case .left(let problems, _) = outcome { return .left(problems, undone: all) }
        return .undone(all)
    }
}

extension WriteConfiguration {
    /// A setting as a run has written it into a file; without a value, as it has taken it out.
    private struct Written: Sendable, Codable {
        var name: String
        var value: String?
    }

    private static func written(_ path: HostPath) -> Fact<[Written]> { Fact("settings written into \(path)") }

    /// Writes down which settings `edit` changes, so that they are found in a file that others change.
    private func remember(_ edit: ConfigurationEdit, _ plan: ConfigurationPlan, _ run: StepRun) throws {
        let before = SettingsFile(edit.before ?? []), after = SettingsFile(edit.after ?? [])
        let changed = plan.names.filter { before.value(of: $0) != after.value(of: $0) }
        let earlier: [Written] = try run.memory.recall(Self.written(edit.path)) ?? []
        let kept = earlier.filter { written in !changed.contains { isSameSetting($0, written.name) } }
        try run.remember(Self.written(edit.path), kept + changed.map { Written(name: $0, value: after.value(of: $0)) })
    }

    /// Puts back the settings of this run in files that others have changed since, where they are as the run has written them.
    /// - Parameter whole: what became of the files as wholes.
    private func restoreSettings(_ whole: UndoOutcome, _ instance: Instance, _ run: StepRun, _ deadline: Deadline) async throws -> UndoOutcome {
        let host = instance.host, user = instance.user, node = node.target.name
        var left: [Problem] = [], lines = whole.lines
        for (path, kept) in try KeptFiles(instance: instance, of: run.step).originals(run.memory) {
            guard let written: [Written] = try run.memory.recall(Self.written(path)), let old = try await host.read(kept, as: user, deadline: deadline),
                let now = try await host.read(path, as: user, deadline: deadline)
            else { continue }
            let before = SettingsFile(old)
            var file = SettingsFile(now), others: [String] = [], own: [String] = []
            for setting in written {
                let name = setting.name, original = before.value(of: name), current = file.value(of: name)
                if current == original { continue }
                guard current == setting.value else {
                    others.append(name)
                    continue
                }
                if let original { file.set(name, to: original) } else { file.remove(name) }
                own.append(name)
            }
            try await ConfigurationEdit(path: path, before: now, after: file.render()).apply(on: host, as: user, deadline: deadline)
            if !own.isEmpty { lines.append("\(node): \(list(own)) in \(path) \(own.count == 1 ? "is" : "are") as before; what others have changed there stays") }
            if others.isEmpty {
                try await host.asOwner(user) { try await host.remove(kept, as: $0, deadline: deadline) }
            } else {
                left.append(
                    Problem(
                        "\(node): \(list(others)) in \(path) was changed since by someone else: left alone",
                        hint: "what it was before the run is in \(kept): make it what it should be, remove \(kept), and undo again"))
            }
        }
        if left.isEmpty, case .left(let problems, _) = try await KeptFiles(instance: instance, of: run.step).restore(run, deadline: deadline) { left = problems }
        return left.isEmpty ? .undone(lines) : .left(left, undone: lines)
    }

    /// Takes the line of this run out of a `pg_hba.conf` that somebody has changed since.
    /// - Returns: whether there is none in it any more.
    private func removeLine(_ instance: Instance, _ run: StepRun, _ deadline: Deadline) async throws -> Bool {
        guard let name = try run.memory.header?.run, let mark = HBAMark("pggraft \(name)") else { return false }
        let configuration = try await instance.configuration(through: try await node.connection(deadline: deadline), deadline: deadline)
        let path = configuration.files.hbaFile
        guard let content = try await instance.host.read(path, as: instance.user, deadline: deadline) else { return false }
        var file = HBAFile(content, for: HBAServer(instance.version))
        file.remove(marked: mark)
        try await ConfigurationEdit(path: path, before: content, after: file.render()).apply(on: instance.host, as: instance.user, deadline: deadline)
        let kept = try KeptFiles.place(of: path, run.memory)
        try await instance.host.asOwner(instance.user) { try await instance.host.remove(kept, as: $0, deadline: deadline) }
        return true
    }
}

extension SettingReport {
    /// Whether no file decides, because the server was started with the value.
    var isDecidedAtStart: Bool {
        switch decider {
        case .commandLine, .environment: true
        case .file, .session, .nobody: false
        }
    }

    /// Where the value comes from, in words.
    public var origin: String {
        switch decider {
        case .file(let entry): "\(entry.file):\(entry.line)"
        case .commandLine: "the server's command line"
        case .environment: "the server's environment"
        case .session: "the asking session (its client, ALTER ROLE or ALTER DATABASE)"
        case .nobody: "the server's default"
        }
    }
}
