public import PostgresClient

/// A name in the catalogs of a server: a type of its own for each kind, so that none is taken for another.
public protocol CatalogName: Sendable, Hashable, Comparable, Codable, PostgresDecodable, LosslessStringConvertible,
    ExpressibleByStringLiteral
{
    var rawValue: String { get }
    /// The name, or `nil` where the server would not take `rawValue`.
    init?(rawValue: String)
}

extension CatalogName {
    public var description: String { rawValue }

    public init?(_ text: String) { self.init(rawValue: text) }
    public init?(postgresText: String) { self.init(rawValue: postgresText) }

    /// A name written in the source; one that the server would not take is a mistake of the programmer.
    public init(stringLiteral text: String) {
        guard let name = Self(rawValue: text) else { preconditionFailure("\"\(text)\" is no \(Self.self)") }
        self = name
    }

    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let name = Self(rawValue: text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "\"\(text)\" is no \(Self.self)"))
        }
        self = name
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// The name of a replication slot: 1 to 63 of `a`–`z`, `0`–`9` and `_`.
/// <https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS-MANIPULATION>
public struct SlotName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        let isWord = rawValue.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "_")
        }
        guard isWord, (1...63).contains(rawValue.utf8.count) else { return nil }
        self.rawValue = rawValue
    }
}

/// The name of a replication origin.
public struct OriginName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard !rawValue.isEmpty, rawValue.utf8.count <= 512, !rawValue.utf8.contains(0) else { return nil }
        self.rawValue = rawValue
    }

    /// The origin that bears the name of the slot its subscription reads, as Spock and pglogical call it.
    public init(_ slot: SlotName) { rawValue = slot.rawValue }
}

extension SQL.Interpolation {
    /// A name, bound as a parameter.
    public mutating func appendInterpolation(_ name: some CatalogName) { appendInterpolation(name.rawValue) }
    /// Names, bound as one `text[]`.
    public mutating func appendInterpolation(_ names: [some CatalogName]) { appendInterpolation(names.map(\.rawValue)) }
}
