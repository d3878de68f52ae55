import EventLoop
import Instance
import ProcedureKit
import RemoteHost
import Report
import Run

/// Install PostgreSQL and stop the service: the programs are there, and nothing runs or is in the place of the copy.
struct StopService: Step {
    static let name = "stop-service"
    /// Whether a server ran in the place, which an undo starts again.
    private static let ran = Fact<Bool>("a server ran in the place of the copy")

    let pair: StandbyPair
    private var node: CopiedNode { pair.standby.node }
    var title: String { "Install PostgreSQL and stop the service on \(node.name)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let instance = try await node.instance(), deadline = Deadline.after(.seconds(30)), directory = instance.dataDirectory
        let version = "PostgreSQL \(instance.binaries.versions["postgres"] ?? "?") is installed"
        if memory.beganCopy { return .done("\(version); the copy was begun") }
        if try await pair.streams() { return .done("\(version); \(node.name) streams from \(pair.sender)") }
        let state = try await instance.dataDirectoryState(deadline: deadline), isRunning = try await instance.status(deadline: deadline).isRunning
        switch (state, node.existing) {
        case (.absent, _), (.empty, _): return .done("\(version), and nothing is in \(directory)")
        case (_, .refused), (_, .removed), (_, .adopted):
            return .blocked([Problem("\(node.name): \(directory): \(state)", hint: "say `existing: move-aside` of the standby, or name an empty directory")])
        case (_, .movedAside):
            let stop = isRunning ? ["\(node.name): stop the server in \(directory), fast"] : []
            return .needed((stop + ["\(node.name): move \(directory) to \(try node.aside(directory, memory)); nothing in it is deleted"]).map { Change($0) })
        case (_, .overwritten):
            guard isRunning else { return .done("\(version); what differs in \(directory) is overwritten by the copy") }
            return .needed([Change("\(node.name): stop the server in \(directory), fast")])
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let instance = try await node.instance(), isRunning = try await instance.status(deadline: .after(.seconds(30))).isRunning
        if isRunning {
            try run.remember(Self.ran, true)
            await node.access.forgetServer(node.name)
            try await instance.stop(mode: .fast, deadline: .after(.seconds(300)))
        }
        let stopped = isRunning ? "its server is stopped" : "no server ran"
        guard node.existing == .movedAside else { return stopped }
        return "\(stopped); \(try await node.moveAside(run))"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let ran = try run.memory.recall(Self.ran) == true
        guard try ran || !run.created.isEmpty else { return .undone([]) }
        let instance = try await node.instance(run.memory), deadline = Deadline.after(.seconds(60))
        let outcome = try await node.moveBack(run)
        guard case .undone = outcome, ran, case .cluster = try await instance.dataDirectoryState(deadline: deadline),
            try await !instance.status(deadline: deadline).isRunning
        else { return outcome }
        if node.existing == .overwritten, run.memory.beganCopy { return outcome }
        try await instance.start(deadline: .after(.seconds(600)))
        return outcome.and(.undone(["\(node.name): its server runs again"]))
    }
}
