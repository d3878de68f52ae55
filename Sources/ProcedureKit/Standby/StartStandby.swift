import EventLoop
import Report
public import Run

/// Start the copy as a standby of the source.
public struct StartStandby: Step {
    public static let name = "start-standby"
    private let standby: Standby
    private let hasLeft: @Sendable (Memory) async throws -> String?
    private let isStreaming: @Sendable () async -> Void

    /// - Parameters:
    ///   - hasLeft: what it has become since, where it is no standby any more.
    ///   - isStreaming: is told that it streams.
    public init(
        standby: Standby, hasLeft: @escaping @Sendable (Memory) async throws -> String? = { _ in nil }, isStreaming: @escaping @Sendable () async -> Void = {}
    ) {
        (self.standby, self.hasLeft, self.isStreaming) = (standby, hasLeft, isStreaming)
    }

    public var title: String { "Start \(standby.name) as a standby of \(standby.source)" }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        if let state = try await hasLeft(memory) { return .done("\(standby.name) is \(state)") }
        if try await standby.node.state() == .started, try await standby.node.isRunning(), try await standby.isStreaming(), try await standby.knowsArchive() {
            return .done("\(standby.name) streams from \(standby.source)")
        }
        return .needed([Change("\(standby.name): start, and wait until \(standby.source) has it in pg_stat_replication")])
    }

    public func perform(_ run: StepRun) async throws -> String {
        let began = ContinuousClock.Instant.now
        // Each segment from the archive takes a program, and so does finding out that there is no further one.
        let isStraight = try await standby.isWALAtSource(run)
        try await standby.setRestoreCommand(!isStraight, run)
        do {
            try await standby.start(run)
        } catch let stalled as Stalled where isStraight && stalled.reason.isFinal {
            run.note("\(stalled.fact): the archive is asked")
            try await standby.halt(run)
            try await standby.setRestoreCommand(true, run)
            try await standby.start(run)
        }
        if isStraight { try await standby.setRestoreCommand(true, run) }
        await standby.node.reached(.started)
        await isStreaming()
        return "it streams, \(began.duration(to: .now).inSeconds) after its start"
    }

    public func undo(_ run: StepRun) async throws -> UndoOutcome { try await standby.node.stop(run.memory) }
}
