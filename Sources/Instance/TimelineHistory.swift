public import PostgresClient
import Report

/// A `.history` file: where a timeline branched off, and those before it.
/// <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES>
public struct TimelineHistory: Sendable, Hashable {
    public struct Switch: Sendable, Hashable {
        /// The timeline that was left.
        public let timeline: UInt32
        /// Where it was left: nothing from there on belongs to the timelines that follow.
        public let at: LSN
        /// The server's own words: `no recovery target specified`.
        public let reason: String
    }

    /// Oldest first.
    public let switches: [Switch]

    /// `nil` for what the server would call a syntax error.
    public init?(_ text: String) {
        var switches: [Switch] = []
        for line in lines(of: text) {
            let content = line.drop(while: \.isWhitespace)
            if content.isEmpty || content.hasPrefix("#") { continue }
            let fields = content.split(maxSplits: 2, omittingEmptySubsequences: true, whereSeparator: \.isWhitespace)
            guard fields.count >= 2, let timeline = UInt32(fields[0]), let lsn = LSN(fields[1]), timeline > switches.last?.timeline ?? 0
            else { return nil }
            switches.append(Switch(timeline: timeline, at: lsn, reason: fields.count > 2 ? String(fields[2]) : ""))
        }
        self.switches = switches
    }

    /// The file's name for a timeline: `00000002.history`.
    public static func fileName(of timeline: UInt32) -> String { hexadecimal(timeline) + ".history" }

    /// The timeline of a `.history` file: the first eight digits of its name.
    static func timeline(ofFile name: String) -> UInt32? {
        name.hasSuffix(".history") ? UInt32(name.prefix(8), radix: 16) : nil
    }

    private static func hexadecimal(_ number: UInt32) -> String {
        String(number, radix: 16, uppercase: true).zeroPadded(to: 8)
    }
}
