public import EventLoop
public import PostgresClient
import PostgresConfig
import RemoteHost
import Report

/// What a stopped server has written beyond a position, as `pg_waldump` shows it: what a standby that was promoted there has not.
public struct WrittenBeyond: Sendable, Hashable {
    /// A transaction that was committed there.
    public struct Commit: Sendable, Hashable, CustomStringConvertible {
        public let transaction: String
        public let at: LSN
        /// As the server wrote it: `2026-11-28 21:50:23.802 UTC`.
        public let time: String

        public var description: String { "transaction \(transaction), committed \(time), at \(at)" }
    }

    public let commits: [Commit]
    /// Where its last record begins; `nil` where it has written none.
    public let last: LSN?

    // $1 pg_waldump, $2 the directory of the log, $3 timeline, $4 position. That no record follows is what the end of the log looks like.
    static let script = #"""
        errors=$(mktemp) && exec 3>"$errors" 4<"$errors" && rm -f "$errors" || exit 125
        "$1" --path="$2" --timeline="$3" --start="$4" 2>&3 3>&- 4<&- | awk '/desc: (COMMIT|COMMIT_PREPARED) / { print } { last = $0 } END { if (NR) print "last " last }'
        cat <&4 >&2
        """#

    /// - Parameters:
    ///   - output: records of commits, then the last one.
    ///   - errors: what the program says where it ends.
    /// - Returns: `nil` where the log could not be read up to its end.
    init?(_ output: String, errors: String) {
        var commits: [Commit] = [], last: LSN?
        for line in output.split(whereSeparator: \.isNewline) {
            guard let match = line.firstMatch(of: #/tx:\s+(\d+), lsn: ([0-9A-F]+\/[0-9A-F]+),.*desc: (\S+) ([^;]*)/#), let lsn = LSN(match.2) else { continue }
            if line.hasPrefix("last ") { last = lsn } else { commits.append(Commit(transaction: String(match.1), at: lsn, time: String(match.4).trimmed)) }
        }
        let ends = [
            "could not find a valid record after", "error in WAL record at", "invalid record length", "invalid magic number", "unexpected pageaddr",
            "record with incorrect prev-link",
        ]
        let isAtItsEnd = errors.split(whereSeparator: \.isNewline).allSatisfy { line in line.contains("first record is after") || ends.contains { line.contains($0) } }
        guard isAtItsEnd || (last != nil && errors.contains("could not find file")) else { return nil }
        (self.commits, self.last) = (commits, last)
    }
}

extension Instance {
    /// What this stopped server has written on `timeline` from `position` on.
    /// - Throws: ``InstanceError/unreadable(node:host:what:)`` with what the program says, where its log cannot be read.
    public func written(beyond position: LSN, on timeline: UInt32, deadline: Deadline) async throws -> WrittenBeyond {
        guard features.hasWALDump else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "the write-ahead log: PostgreSQL \(version) has no program that shows its transactions (pg_waldump)")
        }
        let program = (binaries.directory / "pg_waldump").path, wal = (dataDirectory / features.walDirectory).path
        let result = try await host.run(.script(WrittenBeyond.script, program, wal, "\(timeline)", "\(position)").as(user), deadline: deadline)
        guard result.succeeded, let written = WrittenBeyond(result.text, errors: result.errorText) else {
            throw InstanceError.unreadable(node: node, host: host.name, what: "the write-ahead log in \(wal): \(result.errorText.onOneLine)")
        }
        return written
    }
}
