public import Report

/// What pgBackRest printed, taken apart.
///
/// The form is the same from 2.45 on: `2026-11-21 04:10:45.721 P01 DETAIL: …` on standard output, `WARN: …` and
/// `ERROR: [055]: …` on standard error, and continuation lines indented under them.
public struct BackRestLog: Sendable, Hashable {
    public struct Failure: Sendable, Hashable {
        public var code: BackRestErrorCode
        /// The first line and the lines that continue it.
        public var message: String
        /// The `HINT:` lines, without that word.
        public var hints: [String]
    }

    /// With pgBackRest's own hints.
    public private(set) var warnings: [Problem] = []
    /// The first error; what follows it comes of it.
    public private(set) var failure: Failure?
    /// The label of the backup that was made: `new backup label = …`.
    public private(set) var newBackup: String?
    /// The backup that was restored: `restore backup set …`.
    public private(set) var restoredBackup: String?

    private enum Open { case nothing, warning, failure }

    public init(_ text: String) {
        var open = Open.nothing
        for line in text.split(whereSeparator: \.isNewline) {
            let isContinuation = line.first?.isWhitespace ?? false
            if isContinuation {
                append(line.trimmed, to: open)
                continue
            }
            let (level, message) = BackRestLog.split(line)
            switch level {
            case "ERROR":
                open = failure == nil ? .failure : .nothing
                if failure == nil { failure = BackRestLog.failure(message) }
            case "WARN":
                open = .warning
                warnings.append(Problem(String(message)))
            case "INFO":
                open = .nothing
                if let label = BackRestLog.rest(of: message, after: "new backup label = ") { newBackup = String(label) }
                if let set = BackRestLog.rest(of: message, after: "restore backup set ") {
                    restoredBackup = String(set.prefix { $0 != "," })
                }
            default: open = .nothing
            }
        }
    }

    /// Both streams of one run together.
    func joined(with other: BackRestLog) -> BackRestLog {
        var log = self
        log.warnings += other.warnings
        log.failure = failure ?? other.failure
        log.newBackup = newBackup ?? other.newBackup
        log.restoredBackup = restoredBackup ?? other.restoredBackup
        return log
    }

    private mutating func append(_ line: String, to open: Open) {
        let hint = BackRestLog.rest(of: line[...], after: "HINT: ", onlyAtStart: true).map(String.init)
        switch open {
        case .nothing: break
        case .warning:
            guard let warning = warnings.popLast() else { return }
            warnings.append(
                hint.map { Problem(warning.fact, hint: (warning.hint.map { $0 + "\n" } ?? "") + $0) } ?? Problem(warning.fact + "\n" + line, hint: warning.hint))
        case .failure: if let hint { failure?.hints.append(hint) } else { failure?.message += "\n" + line }
        }
    }

    /// The level and the message of a line, without time and process.
    static func split(_ line: Substring) -> (level: Substring, message: Substring) {
        guard let colon = line.firstRange(of: ": "), let level = line[..<colon.lowerBound].split(separator: " ").last else { return ("", line) }
        return (level, line[colon.upperBound...])
    }

    private static func failure(_ message: Substring) -> Failure? {
        guard message.first == "[", let end = message.firstIndex(of: "]"),
            let number = Int32(message[message.index(after: message.startIndex)..<end])
        else { return nil }
        let text = message[message.index(after: end)...]
        return Failure(code: BackRestErrorCode(rawValue: number), message: String(text.hasPrefix(": ") ? text.dropFirst(2) : text), hints: [])
    }

    private static func rest(of text: Substring, after marker: String, onlyAtStart: Bool = false) -> Substring? {
        guard let found = text.firstRange(of: marker), !onlyAtStart || found.lowerBound == text.startIndex else { return nil }
        return text[found.upperBound...]
    }
}
