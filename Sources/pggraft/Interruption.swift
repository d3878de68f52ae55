import Dispatch
import Glibc
import Synchronization

/// Ctrl-C, `kill` and a terminal that goes away: the first ends the work safely, the second at once. Where nothing is at work
/// that would have to be ended safely, the first one ends the process.
enum Interruption {
    /// Runs `work` in a task that the first SIGINT, SIGTERM or SIGHUP cancels; the second one ends the process.
    static func cancelling<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        _ = sources
        let task = Task { try await work() }
        atWork.withLock { $0 = AtWork { task.cancel() } }
        defer { atWork.withLock { $0 = nil } }
        return try await task.value
    }

    private struct AtWork {
        let cancel: @Sendable () -> Void
        var isCancelled = false
    }

    private static let atWork = Mutex<AtWork?>(nil)

    /// Made once and kept: one that is made while another of the same signal goes away may never hear of it.
    nonisolated(unsafe) private static let sources = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }.map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler { interrupted() }
        source.resume()
        return source
    }

    private static func interrupted() {
        atWork.withLock { work in
            switch work {
            case nil: _exit(130)
            case let running? where running.isCancelled:
                tell("\nEnded at once. What is still closed opens by itself.\n")
                _exit(130)
            case let running?:
                tell("\nEnding safely; once more to end at once.\n")
                work?.isCancelled = true
                running.cancel()
            }
        }
    }

    /// Whether whoever started this wants the signal to do nothing, as nohup does.
    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        return sigaction(number, nil, &action) == 0 && unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
    }

    private static func tell(_ text: String) {
        // With nobody there to read it, there is nothing more to do about it.
        _ = text.utf8CString.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count - 1) }
    }
}
