import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Stop the primary fast, and see that its last WAL is on the standby: it ends with the checkpoint of the shutdown.
struct StopPrimary: Step {
    static let name = "stop"
    /// Where the checkpoint of the shutdown is.
    static let checkpoint = Fact<LSN>("shutdown checkpoint")
    let group: SwitchedGroup
    var title: String { "Stop the primary (fast), and see its shutdown checkpoint on \(group.new)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        if SwitchedGroup.goesForward(memory) { return .done("\(roles.old) is stopped") }
        return .needed([
            Change("\(roles.old): pg_ctl stop -m fast; every session ends there"),
            Change("\(roles.new): replay up to the shutdown checkpoint that pg_controldata shows on \(roles.old)"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), access = group.access, deadline = try await group.window.deadline()
        let instance = try await access.instance(roles.old)
        await access.forgetServer(roles.old)
        let data = try await instance.stopAndReadControlData(deadline: deadline)
        await group.window.book("stop")
        guard data.state == .shutDown else {
            throw Problem("\(roles.old) did not shut down cleanly: its state is \"\(data.state.rawValue)\"", hint: "see the end of its server log")
        }
        try run.remember(Self.checkpoint, data.checkpoint)
        // A record's position is its beginning: what is replayed is past it.
        try await access.server(roles.new).waitReplayed(to: LSN(position: data.checkpoint.position + 1), of: roles.old, deadline: deadline)
        await group.window.book("shutdown checkpoint")
        return "\(roles.old) is shut down; its last record, the checkpoint at \(data.checkpoint), is on \(roles.new)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if try await group.isPromoted() { return .nothing(because: group.keeps) }
        guard SwitchedGroup.isClosed(run.memory) else { return .nothing(because: "the primary was opened again") }
        let problems = await group.goBack(run.memory)
        return problems.isEmpty ? .undone(["the primary runs"]) : .left(problems)
    }
}
