import Report

/// The permission bits of a file: `0o640`.
public struct FileMode: Sendable, Hashable, Codable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    public let bits: UInt16

    public init(bits: UInt16) { self.bits = bits & 0o7777 }
    public init(integerLiteral value: UInt16) { self.init(bits: value) }

    /// Four octal digits: `0640`.
    public var description: String { String(bits, radix: 8).zeroPadded(to: 4) }
}

/// What stands at a path of a host.
public struct FileStatus: Sendable, Hashable {
    public enum Kind: Sendable, Hashable { case file, directory, symbolicLink, other }

    public var kind: Kind
    public var mode: FileMode
    public var owner: String
    public var group: String
    /// In bytes.
    public var size: UInt64

    public init(kind: Kind, mode: FileMode, owner: String, group: String, size: UInt64) {
        self.kind = kind
        self.mode = mode
        self.owner = owner
        self.group = group
        self.size = size
    }

    /// Reads `stat -c '%f/%s/%U/%G/%u/%g'`; names nobody has (`UNKNOWN`) are given as numbers.
    init?(_ text: String) {
        let fields = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 6, let raw = UInt32(fields[0], radix: 16), let size = UInt64(fields[1]) else { return nil }
        let kind: Kind =
            switch raw & 0o170000 {
            case 0o100000: .file
            case 0o040000: .directory
            case 0o120000: .symbolicLink
            default: .other
            }
        self.init(
            kind: kind, mode: FileMode(bits: UInt16(raw & 0o7777)), owner: fields[2] == "UNKNOWN" ? fields[4] : fields[2],
            group: fields[3] == "UNKNOWN" ? fields[5] : fields[3], size: size)
    }
}
