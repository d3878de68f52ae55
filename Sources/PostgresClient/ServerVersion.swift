/// The version of a server, as `server_version_num` counts it.
///
/// ```swift
/// try #require(await connection.serverVersion >= ServerVersion(12))
/// ServerVersion(9, 3, 24).major   // 9.3
/// ServerVersion(15, 18).major     // 15
/// ```
public struct ServerVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// 150018 for 15.18, 90324 for 9.3.24.
    public let number: Int

    public init(number: Int) { self.number = number }

    /// `ServerVersion(15)`, `ServerVersion(15, 18)`, `ServerVersion(9, 3)`, `ServerVersion(9, 3, 24)`.
    public init(_ first: Int, _ second: Int = 0, _ third: Int = 0) {
        number = first >= 10 ? first * 10_000 + second : first * 10_000 + second * 100 + third
    }

    /// Reads `15.18`, `9.3.24`, `16beta1`, `15.18 (Debian 15.18-1)` and the contents of `PG_VERSION`; `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        let isDigit: (UInt8) -> Bool = { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        let numeric = text.utf8.prefix { isDigit($0) || $0 == UInt8(ascii: ".") }
        let parts = numeric.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: true)
            .compactMap { Int(String(decoding: $0, as: UTF8.self)) }
        guard let first = numeric.first, isDigit(first), let version = parts.first, parts.allSatisfy({ $0 < 10_000 }) else { return nil }
        self.init(version, parts.count > 1 ? parts[1] : 0, parts.count > 2 ? parts[2] : 0)
    }

    /// The version that decides about the data directory's format, as directories are named for it: `15`, `9.3`.
    public var major: String { number >= 100_000 ? "\(number / 10_000)" : "\(number / 10_000).\(number / 100 % 100)" }

    public var description: String { number >= 100_000 ? "\(major).\(number % 10_000)" : "\(major).\(number % 100)" }

    public static func < (left: ServerVersion, right: ServerVersion) -> Bool { left.number < right.number }
}
