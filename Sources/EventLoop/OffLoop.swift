internal import CEpoll
import Glibc
import Report
import Synchronization

/// Blocking calls (name look-up, connect, files, the agent's socket, libpq's cancel request), away from the event loops.
///
/// Each has a thread of its own: in a pool, a few that wait long would hold up all others.
public enum OffLoop {
    /// The first of three to come: the result of `work`, the deadline, the task's cancellation. A `work` that comes
    /// later runs to its end and its result is dropped.
    /// - Parameter what: what is waited for, as it reads after "waiting for".
    /// - Throws: what `work` throws, ``DeadlineExceeded``, `CancellationError`; `Problem` when there is no thread for it.
    public static func run<Value: Sendable>(
        _ what: String, until deadline: Deadline, _ work: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let outcome = Outcome<Value>()
        let alarm = Task {
            try await Task.sleep(until: deadline.instant, clock: .continuous)
            outcome.settle(.failure(DeadlineExceeded(waitedFor: what, budget: deadline.budget)))
        }
        defer { alarm.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                outcome.await(continuation)
                do {
                    try detach { outcome.settle(Result { try work() }) }
                } catch {
                    outcome.settle(.failure(Problem("no thread to wait for \(what)", because: error)))
                }
            }
        } onCancel: {
            outcome.settle(.failure(CancellationError()))
        }
    }

    /// Runs `work` on a new thread.
    /// - Throws: ``SystemFailure`` when there is none; `work` is not run then.
    public static func detach(_ work: @escaping @Sendable () -> Void) throws(SystemFailure) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        let box = Unmanaged.passRetained(Work(work))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, &attributes,
            { box in
                guard let box else { return nil }
                Unmanaged<Work>.fromOpaque(box).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        guard result == 0 else {
            box.release()
            throw SystemFailure(code: result)
        }
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private final class Outcome<Value: Sendable>: Sendable {
        private enum State {
            case empty
            case awaited(CheckedContinuation<Value, any Error>)
            case settled(Result<Value, any Error>)
            case done
        }
        private let state = Mutex(State.empty)

        func await(_ continuation: CheckedContinuation<Value, any Error>) {
            let early: Result<Value, any Error>? = state.withLock { state in
                if case .settled(let result) = state {
                    state = .done
                    return result
                }
                state = .awaited(continuation)
                return nil
            }
            if let early { continuation.resume(with: early) }
        }

        func settle(_ result: Result<Value, any Error>) {
            let waiting: CheckedContinuation<Value, any Error>? = state.withLock { state in
                switch state {
                case .awaited(let continuation):
                    state = .done
                    return continuation
                case .empty:
                    state = .settled(result)
                    return nil
                case .settled, .done: return nil
                }
            }
            waiting?.resume(with: result)
        }
    }
}
