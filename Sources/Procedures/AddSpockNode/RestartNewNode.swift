import EventLoop
import Instance
import ProcedureKit
import RemoteHost
import Report
import Run

/// Restart the new node, now with Spock.
struct RestartNewNode: LeavesNothing {
    static let name = "restart"
    let node: JoiningNode
    let sessions: HandoverSessions
    var title: String { "Restart \(node.name) with Spock" }
    var leavesNothing: String { "its server is stopped where it was promoted" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if await !node.hasJustReached(.cleaned), try await node.copy.isRunning(), try await node.state(memory) >= .cleaned, try await node.isSpockLoaded() {
            return .done("Spock is loaded")
        }
        return .needed([Change("\(node.name): stop, remove \(try await node.copy.instance().dataDirectory)/spock if it is there, start")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let deadline = Deadline.after(.seconds(300))
        let instance = try await node.copy.instance(), began = ContinuousClock.Instant.now
        await node.copy.access.forgetServer(node.name)
        await sessions.drop(node.name)
        await node.prepareOpening(run.memory)
        // Spock 6 keeps its progress there: the source's, on a copy.
        try await instance.restart(removing: instance.dataDirectory / "spock", deadline: deadline)
        // What the next steps need of it is prepared side by side.
        async let connected: Void = sessions.prepare([node.name], deadline: deadline)
        guard try await node.isSpockLoaded() else {
            throw Problem("\(node.name) runs without Spock after its restart", hint: "see shared_preload_libraries there, and pg_file_settings for who sets it")
        }
        try await connected
        return "Spock is loaded, \(began.duration(to: .now).inSeconds)"
    }
}
