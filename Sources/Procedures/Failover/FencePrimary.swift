import EventLoop
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Fence the old primary: end every process of its data directory, and mark it as a standby.
struct FencePrimary: Step {
    static let name = "fence"
    let failed: FailedGroup
    var title: String { "Fence \(failed.old): end every process of its data directory" }

    private enum State { case fenced, alive([DataDirectoryProcess]), unreachable(any Error) }

    private func state() async throws -> State {
        do {
            let instance = try await failed.oldInstance(), deadline = Deadline.after(.seconds(20))
            let processes = try await instance.processes(deadline: deadline)
            return processes.isEmpty ? (try await instance.isSealed(deadline: deadline) ? .fenced : .alive([])) : .alive(processes)
        } catch let error where !(error is CancellationError) {
            return .unreachable(error)
        }
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if memory.began(PromoteSuccessor.self), let new = try await failed.promoted(memory) { return .done("\(new) is the primary") }
        switch try await state() {
        case .fenced: return .done("nothing runs there, and whoever starts it starts a standby")
        case .alive(let processes):
            return .needed([
                Change("\(failed.old): \(processes.isEmpty ? "nothing runs there" : "SIGKILL for \(processes.count) processes, with pid \(processes[0].pid)")"),
                Change("\(failed.old): the mark of a standby: whoever starts it starts one"),
            ])
        case .unreachable(let error):
            guard try failed.primaryIsDead(memory) else { return .blocked([failed.unreachable(error)]) }
            return .done("its host gives no answer; that it is dead is what you say")
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let instance = try await failed.access.instance(failed.old)
        await failed.access.forgetServer(failed.old)
        try await instance.fence(deadline: .after(.seconds(60)))
        let data = try await instance.seal(endingLease: instance.dataDirectory / "pggraft.lease", deadline: .after(.seconds(30)))
        return "nothing runs there; it is \(data.state.rawValue), on timeline \(data.timeline)"
    }

    /// It stays fenced: nobody knows what its clients have been told.
    func undo(_ run: StepRun) async throws -> UndoOutcome {
        if let new = try await failed.promoted(run.memory) { return .nothing(because: "\(new) is the primary") }
        if try await failed.isPrimaryAgain() { return .nothing(because: "\(failed.old) was started as the primary again") }
        return .undone([
            "\(failed.old) stays stopped, and marked as a standby",
            "to have it as the primary again, as nobody was promoted: remove standby.signal (until 11: recovery.conf) from its data directory, and start it",
        ])
    }
}
