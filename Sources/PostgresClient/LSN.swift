/// A position in the write-ahead log, as `pg_lsn`.
public struct LSN: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    /// Bytes from the beginning of the log.
    public let position: UInt64

    public static let zero = LSN(position: 0)

    public init(position: UInt64) { self.position = position }

    /// Reads PostgreSQL's text form, `16/B374D848`; `nil` for anything else.
    public init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ (1...8).contains($0.count) && $0.allSatisfy(\.isHexDigit) }),
            let high = UInt64(halves[0], radix: 16), let low = UInt64(halves[1], radix: 16)
        else { return nil }
        position = high << 32 | low
    }

    public var description: String {
        String(position >> 32, radix: 16, uppercase: true) + "/" + String(position & 0xFFFF_FFFF, radix: 16, uppercase: true)
    }

    public static func < (left: LSN, right: LSN) -> Bool { left.position < right.position }

    /// Bytes from `earlier` to here; negative when `earlier` is in truth later.
    public func bytes(since earlier: LSN) -> Int64 { Int64(bitPattern: position &- earlier.position) }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let lsn = LSN(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not an LSN: \(text)"))
        }
        self = lsn
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
