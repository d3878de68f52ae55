internal import EventLoop
import Report

extension ProgramReport {
    /// Tells everything below the watcher but its relays to end (TERM, once each) and waits up to 4 s until it has. Never
    /// KILL: what runs there may be a postmaster.
    static func endingCommand(watcher: Int32, relays: [Int32], nonce: String, user: String?) -> Command {
        Command.script(
            #"""
            grep -qaF -- "$2" "/proc/$1/cmdline" 2>/dev/null || exit 0
            told=' ' round=0
            while [ "$round" -lt 20 ]; do
                below=$(cat /proc/[0-9]*/status 2>/dev/null | awk -v root="$1" -v relays="$3" '
                    /^Pid:/ { pid = $2 }
                    /^PPid:/ { parent[pid] = $2 }
                    END {
                        for (p in parent) {
                            q = p
                            while (q in parent && q != root && q + 0 > 1) q = parent[q]
                            if (q == root && p != root && !index(relays, " " p " ")) print p
                        }
                    }')
                [ -n "$below" ] || exit 0
                for pid in $below; do
                    case $told in *" $pid "*) ;; *) kill -TERM "$pid" 2>/dev/null; told="$told$pid " ;; esac
                done
                sleep 0.2
                round=$((round + 1))
            done
            echo "still running after SIGTERM:" $below
            exit 1
            """#, String(watcher), nonce, " " + relays.map(String.init).joined(separator: " ") + " "
        ).as(user)
    }
}

/// How a program was told to end after its deadline, or its caller's cancellation; for the error's text.
func tellToEnd(
    _ report: ProgramReport, of command: Command, run: (Command, Deadline) async throws -> CommandResult
) async -> String {
    guard let watcher = report.watcher else { return "whether the program had begun is not known" }
    do {
        let result = try await run(
            ProgramReport.endingCommand(watcher: watcher, relays: report.relays, nonce: report.watcherNonce, user: command.user), .after(.seconds(20)))
        return result.succeeded
            ? "the program was told to end and has ended"
            : "the program was told to end and has not: \(result.text.isEmpty ? result.errorText : result.text)"
    } catch {
        return "the program could not be told to end and may still run: \(Problem(explaining: error).fact)"
    }
}
