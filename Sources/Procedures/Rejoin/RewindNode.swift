import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import RemoteHost
import Report
import Run
import Server

/// Rewind the node to the primary, where it has gone its own way.
struct RewindNode: LeavesNothing {
    static let name = "rewind"
    let node: RejoiningNode
    /// What is made where it cannot be; `nil` for nothing.
    let copy: NewCopy?
    var title: String { "Rewind \(node.name) to the primary, where it has gone its own way" }
    var leavesNothing: String { "what it had written and the primary has not is gone" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let follower = try await node.follower(memory), view = try await node.group.look()
        if view.follows(follower) { return .done("\(node.name) streams from \(follower.upstream)") }
        if let reason = try memory.recall(NewCopy.reason) { return .done("a new copy is made: \(reason)") }
        let instance = try await node.instance(memory)
        if try await instance.isSpoiled(deadline: .after(.seconds(20))) { return without(RejoiningNode.spoiled) }
        if try await instance.isRewound(keepingIn: try node.kept(), deadline: .after(.seconds(20))) { return .done("it was rewound") }
        guard let primary = view[follower.upstream] else { throw UnknownNode(name: follower.upstream) }
        guard let data = try await controlData(instance) else { return .needed([Change("\(node.name): what pg_controldata shows once it is stopped decides")]) }
        switch try await node.wayBack(primary, data) {
        case .follows: return .done("all that \(node.name) has is part of the history of \(follower.upstream)")
        case .rewinds: return .needed([Change("\(node.name): pg_rewind --source-server of \(follower.upstream); its configuration files stay its own")])
        case .needsCopy(let why): return without(why)
        case .isForeign(let why): return .blocked([node.foreign(why)])
        }
    }

    /// What is done where it cannot be rewound.
    private func without(_ why: String) -> Inspection {
        guard copy != nil else {
            return .blocked([needsCopy(why)])
        }
        return .needed([Change("\(node.name): no pg_rewind, but a new copy of the primary: \(why)")])
    }

    private func needsCopy(_ why: String) -> Problem {
        Problem("\(node.name) cannot follow the primary as it is: \(why)", hint: "make a new copy of the primary: say `copy:` in the playbook, or `procedure: hot-standby`")
    }

    /// Why it cannot be started as it is, now that pg_rewind has changed nothing but that it may have recovered it.
    private func obstacleUnrewound(_ instance: Instance, _ follower: Follower) async throws -> String? {
        guard let primary = try await node.group.look()[follower.upstream] else { throw UnknownNode(name: follower.upstream) }
        return try await node.wayBack(primary, try await instance.controlData(deadline: .after(.seconds(20)))).obstacleUnrewound
    }

    private func controlData(_ instance: Instance) async throws -> ControlData? {
        try await instance.processes(deadline: .after(.seconds(20))).isEmpty ? try await instance.controlData(deadline: .after(.seconds(20))) : nil
    }

    func perform(_ run: StepRun) async throws -> String {
        let follower = try run.recall(RejoiningNode.follower), instance = try await node.instance(run.memory)
        if copy != nil, let why = try await whyNot(instance, follower) { return try makesCopy(why, run) }
        let tree = try await instance.settingsTree(deadline: .after(.seconds(30)))
        let restores = !(tree.deciding("restore_command")?.value ?? "").isEmpty
        do {
            let outcome = try await instance.rewind(
                from: try node.source(follower.upstream), keepingIn: try node.kept(), restoringWAL: restores, deadline: .after(.seconds(6 * 3600)))
            switch outcome {
            case .notNeeded:
                guard let why = try await obstacleUnrewound(instance, follower) else { return "pg_rewind: no rewind required" }
                guard copy != nil else { throw needsCopy(why) }
                return try makesCopy(why, run)
            case .rewound(let said): return said
            }
        } catch let failed as Rewind.Failed where copy != nil {
            return try makesCopy(failed.fact, run)
        }
    }

    /// Why it cannot be tried at all.
    private func whyNot(_ instance: Instance, _ follower: Follower) async throws -> String? {
        if try await instance.isSpoiled(deadline: .after(.seconds(20))) { return RejoiningNode.spoiled }
        guard let primary = try await node.group.look()[follower.upstream] else { throw UnknownNode(name: follower.upstream) }
        guard case .needsCopy(let why) = try await node.wayBack(primary, try await instance.controlData(deadline: .after(.seconds(20)))) else { return nil }
        return why
    }

    private func makesCopy(_ why: String, _ run: StepRun) throws -> String {
        try run.remember(NewCopy.reason, why)
        return "a new copy is made: \(why)"
    }
}
