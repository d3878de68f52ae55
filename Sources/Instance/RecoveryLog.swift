public import EventLoop
import RemoteHost
import Report

/// What a standby's server log says of why it does not get on.
enum RecoveryLog {
    /// Prints the end of the log that the server of `$1` writes to; nothing where that is no file.
    static let tail = """
        cd -- "$1" || exit 1
        pid=$(head -n 1 postmaster.pid 2>/dev/null) || exit 0
        log=$(readlink "/proc/$pid/fd/2")
        # A server that collects its messages has a pipe there, and names the file.
        if [ -r current_logfiles ]; then log=$(sed -n '1s/^[a-z]* //p' current_logfiles); fi
        if [ -f "$log" ]; then tail -n 400 -- "$log"; fi
        """

    /// What an extension's record in the WAL is to a copy that does not load the extension. What the server advises, to load it, would make the copy act as its source.
    static let foreignRecord = "its source's WAL has a record of an extension that a copy does not load, and must not: make the copy anew, from a backup that is younger"

    /// The newest errors that the server, or a program that it has called, has written down: `count` different ones at most.
    static func errors(_ count: Int, in text: String) -> [String] {
        var errors: [String] = []
        for line in lines(of: text).reversed() where errors.count < count {
            guard let match = line.firstMatch(of: #/\b((?:FATAL|PANIC|ERROR): .*|pg_\w+: error: .*)/#) else { continue }
            let error = Redaction.redacted(Redaction.unmasked(String(match.1).onOneLine))
            if !errors.contains(error) { errors.append(error) }
        }
        return errors
    }

    /// The newest complaint of the server that runs now; `nil` where there is none.
    static func obstacle(in text: String) -> Obstacle? {
        let all = lines(of: text)
        // What is before its start was said by another one, perhaps by the server this is a copy of.
        let start = all.lastIndex { $0.contains(#/starting PostgreSQL \d|database system was (shut down|interrupted)/#) } ?? 0
        let complaints = all[start...].compactMap(complaint)
        // It tries the archive and the primary in turns, and needs one of them only.
        let archive = complaints.last { $0.isOfArchive }, stream = complaints.last { !$0.isOfArchive }
        let text = [stream, archive].compactMap { $0?.text }.joined(separator: "; ")
        guard !text.isEmpty else { return nil }
        // What the primary has refused twice was looked for in the archive in between.
        let isFinal = stream.map { last in last.isFinal || (last.isFinalTwice && complaints.count { $0.text == last.text } > 1) } ?? false
        return Obstacle(Redaction.redacted(Redaction.unmasked(text)), isFinal: isFinal)
    }

    private struct Complaint {
        let text: String
        var isOfArchive = false
        var isFinal = false
        var isFinalTwice = false
    }

    private static func complaint(_ line: String) -> Complaint? {
        // pgBackRest's own, from restore_command: with the time and its process, or plain.
        if let match = line.firstMatch(of: #/(?:^|\s)((?:ERROR|WARN): +\[\d{3}\]: .*)/#) { return Complaint(text: "restore_command: \(match.1)".onOneLine, isOfArchive: true) }
        guard let match = line.firstMatch(of: #/\b(?:FATAL|PANIC|ERROR|WARNING):\s+(.*)/#) else { return nil }
        let text = String(match.1).onOneLine
        func says(_ words: String...) -> Bool { words.contains(where: text.contains) }
        if says("replication slot ") && says("does not exist") { return Complaint(text: text, isFinalTwice: true) }
        if says("requested WAL segment ") && says("has already been removed") { return Complaint(text: text, isFinalTwice: true) }
        if says("is not in this server's history", "is not a child of this server's history", "system identifier differs", "is behind recovery timeline") {
            return Complaint(text: text, isFinalTwice: true)
        }
        if says("resource manager with ID ") && says("not registered") { return Complaint(text: "\(text) (\(foreignRecord))", isFinal: true) }
        if says("insufficient parameter settings") { return Complaint(text: text, isFinal: true) }
        let isOfRecovery = says("primary server", "WAL stream", "streaming", "restore_command", "could not restore file", "replication state slot", "recovery target")
        return isOfRecovery ? Complaint(text: text) : nil
    }
}

extension Instance {
    /// Why this standby does not get on, as its server log says; `nil` where it says nothing of that.
    public func recoveryObstacle(deadline: Deadline) async throws -> Obstacle? {
        RecoveryLog.obstacle(in: try await host.require(.script(RecoveryLog.tail, dataDirectory.path).as(user), deadline: deadline).text)
    }

    /// The newest errors in the log of the server that runs, `count` different ones at most, the newest first; none where it has no log that is a file.
    public func lastErrors(_ count: Int = 2, deadline: Deadline) async throws -> [String] {
        RecoveryLog.errors(count, in: try await host.require(.script(RecoveryLog.tail, dataDirectory.path).as(user), deadline: deadline).text)
    }

    /// How far a server has come that takes no connections yet: another text when it has come further.
    ///
    /// It is the segment that its startup process replays. Until it replays one it makes sure that files are on disk, which shows only in
    /// how often it waits.
    public func startupProgress(deadline: Deadline) async throws -> String {
        try await host.require(.script(StartupProgress.script, dataDirectory.path).as(user), deadline: deadline).text
    }
}

private enum StartupProgress {
    static let script = """
        cd -- "$1" || exit 1
        pid=$(head -n 1 postmaster.pid 2>/dev/null) || exit 0
        for child in $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
          title=$(tr '\\0' ' ' <"/proc/$child/cmdline") || continue
          case $title in *startup*) ;; *) continue ;; esac
          segment=$(printf '%s\\n' "$title" | sed -n 's/.*\\([0-9A-F]\\{24\\}\\).*/\\1/p')
          if [ -n "$segment" ]; then echo "replays $segment"
          else echo "starts up ($(sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$child/status"))"; fi
        done
        exit 0
        """
}
