import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Stop what runs of the node, every process, and mark it as a standby.
struct StopOldPrimary: LeavesNothing {
    static let name = "stop"
    let node: RejoiningNode
    var title: String { "Stop what runs of \(node.name), and mark it as a standby" }
    var leavesNothing: String { "it ran for nobody" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let follower = try await node.follower(memory)
        if try await node.group.look().follows(follower) { return .done("\(node.name) streams from \(follower.upstream)") }
        if try memory.recall(NewCopy.reason) != nil { return .done("a new copy is made in its place") }
        let instance = try await node.instance(memory), deadline = Deadline.after(.seconds(30))
        if try await instance.isSpoiled(deadline: deadline) { return .done("nothing can start there") }
        let processes = try await instance.processes(deadline: deadline)
        if processes.isEmpty, try await instance.isSealed(deadline: deadline) { return .done("nothing runs there, and whoever starts it starts a standby") }
        return .needed(
            (processes.isEmpty ? [] : [Change("\(node.name): pg_ctl stop -m fast, and SIGKILL for what is left")]) + [Change("\(node.name): the mark of a standby")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let instance = try await node.access.instance(node.name)
        await node.access.forgetServer(node.name)
        do { try await instance.stop(mode: .fast, deadline: .after(.seconds(120))) } catch let late as DeadlineExceeded { run.note("\(node.name): \(late.fact)") }
        try await instance.fence(deadline: .after(.seconds(60)))
        let data = try await instance.seal(endingLease: instance.dataDirectory / "pggraft.lease", deadline: .after(.seconds(30)))
        return "it is \(data.state.rawValue), on timeline \(data.timeline), its last checkpoint at \(data.checkpoint)"
    }
}
