import Report

/// An exit code of pgBackRest, which is also the number in `ERROR: [055]`.
///
/// From pgBackRest's `error.yaml`, unchanged from 2.45 to 2.59.
public struct BackRestErrorCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    public let rawValue: Int32

    public init(rawValue: Int32) { self.rawValue = rawValue }

    /// pgBackRest's own name for the code: `file-missing`; `nil` for a code that is not pgBackRest's.
    public var name: String? { BackRestErrorCode.names[rawValue] }

    /// `055 file-missing`
    public var description: String { "\(rawValue)".zeroPadded(to: 3) + (name.map { " \($0)" } ?? "") }

    private static let names: [Int32: String] = [
        25: "assert", 26: "checksum", 27: "config", 28: "file-invalid", 29: "format", 30: "command-required",
        31: "option-invalid", 32: "option-invalid-value", 37: "option-required", 38: "pg-running", 39: "protocol",
        40: "path-not-empty", 41: "file-open", 42: "file-read", 43: "param-required", 44: "archive-mismatch",
        45: "archive-duplicate", 46: "version-not-supported", 47: "path-create", 48: "command-invalid",
        49: "host-connect", 50: "lock-acquire", 51: "backup-mismatch", 52: "file-sync", 53: "path-open",
        54: "path-sync", 55: "file-missing", 56: "db-connect", 57: "db-query", 58: "db-mismatch", 60: "file-remove",
        61: "path-remove", 62: "stop", 63: "term", 64: "file-write", 67: "feature-not-supported",
        68: "archive-command-invalid", 69: "link-expected", 70: "link-destination", 72: "host-invalid",
        73: "path-missing", 74: "file-move", 75: "backup-set-invalid", 76: "tablespace-map", 78: "link-map",
        79: "file-close", 80: "db-missing", 81: "db-invalid", 82: "archive-timeout", 83: "file-mode",
        87: "archive-disabled", 88: "file-owner", 89: "user-missing", 93: "file-exists", 94: "memory", 95: "crypto",
        96: "param-invalid", 97: "path-close", 98: "file-info", 99: "json-format", 100: "kernel", 101: "service",
        102: "execute", 103: "repo-invalid", 104: "command", 105: "access", 106: "clock", 122: "runtime",
        124: "unhandled", 125: "unknown",
    ]
}
