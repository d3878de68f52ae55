import Datanode
import EventLoop
import ProcedureKit
import Report
import Run

/// Restart the GTM where something was committed that it still holds for open: until then readers see half of it, or an error.
struct RestartGTM: LeavesNothing {
    static let name = "restart-gtm"
    /// Whether it was restarted since.
    static let isRestarted = Fact<Bool>("GTM restarted")

    let order: FailedDatanode
    var title: String { "Restart the GTM, where a transaction in doubt was committed" }
    var leavesNothing: String { "it runs again" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard memory.began(SettleInDoubt.self) || memory.began(TellCoordinators.self) else {
            let reason = "only where a transaction in doubt is committed"
            return .done(try order.mayRestartGTM(memory) ? reason : "\(reason), and with --restart-gtm")
        }
        let committed = (try memory.recall(SettleInDoubt.decided) ?? []).filter(\.isCommitted).map(\.transaction)
        if committed.isEmpty { return .done("no transaction in doubt was committed") }
        if try memory.recall(Self.isRestarted) == true { return .done("it was restarted") }
        guard try order.mayRestartGTM(memory) else { return .blocked([Self.refused("\(list(committed)) \(committed.count == 1 ? "was" : "were") in doubt and committed")]) }
        return .needed([Change("gtm: gtm_ctl restart, for \(list(committed)): transactions that begin meanwhile wait or fail")])
    }

    static func refused(_ reason: String) -> Problem {
        Problem(
            "\(reason), and the GTM still holds that for open: it has to be restarted, which has not been allowed",
            hint: "`pggraft resume --restart-gtm` does so (or `restart_gtm: yes` in the playbook). It takes about a second; transactions that begin meanwhile wait or fail")
    }

    func perform(_ run: StepRun) async throws -> String {
        try await order.gtm().restart(deadline: .after(.seconds(120)))
        try run.remember(Self.isRestarted, true)
        return "it runs again"
    }
}
