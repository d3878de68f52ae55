import EventLoop
import Instance
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Stop the standby, which nothing waits for any more.
struct StopStandby: Step {
    static let name = "stop-standby"
    /// Whether it ran.
    private static let ran = Fact<Bool>("standby ran")
    let dropped: DroppedStandby
    var title: String { "Stop \(dropped.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let view = try await dropped.look()
        guard let node = view[dropped.name] else { throw UnknownNode(name: dropped.name) }
        if let problem = view.obstacle(toDropping: node) { return .blocked([problem]) }
        switch node.state {
        case .serving: return .needed([Change("\(dropped.name): pg_ctl stop -m fast (\(view.description(of: node)))")])
        case .down(let data): return .done("it does not run (\(data.state.rawValue))")
        case .unreachable(let problem): return .done("it cannot be reached, and is left as it is: \(problem.fact)")
        case .deaf: return .done("")
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let view = try await dropped.look()
        try run.remember(DroppedStandby.ties, try await dropped.ties(run.memory, view))
        guard let node = view[dropped.name] else { throw UnknownNode(name: dropped.name) }
        // Looked at once more: it may have been promoted since.
        if let problem = view.obstacle(toDropping: node) { throw problem }
        let instance = try await dropped.group.access.instance(dropped.name)
        try run.remember(Self.ran, true)
        await dropped.group.access.forgetServer(dropped.name)
        try await instance.stop(mode: .fast, deadline: .after(.seconds(300)))
        return "stopped; \(instance.dataDirectory) is as it was"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard try run.memory.recall(Self.ran) == true else { return .undone([]) }
        let instance = try await dropped.group.access.instance(dropped.name), deadline = Deadline.after(.seconds(30))
        guard case .stopped = try await instance.status(deadline: deadline) else { return .undone([]) }
        guard [.shutDownInRecovery, .inArchiveRecovery].contains(try await instance.controlData(deadline: deadline).state) else {
            return .left([Problem("\(dropped.name) is no standby any more: left stopped", hint: "see what became of it")])
        }
        try await instance.start(deadline: .after(.seconds(600)))
        return .undone(["\(dropped.name) runs again"])
    }
}

/// Drop the slot that keeps WAL for it.
struct DropStandbySlot: Step {
    static let name = "drop-slot"
    private static let slot = Fact<SlotName>("slot that was dropped")
    let dropped: DroppedStandby
    var title: String { "Drop the replication slot of \(dropped.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let ties = try await dropped.ties(memory, try await dropped.look())
        guard let upstream = ties.upstream else { return .done("it streams from none of these nodes") }
        guard let found = try await dropped.slot(ties) else { return .done("\(upstream) has none for it") }
        guard found.plugin == nil else { return .blocked([Problem("\(upstream): \(found.name) is a logical replication slot", hint: "find out whose it is")]) }
        return .needed([Change("\(upstream): drop the slot \(found.name), which keeps \(UInt64(max(0, found.retainedBytes ?? 0)).inBytes) of WAL")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let ties = try await dropped.ties(run.memory, try await dropped.look())
        guard let upstream = ties.upstream, let slot = ties.slot else { return "there is none" }
        try run.remember(DroppedStandby.ties, ties)
        try run.remember(Self.slot, slot)
        try await dropped.group.access.server(upstream).dropSlotOfStoppedReader(slot)
        return "\(slot) on \(upstream) is dropped"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let slot = try run.memory.recall(Self.slot), let upstream = try run.memory.recall(DroppedStandby.ties)?.upstream else { return .undone([]) }
        let server = try await dropped.group.access.server(upstream), deadline = Deadline.after(.seconds(20))
        guard try await server.slot(slot, deadline: deadline) == nil else { return .undone([]) }
        try await server.createPhysicalSlot(slot, deadline: deadline)
        return .undone(["\(upstream): the slot \(slot) is there again, and keeps WAL from now on: what \(dropped.name) has missed it must still find there or in an archive"])
    }
}

/// Remove the data of the standby, where the playbook says so.
struct RemoveStandbyData: Step {
    static let name = "remove-data"
    private static let removed = Fact<String>("data that was removed")
    let dropped: DroppedStandby
    var title: String { "Remove the data of \(dropped.name)" }

    private func directory() async throws -> (instance: Instance, state: DataDirectoryState) {
        let instance = try await dropped.group.access.instance(dropped.name)
        return (instance, try await instance.dataDirectoryState(deadline: .after(.seconds(30))))
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let (instance, state) = try await directory()
        switch state {
        case .absent, .empty: return .done("\(instance.dataDirectory): \(state)")
        case .foreign where memory.began(Self.self): return .needed([Change("\(dropped.name): go on emptying \(instance.dataDirectory)")])
        case .foreign: return .blocked([Problem("\(dropped.name): \(instance.dataDirectory): \(state)", hint: "say `data: keep`, and look at it")])
        case .cluster: return .needed([Change("\(dropped.name): empty \(instance.dataDirectory) and what it has in tablespaces; nothing brings that back")])
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let (instance, state) = try await directory(), deadline = Deadline.after(.seconds(60)), access = dropped.group.access
        if case .cluster = state {
            guard try await !instance.status(deadline: deadline).isRunning else { throw Problem("\(dropped.name) runs again", hint: "find out who has started it; then resume") }
            let data = try await instance.controlData(deadline: deadline), primary = try await dropped.look().primary().name
            guard [.shutDownInRecovery, .inArchiveRecovery].contains(data.state),
                data.systemIdentifier.number == (try await access.systemIdentifier(of: primary, deadline: deadline))
            else {
                throw Problem("\(dropped.name): \(instance.dataDirectory) is that of no standby of \(primary) (\(data.state.rawValue))", hint: "look at it, and remove it by hand")
            }
        }
        try run.remember(Self.removed, instance.dataDirectory.path)
        try await instance.removeData(deadline: .after(.seconds(3600)))
        return "\(instance.dataDirectory) is empty"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let directory = try run.memory.recall(Self.removed) else { return .undone([]) }
        return .left([Problem("\(dropped.name): what was in \(directory) is gone", hint: "make it anew: `procedure: hot-standby`")])
    }
}

/// The standby may be taken out: it is no primary, nobody streams from it, and it can be stopped.
struct StandbyMayGo: Requirement {
    let name = "standby"
    let dropped: DroppedStandby
    let removesData: Bool
    var place: String? { dropped.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        let view = try await dropped.look(), primary = try view.primary()
        guard let node = view[dropped.name] else { throw UnknownNode(name: dropped.name) }
        if let problem = view.obstacle(toDropping: node) { return [Finding(notMet: name, on: dropped.name, problem)] }
        var findings = [Finding("primary", on: primary.name, view.description(of: primary))]
        if case .unreachable(let problem) = node.state {
            let hint = "its server is not stopped and its data not looked at; what is kept for it on the others goes"
            findings.append(
                removesData
                    ? Finding(notMet: name, on: dropped.name, Problem(problem.fact, hint: "say `data: keep`: its host cannot be reached"))
                    : Finding(name, on: dropped.name, problem.fact, .note(hint: hint)))
        } else {
            findings.append(Finding(name, on: dropped.name, view.description(of: node)))
        }
        if case .serving = node.state { findings += try await ServiceIsOurs.look(at: dropped.name, of: dropped.group.access) }
        return findings
    }
}
