import EventLoop
import ProcedureKit
import Report
import Run
import Server

/// Wait until the standbys are so close to the primary that a commit does not wait long for them.
struct CatchUpStandbys: LeavesNothing {
    static let name = "catch-up"
    let standbys: SynchronousStandbys
    var title: String {
        standbys.waitedFor.isEmpty ? "Wait for no standby" : "Wait until \(list(standbys.waitedFor)) \(standbys.waitedFor.count == 1 ? "has" : "have") caught up"
    }
    var leavesNothing: String { "it only waits" }
    private var limit: String { UInt64(max(0, standbys.catchUpLag)).inBytes }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if standbys.waitedFor.isEmpty { return .done("nobody is waited for") }
        let view = try await standbys.look()
        let behind = try behind(in: view)
        return behind.isEmpty ? .done("\(list(standbys.waitedFor)): less than \(limit) behind") : .needed(behind.map { Change("\($0.fact): wait for it") })
    }

    /// What keeps those that are not there yet.
    private func behind(in view: GroupView) throws -> [Problem] {
        let primary = try view.primary()
        return standbys.waitedFor.compactMap { name in
            view[name].flatMap { view.obstacle(to: $0, takingThePlaceOf: primary, within: standbys.catchUpLag) }
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        try await wait(for: "\(list(standbys.waitedFor)) to come within \(limit) of the primary", with: standbys.patience, tell: { run.note($0) }) {
            let view = try await standbys.look(), behind = try behind(in: view)
            let reached = standbys.waitedFor.map { view[$0]?.look?.recovery.replayedLSN }
            return behind.first.map { .notYet($0.fact, reached) } ?? .found(())
        }
        return "\(list(standbys.waitedFor)): less than \(limit) behind"
    }
}
