import EventLoop
import ProcedureKit
import Report
import Run
import Spock

/// Wait until the standby, and the mesh itself, are close enough for a short window.
struct CatchUp: LeavesNothing {
    static let name = "catch-up"
    let node: JoiningNode
    let databases: CopiedDatabases
    /// Bytes that the standby may be behind.
    let limit: Int64
    /// Whether a window follows in which everybody waits for the mesh.
    let rehearses: Bool
    var title: String { "Let \(node.name) and the mesh catch up" }
    var leavesNothing: String { "it only waited" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let state = try await node.stateBeyondStandby(memory) { return .done("\(node.name) is \(state)") }
        return .needed([
            Change("\(node.name): less than \(UInt64(limit).inBytes) behind \(node.mesh.source)\(rehearses ? "; a sync event crosses the mesh in less than a second" : "")")
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let lag = try await node.standby.catchUp(to: limit, run), words = "\(UInt64(max(0, lag)).inBytes) behind \(node.mesh.source)"
        // A promotion asks the archive for what comes next, which takes longer than everything else in it.
        async let quiet: Void = node.standby.setRestoreCommand(false, run)
        async let carried = databases.look(deadline: .after(.seconds(60)))
        let took = rehearses ? try await rehearse(run) : nil
        try run.remember(CopiedDatabases.carried, try await carried)
        try await quiet
        await node.reached(.standby)
        return words + (took.map { "; a sync event crosses the mesh in \($0.inSeconds)" } ?? "")
    }

    /// A rehearsal of the window's longest part, with everybody still writing.
    /// - Returns: how long it took.
    private func rehearse(_ run: StepRun) async throws -> Duration {
        let mesh = node.mesh
        let delay = try await mesh.memberSubscriptions().map(\.settings.applyDelay).max() ?? .zero
        // Those that apply late are waited for in the window.
        let allowed = delay + .seconds(1)
        var quickest: Duration?
        return try await wait(
            for: "a sync event to cross the mesh in less than \(allowed.inSeconds)", with: node.standby.patience, tell: { run.note($0) }
        ) { () -> MovingLook<Duration, Duration?> in
            let began = ContinuousClock.Instant.now
            _ = try await mesh.drain(mesh.members, with: node.standby.patience) { run.note($0) }
            let took = began.duration(to: .now)
            run.progress("a sync event took \(took.inSeconds) to cross the mesh")
            quickest = min(quickest ?? took, took)
            return took < allowed ? .found(took) : .notYet("it took \(took.inSeconds)", quickest)
        }
    }
}
