import Dispatch
import Foundation
import Glibc

/// Ctrl-C, `kill` and a terminal that goes away: the first ends the work safely, the second at once.
enum Interruption {
    /// Runs `work` in a task that the first SIGINT, SIGTERM or SIGHUP cancels; the second one ends the process.
    static func cancelling<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let task = Task { try await work() }
        let sources = [SIGINT, SIGTERM, SIGHUP].filter { !isIgnored($0) }.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if task.isCancelled {
                    tell("\nEnded at once. What is still closed opens by itself.\n")
                    _exit(130)
                }
                tell("\nEnding safely; once more to end at once.\n")
                task.cancel()
            }
            source.resume()
            return (number, source)
        }
        defer {
            for (number, source) in sources {
                source.cancel()
                signal(number, SIG_DFL)
            }
        }
        return try await task.value
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
