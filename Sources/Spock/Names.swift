public import PostgresClient

/// A name in Spock's catalogs or PostgreSQL's: a type of its own for each kind, so that none is taken for another.
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

/// The name of a node of the mesh: 1 to 63 bytes.
public struct NodeName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard isIdentifier(rawValue) else { return nil }
        self.rawValue = rawValue
    }
}

/// The name of a subscription: 1 to 63 of `a`–`z`, `0`–`9` and `_`, as Spock demands.
public struct SubscriptionName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard isSlotWord(rawValue) else { return nil }
        self.rawValue = rawValue
    }
}

/// The name of a replication slot: 1 to 63 of `a`–`z`, `0`–`9` and `_`.
/// <https://www.postgresql.org/docs/current/warm-standby.html#STREAMING-REPLICATION-SLOTS-MANIPULATION>
public struct SlotName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard isSlotWord(rawValue) else { return nil }
        self.rawValue = rawValue
    }
}

/// The name of a replication origin; Spock gives it the name of the slot the subscription reads.
public struct OriginName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard !rawValue.isEmpty, rawValue.utf8.count <= 512, !rawValue.utf8.contains(0) else { return nil }
        self.rawValue = rawValue
    }

    /// The origin of the subscription that reads `slot`.
    public init(_ slot: SlotName) { rawValue = slot.rawValue }
}

/// The name of a replication set: 1 to 63 bytes.
public struct ReplicationSetName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard isIdentifier(rawValue) else { return nil }
        self.rawValue = rawValue
    }
}

private func isIdentifier(_ text: String) -> Bool { (1...63).contains(text.utf8.count) && !text.utf8.contains(0) }

private func isSlotWord(_ text: String) -> Bool {
    isIdentifier(text)
        && text.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "_")
        }
}

extension SQL.Interpolation {
    /// A name, bound as a parameter.
    public mutating func appendInterpolation(_ name: some CatalogName) { appendInterpolation(name.rawValue) }
    /// Names, bound as one `text[]`.
    public mutating func appendInterpolation(_ names: [some CatalogName]) { appendInterpolation(names.map(\.rawValue)) }
}
