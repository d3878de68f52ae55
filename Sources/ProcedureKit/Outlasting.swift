import EventLoop
import PostgresClient
import Report
public import Run
import Server

/// A step that goes on where the server of a node goes away for a moment and comes back by itself, as after a crash of one of its processes.
public struct OutlastingServers<Inner: Step>: Step {
    public static var name: String { Inner.name }
    private let inner: Inner
    private let nodes: [String]
    private let access: ClusterAccess
    private let again: @Sendable () async throws -> Void

    /// - Parameters:
    ///   - nodes: whose servers are waited for.
    ///   - again: is told before it is begun once more: what the attempt before has made has to be looked at.
    public init(_ inner: Inner, on nodes: [String], of access: ClusterAccess, again: @escaping @Sendable () async throws -> Void = {}) {
        (self.inner, self.nodes, self.access, self.again) = (inner, nodes, access, again)
    }

    public var name: String { inner.name }
    public var title: String { inner.title }
    public func undo(_ run: StepRun) async throws -> UndoOutcome { try await inner.undo(run) }

    public func inspect(_ memory: Memory) async throws -> Inspection {
        try await access.outlasting(nodes, tell: { memory.note($0) }) { isFirst in
            if !isFirst { try await again() }
            return try await inner.inspect(memory)
        }
    }

    public func perform(_ run: StepRun) async throws -> String {
        try await access.outlasting(nodes, tell: { run.note($0) }) { isFirst in
            if !isFirst {
                try await again()
                switch try await inner.inspect(run.memory) {
                case .done(let seen): return seen
                case .blocked(let problems): throw Blocked(problems: problems)
                case .needed: break
                }
            }
            return try await inner.perform(run)
        }
    }
}

extension ClusterAccess {
    /// Does `work`, and once more where the server of one of `nodes` went away meanwhile and takes connections again soon: three times at most.
    /// - Parameter tell: takes the line that says which server it was.
    nonisolated func outlasting<Value>(_ nodes: [String], tell: (String) -> Void, _ work: (_ isFirst: Bool) async throws -> Value) async throws -> Value {
        var attempts = 1
        while true {
            do {
                return try await work(attempts == 1)
            } catch let error as PostgresError where error.saysOfServerAway && attempts <= 3 {
                attempts += 1
                tell("\(Problem(explaining: error).fact); a server that has crashed starts again by itself: it is waited for, and the step goes on")
                try await awaitServers(nodes)
            }
        }
    }

    /// Waits until the servers of `nodes` take connections, for two minutes; for one that nobody starts, ten seconds.
    private nonisolated func awaitServers(_ nodes: [String]) async throws {
        let deadline = Deadline.after(.seconds(120)), soon = Deadline.after(.seconds(10))
        _ = try await onEach(nodes) { node in
            var isReachedAnew = false
            try await wait(for: "\(node) to take connections again", until: deadline, every: .milliseconds(100)) { () -> Look<Void> in
                do {
                    _ = try await self.server(node).isInRecovery(deadline: deadline.forLook)
                    return .found(())
                } catch let error as PostgresError where error.isServerAway || !soon.hasPassed {
                    // It may be the way there that is lost.
                    if case .cannotConnect(_, _, nil, _) = error, !isReachedAnew {
                        isReachedAnew = true
                        await self.forget(node)
                    }
                    return .notYet(Problem(explaining: error).fact)
                }
            }
        }
    }
}
