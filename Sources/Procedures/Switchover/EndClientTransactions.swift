import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// End the transactions that clients still have open.
struct EndClientTransactions: LeavesNothing {
    static let name = "end-transactions"
    let group: SwitchedGroup
    /// How long they may go on.
    let grace: Duration
    var title: String { "Let client transactions on the primary come to their end, and terminate the rest" }
    var leavesNothing: String { "clients connect again by themselves" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await group.isPromoted() { return .done(group.promoted) }
        guard let roles = try await group.roles(memory) else { return .done(group.promoted) }
        if SwitchedGroup.goesForward(memory) { return .done("\(roles.new) was told to take its place") }
        return .needed([Change("\(roles.old): give client transactions \(grace.inSeconds), then pg_terminate_backend")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let roles = try run.recall(SwitchedGroup.roles), window = group.window, server = try await group.access.server(roles.old)
        guard let moment = try await window.moments()[roles.old] else { throw UnknownNode(name: roles.old) }
        let limit = try await window.deadline()
        do {
            let ended = try await server.endClientTransactions(
                begunBefore: moment, grace: grace, everywhere: true, deadline: limit.orAfter(grace + .seconds(2)))
            for transaction in ended { run.note("\(roles.old): terminated \(transaction)") }
            await window.book("client transactions")
            return "no client is writing; \(ended.count) had to be terminated"
        } catch let late as DeadlineExceeded where !limit.hasPassed {
            // Sessions that set default_transaction_read_only off for themselves go on: the stop of the server ends them for good.
            await window.book("client transactions")
            return "some clients write in spite of it, and are ended by the stop: \(late.lastSeen ?? "")"
        }
    }
}
