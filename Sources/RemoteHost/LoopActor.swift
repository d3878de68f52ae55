internal import EventLoop

/// An actor on an event loop whose tasks wait for whatever may have changed, and then look again: at their descriptor,
/// at their deadline, at their cancellation.
protocol LoopActor: Actor {
    nonisolated var loop: EventLoop { get }
    /// Touched on the loop only.
    nonisolated var parking: Parking { get }
    /// How many tasks are inside ``interruptible(until:_:)``.
    var users: Int { get set }
}

/// The tasks of one actor that wait.
final class Parking {
    private var parked: [CheckedContinuation<Void, Never>] = []

    fileprivate func add(_ continuation: CheckedContinuation<Void, Never>) { parked.append(continuation) }

    fileprivate func wake() {
        let woken = parked
        parked.removeAll(keepingCapacity: true)
        for continuation in woken { continuation.resume() }
    }
}

extension LoopActor {
    /// Wakes everybody who waits for something to have changed.
    func wake() { parking.wake() }

    func park() async {
        await withCheckedContinuation { parking.add($0) }
    }

    func wake(at instant: ContinuousClock.Instant) {
        _ = loop.schedule(at: instant) { [weak self] in self?.assumeIsolated { $0.wake() } }
    }

    /// Runs `body`, waking it at the deadline and when its task is cancelled.
    func interruptible<Value>(until deadline: Deadline, _ body: () async throws -> Value) async rethrows -> Value {
        users += 1
        let timer = loop.schedule(at: deadline.instant) { [weak self] in self?.assumeIsolated { $0.wake() } }
        defer {
            loop.cancel(timer)
            users -= 1
            if users == 0 { wake() }
        }
        return try await withTaskCancellationHandler(operation: body) { [weak self] in
            Task { await self?.wake() }
        }
    }
}

/// When to give up on a program that has been started: at the deadline or at its task's cancellation, but not before it has
/// said as which process it runs, or it could not be told to end. A host that does not say so in time is given up as well.
struct TimeLimit {
    static let grace = Duration.seconds(20)
    let what: String
    let deadline: Deadline
    private var interruption: (error: any Error, graceEnds: Deadline)?

    init(_ what: String, _ deadline: Deadline) {
        self.what = what
        self.deadline = deadline
    }

    /// Why to give up now, if so. `wakeAt` is called with the moment at which to ask again.
    mutating func interruption(hasBegun: Bool, wakeAt: (ContinuousClock.Instant) -> Void) -> (any Error)? {
        if interruption == nil {
            guard let error = lateness(what, deadline) else { return nil }
            let graceEnds = Deadline.after(Self.grace)
            interruption = (error, graceEnds)
            wakeAt(graceEnds.instant)
        }
        guard let interruption, hasBegun || interruption.graceEnds.hasPassed else { return nil }
        return interruption.error
    }
}

/// `CancellationError` or `DeadlineExceeded`, if it is time.
func lateness(_ what: String, _ deadline: Deadline) -> (any Error)? {
    if Task.isCancelled { return CancellationError() }
    return deadline.hasPassed ? DeadlineExceeded(waitedFor: what, budget: deadline.budget) : nil
}

/// - Throws: `CancellationError`, `DeadlineExceeded`.
func requireTime(_ what: String, _ deadline: Deadline) throws {
    if let error = lateness(what, deadline) { throw error }
}
