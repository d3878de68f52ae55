public import EventLoop
public import PostgresClient
import PostgresConfig
import RemoteHost
import Report

/// The last commit of each origin in a stretch of a running server's log, as `pg_waldump` shows it.
///
/// A commit that was applied from elsewhere bears the number of its origin there, and its position there.
public struct OriginCommits: Sendable, Hashable {
    /// By the number of the origin.
    public let last: [UInt32: LSN]

    // $1 pg_waldump, $2 the directory of the log, $3 timeline, $4 from, $5 to.
    static let script = #"""
        { "$1" --path="$2" --timeline="$3" --start="$4" --end="$5" --rmgr=Transaction; echo "ended $?"; } | awk '
          /^ended / { code = $2 }
          /desc: COMMIT/ && match($0, /origin: node [0-9]+, lsn [0-9A-F]+\/[0-9A-F]+/) { split(substr($0, RSTART, RLENGTH), word, /[ ,]+/); last[word[3]] = word[5] }
          END { for (node in last) print node, last[node]; exit code }'
        """#

    /// - Parameter output: a line for each origin: its number, and the position.
    init(_ output: String) {
        last = output.split(whereSeparator: \.isNewline).reduce(into: [:]) { last, line in
            let words = line.split(separator: " ")
            if words.count == 2, let node = UInt32(words[0]), let lsn = LSN(words[1]) { last[node] = lsn }
        }
    }
}

extension Instance {
    /// The last commit of each origin among the records of this running server that end between two positions.
    /// - Throws: ``InstanceError/unreadable(node:host:what:)`` with what the program says, where its log cannot be read.
    public func originCommits(from start: LSN, to end: LSN, deadline: Deadline) async throws -> OriginCommits {
        guard start < end else { return OriginCommits("") }
        let timeline = try await controlData(deadline: deadline).timeline
        let program = (binaries.directory / "pg_waldump").path, wal = (dataDirectory / features.walDirectory).path
        let result = try await host.run(.script(OriginCommits.script, program, wal, "\(timeline)", "\(start)", "\(end)").as(user), deadline: deadline)
        guard result.succeeded else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "the write-ahead log in \(wal) from \(start) to \(end): \(result.errorText.onOneLine)")
        }
        return OriginCommits(result.text)
    }
}
