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

/// - Throws: `CancellationError`, `DeadlineExceeded`.
func requireTime(_ what: String, _ deadline: Deadline) throws {
    if Task.isCancelled { throw CancellationError() }
    if deadline.hasPassed { throw DeadlineExceeded(waitedFor: what, budget: deadline.budget) }
}
