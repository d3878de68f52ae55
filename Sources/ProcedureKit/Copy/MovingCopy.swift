import EventLoop
import PgBackRest
import RemoteHost
import Run
import Synchronization

extension BackRestCopy {
    /// Does `work`, a backup or a restore on `host`, for as long as pgBackRest reads or writes.
    ///
    /// - Parameters:
    ///   - what: as it reads after "waiting for".
    ///   - work: takes its deadline, and what it calls with each line of progress: as long as there are some, the host is not asked.
    func whileMoving<Value: Sendable>(
        _ what: String, _ backRest: BackRest, on host: any Host, _ run: StepRun,
        _ work: @escaping @Sendable (Deadline, _ seen: @escaping @Sendable () -> Void) async throws -> Value
    ) async throws -> Value {
        let lines = Mutex<(count: UInt64, asked: UInt64, bytes: UInt64)>((0, 0, 0))
        return try await moving(
            what, with: order.patience, every: .seconds(2), tell: { run.note($0) },
            by: {
                let isSeen = lines.withLock { lines in
                    defer { lines.asked = lines.count }
                    return lines.count != lines.asked
                }
                if !isSeen {
                    let bytes = try await self.bytesMoved(by: backRest, on: host)
                    lines.withLock { $0.bytes = bytes }
                }
                return ("pgBackRest on \(host.name) reads and writes nothing", lines.withLock { [$0.count, $0.bytes] })
            },
            { deadline in
                try await work(deadline) {
                    lines.withLock { $0.count += 1 }
                }
            })
    }

    /// What the processes of pgBackRest that work on the stanza on `host` have read and written so far, in bytes.
    func bytesMoved(by backRest: BackRest, on host: any Host) async throws -> UInt64 {
        let text = try await host.require(.script(Self.moved, "--stanza=\(backRest.stanza)").as(backRest.user), deadline: .after(.seconds(20))).text
        return UInt64(text) ?? 0
    }

    private static let moved = """
        for process in /proc/[0-9]*; do
          [ "$(cat "$process/comm" 2>/dev/null)" = pgbackrest ] || continue
          tr '\\0' '\\n' <"$process/cmdline" 2>/dev/null | grep -qxF -- "$1" && cat "$process/io" 2>/dev/null
        done | awk '/^[rw]char:/ { sum += $2 } END { printf "%.0f\\n", sum }'
        """
}
