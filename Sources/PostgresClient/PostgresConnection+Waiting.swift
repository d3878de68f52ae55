internal import EventLoop
import Glibc
import Synchronization

/// A caller who waits on the connection, and what has to be taken back when it wakes.
struct Sleeper {
    let continuation: CheckedContinuation<Wake, Never>
    let timer: EventLoop.Timer
    let descriptor: Int32?
}

enum Wake { case signalled, deadline, cancelled }

/// What a call on a thread of its own came to.
enum Lent<Value> {
    case done(Value), stopped(Wake)
    /// This process has no thread or descriptor left for it.
    case impossible(SystemFailure)
}

extension PostgresConnection {
    func number() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// Waits until someone calls `wake`, the descriptor is ready, the deadline passes or the task is cancelled,
    /// whichever is first. `arm` gets the number to wake, and runs before anyone can.
    func sleep(
        until deadline: Deadline, heedingCancellation: Bool = true,
        watching: (descriptor: Int32, readiness: EventLoop.Readiness)? = nil, arm: (Int) -> Void = { _ in }
    ) async -> Wake {
        let caller = number()
        func doze() async -> Wake {
            await withCheckedContinuation { continuation in
                if heedingCancellation, Task.isCancelled { return continuation.resume(returning: .cancelled) }
                let timer = loop.schedule(at: deadline.instant) { self.assumeIsolated { _ = $0.wake(caller, .deadline) } }
                sleepers[caller] = Sleeper(continuation: continuation, timer: timer, descriptor: watching?.descriptor)
                if let watching {
                    loop.register(watching.descriptor, for: watching.readiness) { _ in
                        self.assumeIsolated { _ = $0.wake(caller, .signalled) }
                    }
                }
                arm(caller)
            }
        }
        guard heedingCancellation else { return await doze() }
        return await withTaskCancellationHandler {
            await doze()
        } onCancel: {
            Task { await self.wake(caller, .cancelled) }
        }
    }

    /// Wakes `caller`; `false` when something else has already done so.
    ///
    /// The descriptor is unregistered here, not when the caller runs again: by then its number may belong to someone else.
    func wake(_ caller: Int, _ why: Wake) -> Bool {
        guard let sleeper = sleepers.removeValue(forKey: caller) else { return false }
        loop.cancel(sleeper.timer)
        if let descriptor = sleeper.descriptor { loop.unregister(descriptor) }
        sleeper.continuation.resume(returning: why)
        return true
    }

    func wakeWatchers() {
        for (caller, sleeper) in sleepers where sleeper.descriptor != nil { _ = wake(caller, .signalled) }
    }

    /// Runs a call that blocks on a thread where nobody waits for it but this caller. When the caller stops waiting the
    /// call goes on, and its value is dropped there.
    func offLoop<Value: Sendable>(
        until deadline: Deadline, heedingCancellation: Bool = true, _ work: @escaping @Sendable () -> Value
    ) async -> Lent<Value> {
        // Not OffLoop.run: who closes the connection wakes this caller too, as everybody who watches a descriptor. The thread closes its end when it is done, which wakes the loop itself: a task that only wakes us would first
        // have to find a place among all other tasks.
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { return .impossible(SystemFailure(code: errno)) }
        let (reading, writing) = (ends[0], ends[1])
        defer { closeDescriptor(reading) }
        let result = Result<Value>()
        do {
            try OffLoop.detach {
                let value = work()
                result.value.withLock { $0 = value }
                closeDescriptor(writing)
            }
        } catch {
            closeDescriptor(writing)
            return .impossible(error)
        }
        let wake = await sleep(until: deadline, heedingCancellation: heedingCancellation, watching: (reading, .readable))
        guard wake == .signalled, let value = result.value.withLock({ $0 }) else { return .stopped(wake) }
        return .done(value)
    }

    private final class Result<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
    }
}

/// `close(2)`, which inside the actor would be ``PostgresConnection/close()``.
private func closeDescriptor(_ descriptor: Int32) { close(descriptor) }
