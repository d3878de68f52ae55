/// A number of bytes, written as PostgreSQL writes memory sizes: `16MB`.
///
/// A unit is 1024 times the one before it, as in postgresql.conf; `MiB` and `MB` are the same.
/// <https://www.postgresql.org/docs/current/config-setting.html>
public struct ByteCount: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let bytes: Int64

    public init(bytes: Int64) { self.bytes = bytes }

    /// What stays free for WAL where a playbook says nothing.
    static let freeForWAL = ByteCount(bytes: 1 << 30)

    /// Reads `512kB`, `16MB`, `1GiB`; `nil` for anything else, a number without a unit included.
    public init?(_ text: String) {
        guard let (number, unit) = Quantity.split(text) else { return nil }
        let power: Int64
        switch unit {
        case "B": power = 0
        case "kB", "KB", "KiB": power = 1
        case "MB", "MiB": power = 2
        case "GB", "GiB": power = 3
        case "TB", "TiB": power = 4
        default: return nil
        }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << (10 * power))
        guard !overflow else { return nil }
        self.bytes = bytes
    }

    /// The largest unit that needs no fraction.
    public var description: String {
        var number = bytes
        for unit in ["B", "kB", "MB", "GB"] {
            guard number != 0, number % 1024 == 0 else { return "\(number)\(unit)" }
            number /= 1024
        }
        return "\(number)TB"
    }

    public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }
}
