/// The name of a stanza: one database cluster in a repository.
public struct StanzaName: Sendable, Hashable, Codable, CustomStringConvertible {
    public let name: String

    /// `nil` for a name that cannot stand as a section of a configuration file or as a directory of a repository.
    public init?(_ name: String) {
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard allowed, let first = name.first, first != "-", first != ".", name != "global" else { return nil }
        self.name = name
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let stanza = StanzaName(text) else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "not a stanza name: \(text)"))
        }
        self = stanza
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(name)
    }

    public var description: String { name }
}
