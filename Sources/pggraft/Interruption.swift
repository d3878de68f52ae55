import Dispatch
import Foundation
import Glibc

/// Ctrl-C and `kill`: the first ends the work safely, the second at once.
enum Interruption {
    /// Runs `work` in a task that the first SIGINT or SIGTERM cancels; the second one ends the process.
    static func cancelling<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let task = Task { try await work() }
        let sources = [SIGINT, SIGTERM].map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                if task.isCancelled {
                    FileHandle.standardError.write(Data("\nEnded at once. What is still closed opens by itself.\n".utf8))
                    _exit(130)
                }
                FileHandle.standardError.write(Data("\nEnding safely; once more to end at once.\n".utf8))
                task.cancel()
            }
            source.resume()
            return source
        }
        defer { sources.forEach { $0.cancel() } }
        return try await task.value
    }
}
