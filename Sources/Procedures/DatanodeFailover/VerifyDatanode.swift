import Datanode
import EventLoop
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Run
import Server

/// Verify through every coordinator: every table is read, and a row is written and removed again. Nothing is left prepared that nobody works at.
struct VerifyDatanode: LeavesNothing {
    static let name = "verify"
    static let said = Fact<String>("verification")
    let order: FailedDatanode
    var title: String { "Verify through every coordinator: read every table, write a row to every datanode and remove it" }
    var leavesNothing: String { "what it wrote it has removed" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let said = try memory.recall(Self.said) { return .done(said) }
        let late = "every node: COMMIT or ROLLBACK PREPARED what a coordinator has left there and works at no more, by the rule of \(SettleInDoubt.name)"
        return .needed(order.coordinators.map { Change("\($0): read every table, and write to a temporary one on every datanode") } + [Change(late)])
    }

    func perform(_ run: StepRun) async throws -> String {
        try await order.verify(run)
    }
}

extension FailedDatanode {
    /// Has every coordinator that can be reached show that the cluster works; restarts the GTM where that stands in the way, if it may.
    /// - Returns: what was seen; that is kept once it was seen through every coordinator.
    func verify(_ run: StepRun) async throws -> String {
        // They are all asked whether they are there, before one of them makes a table on all.
        var absent: [String: Problem] = [:]
        for (name, result) in await attemptOnEach(coordinators, { try await self.coordinator($0) }) {
            if case .failure(let error) = result { absent[name] = Problem(explaining: error) }
        }
        try Task.checkCancellation()
        for (name, problem) in absent.sorted(by: { $0.key < $1.key }) { run.note("\(name) cannot be asked: \(problem.fact)") }
        let present = coordinators.filter { absent[$0] == nil }, isWhole = absent.isEmpty, counted = tables.map { ($0.schema, $0.name) }
        func look() async throws -> [String: DatanodeCheck] {
            try await onEach(present) { name in
                // One that crashed, or connects to another one that has, is well again in a moment.
                try await wait(for: "\(name) to read and write everywhere", until: .after(.seconds(120)), every: .milliseconds(200)) { () -> Look<DatanodeCheck> in
                    do {
                        return .found(try await self.coordinator(name).check(counting: counted, writes: isWhole, deadline: .after(.seconds(120))))
                    } catch let error as PostgresError where DatanodeCheck.mayPass(error) {
                        // Its temporary table is as it was left.
                        await self.access.forgetServer(name)
                        run.progress("\(name): \(error.fact.onOneLine)")
                        return .notYet(error.fact)
                    }
                }
            }
        }
        try await startGTM(run)
        for other in others where !silent.contains(other) { if let hanging = try await hangingCommits(on: other) { throw hanging } }
        var seen: [String: DatanodeCheck] = [:], late = try await SettleLate(order: self, run: run).settle(), restarts = 0
        while let open = try await heldOpen({ seen = try await look() }) {
            guard try mayRestartGTM(run.memory) else { throw RestartGTM.refused(open) }
            // What is committed late may be held once more.
            guard restarts < 3 else { throw Problem("\(open), and the GTM holds that for open, \(restarts) restarts later", hint: "see the GTM's log, and resume") }
            restarts += 1
            run.note("the GTM is restarted: \(open)")
            try await gtm().restart(deadline: .after(.seconds(120)))
            try run.remember(RestartGTM.isRestarted, true)
            // Who was in a commit meanwhile may have failed in it.
            late = try await SettleLate(order: self, run: run).settle()
        }
        let said = (present.compactMap { name in seen[name].map { "\(name): \($0)" } } + [late.words]).joined(separator: "; ")
        if isWhole, late.isSettled { try run.remember(VerifyDatanode.said, said) }
        return said
    }

    /// What the GTM holds for open although a datanode has committed it, in words, where every coordinator looks; `nil` for nothing.
    private func heldOpen(_ look: () async throws -> Void) async throws -> String? {
        do { try await look() } catch let error where DatanodeCheck.isGTMBehind(error) { return Problem(explaining: error).fact }
        // A table may be read that has no row of such a transaction where it was looked at.
        let held = try await committedAndOpen().map { "T\($0)" }
        return held.isEmpty ? nil : "\(list(held, atMost: 5)) \(held.count == 1 ? "was" : "were") committed"
    }

    /// Starts the GTM where a process of the run was killed between its end and its start.
    private func startGTM(_ run: StepRun) async throws {
        guard try mayRestartGTM(run.memory) else { return }
        let runs: Bool
        do { runs = try await gtm().isRunning(deadline: .after(.seconds(20))) } catch let error where !(error is CancellationError) {
            return run.note("whether the GTM runs cannot be seen: \(Problem(explaining: error).fact)")
        }
        if !runs { try await gtm().start(deadline: .after(.seconds(120))) }
    }
}
