import Dispatch
internal import EventLoop
import Synchronization

/// Blocking calls (name look-up, connect, files, the agent's socket), away from the event loops.
enum OffLoop {
    private static let queue = DispatchQueue(label: "pggraft.off-loop", attributes: .concurrent)

    /// The first of three to come: the result of `work`, the deadline, the task's cancellation. A `work` that comes
    /// later runs to its end and its result is dropped.
    static func run<Value: Sendable>(
        _ what: String, until deadline: Deadline, _ work: @escaping @Sendable () throws -> Value
    ) async throws -> Value {
        let outcome = Outcome<Value>()
        let alarm = DispatchWorkItem { outcome.settle(.failure(DeadlineExceeded(waitedFor: what, budget: deadline.budget))) }
        defer { alarm.cancel() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                outcome.await(continuation)
                queue.asyncAfter(deadline: .now() + deadline.remaining.seconds, execute: alarm)
                queue.async { outcome.settle(Result { try work() }) }
            }
        } onCancel: {
            outcome.settle(.failure(CancellationError()))
        }
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
