import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Start the node as a standby of the primary.
struct FollowPrimary: Step {
    static let name = "follow"
    let node: RejoiningNode
    let patience: Patience
    let copy: NewCopy?
    /// Whether an undo stops it; else it goes on following.
    var stopsOnUndo = false
    /// As a standby it waits for nobody, and a window that closed it is over.
    private static let settings: KeyValuePairs<String, String?> = [ClosingSetting.readOnlyByDefault.name: nil, "synchronous_standby_names": ""]
    /// As a primary it need not have let anybody in in recovery.
    private static let settingsOfOld: KeyValuePairs<String, String?> = [
        ClosingSetting.readOnlyByDefault.name: nil, "synchronous_standby_names": "", "hot_standby": "on",
    ]
    var title: String { "Start \(node.name) as a standby of the primary" }

    private func settings(_ memory: Memory) async throws -> KeyValuePairs<String, String?> {
        try await node.instance(memory).features.isHotStandbyByDefault ? Self.settings : Self.settingsOfOld
    }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let follower = try await node.follower(memory), view = try await node.group.look()
        // One that somebody else has started meanwhile may follow already, and is not configured.
        if view.follows(follower) {
            let isOfRun = try memory.recall(RejoiningNode.follower) != nil, restoring = try await restoreCommand(memory)
            let isDone = isOfRun ? try await node.access.isConfigured(follower, settings: try await settings(memory), restoring: restoring) : true
            if isDone, try await !isKept(memory) { return .done("\(node.name) streams from \(follower.upstream)") }
        }
        return .needed([
            Change(
                "\(node.name): primary_conninfo with host=\(follower.conninfo["host"] ?? "")\(follower.slot.map { ", primary_slot_name = \($0)" } ?? ""); start; wait until it streams"
            )
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let follower = try run.recall(RejoiningNode.follower)
        // Found, where its data directory was empty when the run was taken up again.
        let instance = try await node.instance(run.memory), deadline = Deadline.after(.seconds(30))
        try await node.access.follow(
            follower, settings: try await settings(run.memory), restoring: try await restoreCommand(run.memory), patience: patience, run)
        for kept in try kept(run.memory) {
            try await instance.host.remove(kept, recursively: true, as: instance.user, deadline: deadline)
        }
        return "it streams from \(follower.upstream)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard stopsOnUndo else { return .nothing(because: "it goes on following") }
        let instance = try await node.instance(run.memory), deadline = Deadline.after(.seconds(30)), name = node.name
        guard try await !instance.processes(deadline: deadline).isEmpty else { return .undone([]) }
        guard try await instance.isSealed(deadline: deadline) else {
            return .left([Problem("\(name) runs, and is no standby any more: left alone", hint: "find out who has promoted it, and whether a coordinator uses it")])
        }
        await node.access.forgetServer(name)
        try await instance.stop(mode: .fast, deadline: .after(.seconds(120)))
        return .undone(["\(name) is stopped; whoever starts it starts a standby"])
    }

    /// Where its configuration files are kept until it streams.
    private func kept(_ memory: Memory) throws -> [HostPath] { [try node.kept(), try copy?.kept(memory)].compactMap(\.self) }

    /// Whether this run keeps some of them still: it may have ended when the node streamed already.
    private func isKept(_ memory: Memory) async throws -> Bool {
        guard try memory.recall(RejoiningNode.follower) != nil else { return false }
        let instance = try await node.instance(memory)
        for kept in try kept(memory) where try await instance.host.stat(kept, as: instance.user, deadline: .after(.seconds(20))) != nil { return true }
        return false
    }

    /// What fetches the WAL from before the slot, where the copy comes from a repository.
    private func restoreCommand(_ memory: Memory) async throws -> String? {
        guard let copy, try memory.recall(NewCopy.reason) != nil else { return nil }
        return try await copy.parts(memory).backRest?.restoreCommand()
    }
}
