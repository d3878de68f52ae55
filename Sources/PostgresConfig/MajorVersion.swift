/// A major version of PostgreSQL, whose data directories and programs belong together: 9.6, 15.
public struct MajorVersion: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// `server_version_num` without its minor part: 906 for 9.6, 1500 for 15.
    public let number: Int

    public static func postgres(_ major: Int) -> MajorVersion { MajorVersion(number: major * 100) }

    private init(number: Int) { self.number = number }

    /// The major version of `server_version_num`, such as 150018.
    public init(serverVersionNumber: Int) {
        let number = serverVersionNumber / 100
        self.number = number >= 1000 ? number / 100 * 100 : number
    }

    /// Reads `PG_VERSION` (`15`, `9.6`) or the number of a release (`15.18`, `9.6.24`, `18beta1`); `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard let major = Int(parts[0].prefix { $0.isASCII && $0.isNumber }) else { return nil }
        if major >= 10 {
            number = major * 100
        } else {
            guard parts.count > 1, let minor = Int(parts[1].prefix { $0.isASCII && $0.isNumber }) else { return nil }
            number = major * 100 + minor
        }
    }

    public var description: String { number >= 1000 ? "\(number / 100)" : "\(number / 100).\(number % 100)" }

    public static func < (left: MajorVersion, right: MajorVersion) -> Bool { left.number < right.number }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let version = MajorVersion(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a PostgreSQL version: \(text)"))
        }
        self = version
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
