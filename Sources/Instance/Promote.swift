public import EventLoop
public import PostgresClient
import PostgresConfig
import RemoteHost

/// A promotion that is complete.
public struct Promotion: Sendable, Hashable {
    /// The new timeline.
    public let timeline: UInt32
    /// The timeline it was a standby on.
    public let previousTimeline: UInt32
    /// Where it left that timeline: everything before is the primary's, everything behind its own.
    public let switchpoint: LSN
}

extension Instance {
    /// Makes a primary of the standby: `pg_ctl promote`, then waits, on the host, until it has left recovery and the new timeline's
    /// history is written. One command.
    ///
    /// `SELECT pg_promote()` is not used: its snapshot can stand in the way of what is still to be replayed.
    /// - Throws: ``InstanceError/cannotPromote(node:host:output:)`` when it is no standby; `DeadlineExceeded`, and then the
    ///   promotion may still go on.
    public func promote(deadline: Deadline) async throws -> Promotion {
        let pgctl = (binaries.directory / "pg_ctl").path
        let result = try await leaveRecovery(Self.promoting + (features.seesPromotionAtOnce ? Self.waiting : Self.waking), pgctl, deadline: deadline)
        guard result.status != .code(Self.notPromoted) else {
            throw InstanceError.cannotPromote(node: node, host: host.name, output: result.errorText.isEmpty ? result.text : result.errorText)
        }
        return try promotion(result)
    }

    /// Waits until the instance has left recovery, and says on which timeline.
    /// - Throws: `DeadlineExceeded`.
    public func promotion(deadline: Deadline) async throws -> Promotion {
        try promotion(try await leaveRecovery(Self.waiting, "", deadline: deadline))
    }

    private func leaveRecovery(_ before: String, _ pgctl: String, deadline: Deadline) async throws -> CommandResult {
        let controldata = (binaries.directory / "pg_controldata").path, wal = (dataDirectory / features.walDirectory).path
        do {
            return try await host.run(Command.script(before + Self.leaving, dataDirectory.path, controldata, wal, pgctl).as(user), deadline: deadline)
        } catch let late as DeadlineExceeded {
            throw DeadlineExceeded(waitedFor: "\(node) on \(host.name) to leave recovery", budget: late.budget, lastSeen: late.lastSeen)
        }
    }

    private func promotion(_ result: CommandResult) throws -> Promotion {
        let lines = result.text.split(separator: "\n", maxSplits: 1)
        guard result.succeeded, lines.count == 2, let timeline = TimelineHistory.timeline(ofFile: String(lines[0])),
            let last = TimelineHistory(String(lines[1]))?.switches.last
        else {
            let said = result.errorText.isEmpty ? "" : ": \(result.errorText)"
            throw InstanceError.unreadable(node: node, host: host.name, what: "the history of its timeline in \(dataDirectory / features.walDirectory)\(said)")
        }
        return Promotion(timeline: timeline, previousTimeline: last.timeline, switchpoint: last.at)
    }

    private static let notPromoted: Int32 = 9

    private static let promoting = #"""
        "$4" promote -W -D "$1" >&2 || exit 9

        """#

    private static let waiting = "wake() { :; }\n"

    // The signal that says it has been sent to the process that replays, and may have come right before it went to sleep. The same again wakes it, and
    // does nothing to one that knows.
    private static let waking = #"""
        turns=0
        wake() {
            turns=$((turns + 1))
            [ $((turns % 10)) = 0 ] && server=$(head -n 1 -- "$1/postmaster.pid" 2>/dev/null) || return 0
            for process in $(cat "/proc/$server/task/$server/children" 2>/dev/null); do
                ! tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null | grep -q 'startup process' || kill -s USR2 "$process" 2>/dev/null
            done
        }

        """#

    // The state is written when writers are let in. A promotion takes a timeline higher than all whose history is there.
    private static let leaving = #"""
        while state=$("$2" "$1") || exit 1; ! printf '%s\n' "$state" | grep -q '^Database cluster state: *in production$'; do wake "$1"; sleep 0.01; done
        history=$(cd "$3" && ls | grep -E '^[0-9A-F]{8}\.history$' | sort | tail -n 1) && printf '%s\n' "$history" && cat "$3/$history"
        """#
}
