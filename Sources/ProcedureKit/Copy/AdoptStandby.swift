import EventLoop
import Instance
import PostgresClient
import RemoteHost
import Report
public import Run
import Server

/// Take a standby of the source that is there already for the copy, and stop it.
public struct AdoptStandby: Step {
    public static let name = "adopt-standby"
    /// Whether it ran: an undo starts it again.
    private static let ran = Fact<Bool>("the standby ran")
    /// Its slot on the source; empty where it had none.
    static let slot = Fact<String>("slot of the standby")

    private let standby: Standby
    private let adopted: AdoptedStandby

    public init(_ adopted: AdoptedStandby, as standby: Standby) { (self.adopted, self.standby) = (adopted, standby) }

    private var node: CopiedNode { standby.node }
    public var title: String { "Take \(node.name), which is a standby of \(node.source), for the copy" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        try await adopted.belongs(to: memory)
        if memory.startedAdopted {
            await node.reached(.started)
            return .done("\(node.name) was taken")
        }
        let instance = try await node.instance(), isRunning = try await instance.status(deadline: .after(.seconds(30))).isRunning
        if isRunning || !memory.began(Self.self) {
            let problems = try await adopted.look().compactMap(\.problem)
            guard problems.isEmpty else { return .blocked(problems) }
        }
        if !isRunning, memory.began(Self.self) { return .done("\(node.name) was taken, and is stopped") }
        let kept = "its configuration files are kept beside themselves, and an undo before the promotion makes it the standby again that it was"
        return .needed([Change(isRunning ? "\(node.name): stop the standby, fast; \(kept)" : "\(node.name): the standby, which is stopped; \(kept)")])
    }

    public func perform(_ run: StepRun) async throws -> String {
        let instance = try await node.instance(), isRunning = try await instance.status(deadline: .after(.seconds(30))).isRunning
        let streaming = try await adopted.streaming(), lag = isRunning ? try await standby.replay().lag : nil
        try run.remember(CopiedNode.programs, KnownPrograms(of: instance))
        try run.remember(CopiedNode.system, "\(try await node.sourceIdentifier(deadline: .after(.seconds(30))))")
        if try run.memory.recall(Self.ran) == nil {
            try run.remember(Self.slot, streaming.slot?.rawValue ?? "")
            try run.remember(Self.ran, isRunning)
        }
        guard isRunning else { return "it is stopped" }
        await node.access.forgetServer(node.name)
        try await instance.stop(mode: .fast, deadline: .after(.seconds(300)))
        return "it was \(UInt64(max(0, lag ?? 0)).inBytes) behind \(node.source), and is stopped"
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome {
        guard let ran = try run.memory.recall(Self.ran) else { return .undone([]) }
        if let problem = try node.obstacle(to: "the server of \(node.name)", run.memory) { return .left([problem]) }
        if case .other(let what) = try await node.holding(run.memory) {
            return .left([Problem("\(node.name): in the place of the standby is \(what): left alone", hint: "find out whose it is")])
        }
        if let problem = try await node.promoted(run.memory) { return .left([problem]) }
        let instance = try await node.instance(run.memory)
        guard ran, try await !instance.status(deadline: .after(.seconds(30))).isRunning else { return .undone([]) }
        await node.access.forgetServer(node.name)
        try await node.access.start(instance, standby.patience, run)
        try await wait(
            for: "\(node.name) to stream from \(node.source) again", with: standby.patience, why: { try await instance.recoveryObstacle(deadline: .after(.seconds(20))) },
            tell: { run.note($0) }
        ) { () -> MovingLook<Void, RecoveryState> in
            let state = try await node.access.server(node.name).recovery(deadline: .after(.seconds(20)))
            return state.isStreaming ? .found(()) : .notYet("its receiver does not stream", state)
        }
        return .undone(["\(node.name) streams from \(node.source) again, as before"])
    }
}

/// A standby of the source is in the place of the new node, and can be taken for the copy.
public struct StandbyCanBeAdopted: Requirement {
    public let name = AdoptedStandby.requirement
    private let adopted: AdoptedStandby
    private let requireUp: @Sendable () async throws -> Void

    /// - Parameter requireUp: throws `NotLooked` where the source or the host was not reached.
    public init(_ adopted: AdoptedStandby, requireUp: @escaping @Sendable () async throws -> Void) { (self.adopted, self.requireUp) = (adopted, requireUp) }
    public var place: String? { adopted.name }

    public func look(_ memory: Memory) async throws -> [Finding] {
        try await requireUp()
        try await adopted.belongs(to: memory)
        return memory.beganCopy ? [] : try await adopted.look()
    }
}
