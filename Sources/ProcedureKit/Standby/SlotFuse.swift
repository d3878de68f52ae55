public import EventLoop
import Instance
import PostgresConfig
import RemoteHost
public import Report
public import Run
public import Server

/// What keeps the WAL that a run's slots hold from filling a disk.
public protocol WALFuse: Sendable {
    /// What made it blow.
    associatedtype Cause: Sendable
    /// Returns when the slots hold too much; a look that fails is told by the step that is watched.
    func blow() async throws -> Cause
    /// Gives the slots up.
    /// - Returns: what the run ends with.
    func giveUp(_ cause: Cause, _ run: StepRun) async throws -> any Error
}

/// For one slot: where too little is free, it is given up.
public struct SlotFuse: WALFuse {
    private let access: ClusterAccess
    /// The node that has the slot.
    public let node: String
    /// The node that reads it, or is to.
    private let reader: String
    private let slot: SlotName
    /// In bytes, on the file system of the WAL.
    public let keepsFree: UInt64

    public init(_ slot: SlotName, on node: String, for reader: String, keepingFree bytes: UInt64, _ access: ClusterAccess) {
        (self.slot, self.node, self.reader, keepsFree, self.access) = (slot, node, reader, bytes, access)
    }

    /// Bytes that are free where the node's WAL is.
    public func free(deadline: Deadline) async throws -> UInt64 {
        let instance = try await access.instance(node)
        return try await instance.pathStates([instance.dataDirectory / instance.features.walDirectory], deadline: deadline).first?.free ?? 0
    }

    /// Whether there is room for what the slot keeps while a run lasts.
    public func finding(_ name: String, deadline: Deadline) async throws -> Finding {
        let free = try await free(deadline: deadline)
        return Finding(
            name, on: node, "\(free.inBytes) are free for WAL; while the run lasts \(keepsFree.inBytes) stay so (keep_free), or it gives its slot up",
            free > keepsFree ? .met : .notMet(hint: "make room on \(node), or lower keep_free"))
    }

    /// Too little is free.
    public struct Blown: Explained {
        public let fact: String
        public let hint: String?
    }

    /// Returns when too little is free.
    public func blow() async throws -> UInt64 {
        try await wait(for: "less than \(keepsFree.inBytes) to be free on \(node)", until: .after(.seconds(365 * 24 * 3600)), every: .seconds(1)) { () -> Look<UInt64> in
            let free: UInt64
            do { free = try await self.free(deadline: .after(.seconds(20))) } catch let error where !(error is CancellationError) {
                return .notYet(Problem(explaining: error).fact)
            }
            return free < keepsFree ? .found(free) : .notYet("\(free.inBytes)")
        }
    }

    /// Ends what reads the slot, drops it, and has the node remove what it kept.
    public func giveUp(_ free: UInt64, _ run: StepRun) async throws -> any Error {
        let server = try await access.server(node), held = try await server.slot(slot, deadline: .after(.seconds(20)))?.retainedBytes
        run.note("\(node): \(free.inBytes) are free for WAL, and \(keepsFree.inBytes) are to stay so: the slot \(slot) is given up")
        let instance = try await access.instance(reader)
        try await instance.endBaseBackups(deadline: .after(.seconds(60)))
        let runs = try await instance.status(deadline: .after(.seconds(30))).isRunning
        if runs {
            await access.forgetServer(reader)
            try await instance.stop(mode: .fast, deadline: .after(.seconds(120)))
        }
        _ = try await server.dropSlotOfStoppedReader(slot)
        // What is copied already misses from here on what the slot kept.
        if run.memory.began(CopyFiles.self) { try run.remember(CopyFiles.isWhole, false) }
        try await server.checkpoint(deadline: .after(.seconds(3600)))
        return Blown(
            fact: "\(node) had only \(free.inBytes) free for WAL, and \(keepsFree.inBytes) are to stay so (keep_free): the slot \(slot)"
                + (held.map { ", which held \(UInt64(max(0, $0)).inBytes)," } ?? "")
                + " is dropped, \(runs ? "\(reader) stopped" : "the copy ended"); nothing else of \(node) is changed",
            hint: "make room on \(node), or see why \(reader) is so slow; then resume: slot and copy are begun anew")
    }
}

/// A step while which the run's slots are watched.
public struct WatchingSlot<Inner: Step, Fuse: WALFuse>: Step {
    public static var name: String { Inner.name }
    private let inner: Inner
    private let fuse: @Sendable (Memory) async throws -> Fuse?

    /// - Parameter fuse: `nil` where there is no slot.
    public init(_ inner: Inner, _ fuse: @escaping @Sendable (Memory) async throws -> Fuse?) { (self.inner, self.fuse) = (inner, fuse) }

    public var name: String { inner.name }
    public var title: String { inner.title }
    public func inspect(_ memory: Memory) async throws -> Inspection { try await inner.inspect(memory) }
    public func undo(_ run: StepRun) async throws -> UndoOutcome { try await inner.undo(run) }

    public func perform(_ run: StepRun) async throws -> String {
        guard let fuse = try await fuse(run.memory) else { return try await inner.perform(run) }
        let end = try await withThrowingTaskGroup(of: WatchedEnd<Fuse.Cause>.self) { tasks in
            tasks.addTask { .done(try await inner.perform(run)) }
            tasks.addTask { .blown(try await fuse.blow()) }
            defer { tasks.cancelAll() }
            guard let first = try await tasks.next() else { throw CancellationError() }
            return first
        }
        switch end {
        case .done(let said): return said
        case .blown(let cause): throw try await fuse.giveUp(cause, run)
        }
    }
}

private enum WatchedEnd<Cause: Sendable>: Sendable {
    case done(String)
    case blown(Cause)
}
