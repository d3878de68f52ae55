import EventLoop
import ProcedureKit
import Report
import Run

/// Stop clients' writes at the primary. The window opens.
struct ClosePrimary: Step {
    static let name = "close"
    let group: SwitchedGroup
    let locks: ClusterLocks
    let limit: Duration, lease: Duration
    var title: String { "Stop clients' writes at the primary" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        if SwitchedGroup.goesForward(memory) { return .done("\(roles.new) was told to take its place") }
        return .needed([
            Change("\(roles.old): a watchdog that starts and opens it by itself when pggraft has not renewed its lease for \(lease.inSeconds)"),
            Change("\(roles.old): ALTER SYSTEM SET default_transaction_read_only = on, reload, read back: ordinary clients begin no more writes; until \(roles.new) is promoted"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), window = group.window
        try await locks.keep()
        try await window.remember([roles.old], run)
        // Connected now, so that it need not be in the window.
        _ = try await (group.access.server(roles.new), group.access.instance(roles.old), group.access.instance(roles.new))
        let access = group.access
        _ = await attemptOnEach(roles.others.map(\.name)) { _ = try await access.server($0, deadline: .after(.seconds(5))) }
        await group.begins()
        try await window.begin([roles.old], watching: [roles.new], run.memory)
        await window.book("read-only")
        return "in force on \(roles.old); the window may last \(limit.inSeconds)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if try await group.isPromoted() { return .nothing(because: group.keeps) }
        guard SwitchedGroup.isClosed(run.memory) else { return .nothing(because: "the primary was opened again") }
        let problems = await group.goBack(run.memory)
        return problems.isEmpty ? .undone(["the primary takes writes"]) : .left(problems)
    }
}
