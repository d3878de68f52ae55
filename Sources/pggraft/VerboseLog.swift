import Foundation
import Logging
import Report

/// What `--verbose` shows: a line on standard error for every command that a host ran and every statement that a server took.
///
/// ```
/// 12:03:04.123 n1  12 ms  sudo -n -u postgres -- pg_ctl -D /srv/n1 status  → exit code 0
/// ```
struct VerboseLog: LogHandler {
    var logLevel = Logger.Level.debug
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    /// Begins to show them; called once, before the first host is connected.
    static func start() { LoggingSystem.bootstrap { _ in VerboseLog() } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let details = metadata.merging(event.metadata ?? [:]) { _, own in own }
        // On a terminal a line of progress may stand where this one begins.
        let clearing = isatty(STDERR_FILENO) == 1 ? "\r\u{1B}[K" : ""
        let line = clearing + Self.line(at: Date(), in: .current, "\(event.message)", details) + "\n"
        // Whoever read it may be gone, which ends nothing.
        line.withCString { _ = write(STDERR_FILENO, $0, strlen($0)) }
    }

    /// One event on one line.
    static func line(at moment: Date, in zone: TimeZone, _ text: String, _ details: Logger.Metadata) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let parts = calendar.dateComponents([.hour, .minute, .second, .nanosecond], from: moment)
        let clock = [parts.hour, parts.minute, parts.second].map { "\($0 ?? 0)".zeroPadded(to: 2) }.joined(separator: ":")
        let head = "\(clock).\("\((parts.nanosecond ?? 0) / 1_000_000)".zeroPadded(to: 3))" + (details[Sending.node].map { " \($0)" } ?? "")
        return [head, details[Sending.took].map { "\($0)" }, text, details[Sending.ending].map { "→ \($0)" }]
            .compactMap(\.self).map(\.onOneLine).joined(separator: "  ")
    }
}
