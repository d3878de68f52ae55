public import PostgresClient

/// A version of Spock, as `spock_version()` and `pg_extension` say it: `5.0.11`, `6.0.0-beta.1`.
public struct SpockVersion: Sendable, Hashable, Comparable, Codable, LosslessStringConvertible, PostgresDecodable {
    public let major: Int
    public let minor: Int
    public let patch: Int
    /// What follows a hyphen, `beta.1`; such a version comes before the one without it.
    public let preRelease: String?

    public init(major: Int, minor: Int = 0, patch: Int = 0, preRelease: String? = nil) {
        self.major = major
        self.minor = minor
        self.patch = patch
        self.preRelease = preRelease
    }

    public init?(_ text: String) {
        let halves = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = halves[0].split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...3).contains(numbers.count), numbers.allSatisfy({ $0.map { $0 >= 0 } ?? false }) else { return nil }
        let known = numbers.compactMap { $0 } + [0, 0]
        self.init(major: known[0], minor: known[1], patch: known[2], preRelease: halves.count == 2 ? String(halves[1]) : nil)
    }

    public init?(postgresText: String) { self.init(postgresText) }

    /// `spock_version_num()`: 50011 for 5.0.11.
    public var number: Int { major * 10_000 + minor * 100 + patch }

    public var description: String { "\(major).\(minor).\(patch)" + (preRelease.map { "-\($0)" } ?? "") }

    public static func < (left: SpockVersion, right: SpockVersion) -> Bool {
        if left.number != right.number { return left.number < right.number }
        return switch (left.preRelease, right.preRelease) {
        case (let left?, let right?): left < right
        case (.some, nil): true
        case (nil, _): false
        }
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let version = SpockVersion(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no version of Spock: \(text)"))
        }
        self = version
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
