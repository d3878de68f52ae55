import Datanode
import EventLoop
import ProcedureKit
import Report
import Run

/// Restart the GTM where something was committed that it holds for open: until then readers see half of it, or an error.
struct RestartGTM: LeavesNothing {
    static let name = "restart-gtm"
    /// Whether it was restarted since.
    static let isRestarted = Fact<Bool>("GTM restarted")

    let order: FailedDatanode
    var title: String { "Restart the GTM, where a transaction in doubt was committed" }
    var leavesNothing: String { "it runs again" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        guard memory.began(SettleInDoubt.self) || memory.began(PromoteSuccessor.self) else {
            let reason = "only where a transaction was committed that it holds for open"
            return .done(try order.mayRestartGTM(memory) ? reason : "\(reason), and with --restart-gtm")
        }
        if try memory.recall(Self.isRestarted) == true { return .done("it was restarted") }
        // Once there is traffic, the verification looks.
        if memory.began(TellCoordinators.self) { return .done("the coordinators were told") }
        let committed = (try memory.recall(SettleInDoubt.decided) ?? []).filter(\.isCommitted).map(\.transaction)
        let held = try await committed.isEmpty ? order.committedAndOpen().map { "T\($0)" } : committed
        if held.isEmpty { return .done("it holds nothing for open that was committed") }
        let words = "\(list(held, atMost: 5)) \(held.count == 1 ? "was" : "were") committed"
        guard try order.mayRestartGTM(memory) else { return .blocked([Self.refused(words)]) }
        return .needed([Change("gtm: gtm_ctl restart, for \(words): transactions that begin meanwhile wait or fail")])
    }

    static func refused(_ reason: String) -> Problem {
        Problem(
            "\(reason), and the GTM holds that for open: it has to be restarted, which has not been allowed",
            hint: "`pggraft resume RUN --restart-gtm` does so (or `restart_gtm: yes` in the playbook). It takes about a second; transactions that begin meanwhile wait or fail")
    }

    func perform(_ run: StepRun) async throws -> String {
        try await order.gtm().restart(deadline: .after(.seconds(120)))
        try run.remember(Self.isRestarted, true)
        return "it runs again"
    }
}

extension FailedDatanode {
    /// Transactions that a datanode has committed, at which nobody works, and which the GTM holds for open all the same.
    func committedAndOpen() async throws -> [UInt32] {
        var held = try await held()
        guard !held.isEmpty else { return [] }
        do {
            // It may just not have been told yet.
            try await wait(for: "the GTM to be told of what was committed", until: .after(.seconds(4)), every: .milliseconds(300)) { () -> Look<Void> in
                held.formIntersection(try await self.held())
                return held.isEmpty ? .found(()) : .notYet("\(held.count)")
            }
        } catch is DeadlineExceeded {
            return held.sorted()
        }
        return []
    }

    private func held() async throws -> Set<UInt32> {
        let looks = await attemptOnEach(coordinators) { try await self.coordinator($0).openTransactions(deadline: .after(.seconds(10))) }
        try Task.checkCancellation()
        // All have it from the one GTM.
        guard let open = looks.lazy.compactMap({ look -> Set<UInt32>? in if case .success(let open) = look.result { open } else { nil } }).first else {
            let why = looks.compactMap { look in if case .failure(let error) = look.result { Problem(explaining: error).fact } else { nil } }
            throw Problem("what the GTM holds for open cannot be seen, for no coordinator can be asked: \(why.joined(separator: "; "))", hint: "start one, and resume")
        }
        let servers = [slave] + others, access = access, silent = silent
        let running = await attemptOnEach(servers + coordinators) { name in
            try await access.server(name, deadline: silent.deadline(for: name, .seconds(10))).runningTransactions(deadline: .after(.seconds(10)))
        }
        try Task.checkCancellation()
        let idle = running.reduce(into: open) { idle, look in if case .success(let busy) = look.result { idle.subtract(busy) } }
        var held: Set<UInt32> = []
        for transaction in idle.sorted() {
            let answers = await attemptOnEach(servers) { name in
                try await access.server(name, deadline: silent.deadline(for: name, .seconds(10))).hasCommitted(transaction, deadline: .after(.seconds(10)))
            }
            try Task.checkCancellation()
            if answers.contains(where: { if case .success(true?) = $0.result { true } else { false } }) { held.insert(transaction) }
            // One that cannot be asked may have: the others are told of it by their own requirement.
            for case (slave, .failure(let error)) in answers.map({ ($0.name, $0.result) }) { throw error }
        }
        return held
    }
}
