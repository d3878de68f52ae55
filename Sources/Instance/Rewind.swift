public import EventLoop
public import PostgresClient
import PostgresConfig
public import RemoteHost
public import Report

/// `pg_rewind`: makes a data directory that has gone its own way one that can follow another server again.
/// <https://www.postgresql.org/docs/current/app-pgrewind.html>
public enum Rewind {
    /// What it came to.
    public enum Outcome: Sendable, Hashable {
        /// It had not gone its own way: nothing was changed.
        case notNeeded
        /// It has what the source has, from the common checkpoint on.
        case rewound(String)
    }

    /// Why it could not be done.
    public struct Failed: Explained {
        public let node: String
        public let output: String
        /// Whether it had begun to overwrite files: the directory is of no use then.
        public let hasSpoiled: Bool

        public var fact: String { "\(node): pg_rewind failed\(hasSpoiled ? ", and has left the data directory half overwritten" : "; it has changed nothing"): \(output)" }
        public var hint: String? {
            hasSpoiled
                ? "nothing starts in this directory any more (global/pg_control is put aside): make a new copy of the primary: say `copy:` in the playbook, or `procedure: hot-standby`"
                : "put right what it says, then resume; or make a new copy of the primary: say `copy:` in the playbook, or `procedure: hot-standby`"
        }
    }

    // From here on it writes; what comes before only reads, but for the recovery of a server that crashed.
    static let writes = "rewinding from last common checkpoint"
    static let isNotNeeded = "no rewind required"

    // The password comes by standard input. Files in the data directory become the source's: those of the configuration are kept elsewhere
    // until they are put back. Where it has begun to write and not come to its end, nothing may start any more; its own files are put back there,
    // too, for who makes a new copy. One that was cut off from us has gone on, and is waited for. A server that crashed is not recovered while it
    // has the mark of a standby. A second time, before the server was started, would be its end: its recovery goes from backup_label on, to the end of what
    // there happens to be of the log, and makes a primary of it.
    // $1 what finds processes, $2 data directory, $3 where files are kept, $4 the mark, $5 what it says, $6 what the program says when it begins to
    // write, then the program.
    static let script = #"""
        IFS= read -r PGPASSWORD; if [ -n "$PGPASSWORD" ]; then export PGPASSWORD; else unset PGPASSWORD; fi
        running=$1 data=$2 kept=$3 mark=$4 says=$5 writes=$6; shift 6

        \#(OwnFiles.functions)

        spoil() { mv -f "$data/global/pg_control" "$data/global/pg_control.spoiled" && put_back && cd / && rm -rf "$kept"; exit 70; }
        finish() { mark && put_back && cd / && : >"$kept/done" && find "$kept" -type f ! -name done -delete; }
        if [ -e "$kept/output" ]; then
          while [ -n "$(sh -c "$running" sh pg_rewind "--target-pgdata=$data")" ]; do sleep 0.2; done
          tries=0; while [ -e "$kept/output" ] && [ "$tries" -lt 25 ]; do sleep 0.2; tries=$((tries + 1)); done
          if grep -qs 'Done!' "$kept/output"; then cat "$kept/output"; finish; exit; fi
          if grep -qs "$writes" "$kept/output"; then cat "$kept/output"; spoil; fi
        fi
        if [ -e "$kept/done" ]; then
          [ ! -e "$data/backup_label" ] || { echo 'Done!'; exit 0; }
          rm -rf "$kept"
        fi
        keep || exit 1
        rm -f "$data/$mark"
        "$@" >"$kept/output" 2>&1 </dev/null; code=$?
        cat "$kept/output"
        if [ "$code" -ne 0 ]; then
          if grep -q "$writes" "$kept/output"; then spoil; fi
          mark; rm -rf "$kept"
          exit "$code"
        fi
        finish
        """#
}

extension Instance {
    func rewindCommand(from source: Conninfo, keepingIn kept: HostPath, restoringWAL: Bool, configFile: HostPath?) -> Command {
        let shown = source.withoutSecrets
        var words = [(binaries.directory / "pg_rewind").path, "--target-pgdata=\(dataDirectory.path)", "--source-server=\(shown.connectionString)", "--progress"]
        if restoringWAL, features.rewind.restoresWAL { words.append("--restore-target-wal") }
        if let configFile, features.rewind.takesConfigFile { words.append("--config-file=\(configFile.path)") }
        return Command(
            words: ["sh", "-c", Rewind.script, "sh", ProgramProcess.script] + ownFiles(keptIn: kept) + [Rewind.writes] + words, user: user
        )
        .reading(Array(((source.password?.reveal() ?? "") + "\n").utf8))
    }

    /// Rewinds the stopped server to what `source` has. A server that crashed is recovered by the program itself, in single-user mode (from 13).
    ///
    /// Its configuration files in the data directory stay its own. Done already, or not needed, it changes nothing.
    /// - Parameters:
    ///   - source: a superuser's connection to the server, as this host reaches it.
    ///   - kept: where the files are kept meanwhile; outside of the data directory, and gone afterwards.
    ///   - restoringWAL: whether it has a way to an archive.
    /// - Throws: ``Rewind/Failed``.
    public func rewind(from source: Conninfo, keepingIn kept: HostPath, restoringWAL: Bool, deadline: Deadline) async throws -> Rewind.Outcome {
        let configFile = debianCluster?.configDirectory.map { $0 / "postgresql.conf" }
        let result = try await host.run(rewindCommand(from: source, keepingIn: kept, restoringWAL: restoringWAL, configFile: configFile), deadline: deadline)
        let said = result.text.split(whereSeparator: \.isNewline).filter { !$0.contains(" kB (") && !$0.trimmed.isEmpty }.suffix(6).joined(separator: "; ")
        guard result.succeeded else {
            throw Rewind.Failed(node: node, output: Redaction.redacted(said.isEmpty ? result.errorText.onOneLine : said), hasSpoiled: result.text.contains(Rewind.writes))
        }
        return result.text.contains(Rewind.isNotNeeded) ? .notNeeded : .rewound(said)
    }

    /// Whether a rewind has come to its end there, and the server was not started since, which takes `backup_label` away: the control file does not show it.
    public func isRewound(keepingIn kept: HostPath, deadline: Deadline) async throws -> Bool {
        guard try await host.stat(kept / "done", as: user, deadline: deadline) != nil else { return false }
        return try await host.stat(dataDirectory / "backup_label", as: user, deadline: deadline) != nil
    }

    /// Whether a `pg_rewind` was cut off or has failed there: nothing may start there then.
    public func isSpoiled(deadline: Deadline) async throws -> Bool {
        try await host.stat(dataDirectory / "global/pg_control.spoiled", as: user, deadline: deadline) != nil
    }

    /// The history of a timeline, as the server has it; `nil` where it has none.
    public func history(of timeline: UInt32, deadline: Deadline) async throws -> TimelineHistory? {
        let path = dataDirectory / features.walDirectory / TimelineHistory.fileName(of: timeline)
        return try await host.read(path, as: user, deadline: deadline).flatMap { TimelineHistory(String(decoding: $0, as: UTF8.self)) }
    }
}
