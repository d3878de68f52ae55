import EventLoop
import Playbook
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server

/// Write the list of standbys that commits wait for, where it takes effect.
struct ChangeSynchronousStandbys: Step {
    static let name = "synchronous"
    let standbys: SynchronousStandbys

    var title: String {
        switch standbys.change {
        case .waitFor, .add: "Change \(list(standbys.waitedFor)) to synchronous mode"
        case .off: "Change replication to asynchronous mode"
        case .remove(let name): "Change \(name) to asynchronous mode"
        }
    }

    /// The node that is changed, and what its `synchronous_standby_names` says then.
    static let primary = Fact<String>("primary")
    static let value = Fact<String>("synchronous_standby_names")
    /// What it said before.
    private static let before = Fact<String>("synchronous_standby_names before")

    func inspect(_ memory: Memory) async throws -> Inspection {
        let (primary, names, now) = try await wanted()
        if names == now { return .done("\(primary): synchronous_standby_names = '\(now)'") }
        return try await write(names, on: primary).inspect(memory)
    }

    func perform(_ run: StepRun) async throws -> String {
        let (primary, names, now) = try await wanted()
        try run.remember(Self.primary, primary)
        try run.remember(Self.value, "\(names)")
        if try run.memory.recall(Self.before) == nil { try run.remember(Self.before, "\(now)") }
        return "\(primary): '\(now)' → '\(names)', " + (try await write(names, on: primary).perform(run))
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let primary = try run.memory.recall(Self.primary), let text = try run.memory.recall(Self.value) else { return .undone([]) }
        return try await write(text, on: primary).undo(run)
    }

    /// What commits would wait for again after an undo, and is not there.
    func missingAfterUndo(_ memory: Memory) async throws -> String? {
        guard let primary = try memory.recall(Self.primary), let text = try memory.recall(Self.before), let look = try await standbys.look()[primary]?.look,
            let list = StandbyNames(text, version: try await standbys.group.access.server(primary).features.version)
        else { return nil }
        let there = look.senders.filter { $0.isStreaming && list.contains($0.application) }.count
        guard there < list.number, !list.contains("*") else { return nil }
        return "commits on \(primary) would wait for \(list) again, and \(there == 0 ? "none" : "only \(there)") of them \(there > 1 ? "stream" : "streams"): they would hang"
    }

    private func wanted() async throws -> (primary: String, names: StandbyNames, now: StandbyNames) {
        let view = try await standbys.look(), primary = try view.primary(), server = try await standbys.group.access.server(primary.name)
        let now = try await server.synchronousStandbyNames(deadline: .after(.seconds(20)))
        return (primary.name, try view.standbyNames(after: standbys.change, from: now, server.features.version), now)
    }

    private func write(_ names: some CustomStringConvertible, on primary: String) async throws -> WriteConfiguration {
        let assignment = ConfigurationRequest.Assignment("synchronous_standby_names", .set, "\(names)")
        return WriteConfiguration(node: try await standbys.primary(called: primary), request: ConfigurationRequest(.settings([assignment])))
    }
}
