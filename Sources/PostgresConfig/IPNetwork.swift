internal import Glibc

/// Addresses of one family under a mask: `10.77.0.3/32`, `fd00::/8`.
public struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    /// In network order: 4 bytes, or 16.
    let address: [UInt8]
    let mask: [UInt8]

    /// Reads `10.77.0.0/24`; an address alone stands for itself. `nil` for anything else, host names among it.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let address = IPNetwork.bytes(parts[0]) else { return nil }
        var bits = address.count * 8
        if parts.count > 1 {
            guard let given = Int(parts[1]), (0...bits).contains(given) else { return nil }
            bits = given
        }
        self.address = address
        mask = address.indices.map { UInt8(truncatingIfNeeded: 0xFF00 >> max(0, min(8, bits - $0 * 8))) }
    }

    /// Reads an address and a mask as written in two fields of `pg_hba.conf`.
    init?(address: String, mask: String) {
        guard let address = IPNetwork.bytes(address), let mask = IPNetwork.bytes(mask), address.count == mask.count else { return nil }
        self.address = address
        self.mask = mask
    }

    /// The one address, when it is only one.
    public var isSingleAddress: Bool { mask.allSatisfy { $0 == 0xFF } }

    public func contains(_ other: IPNetwork) -> Bool {
        address.count == other.address.count
            && address.indices.allSatisfy { mask[$0] & ~other.mask[$0] == 0 && (address[$0] ^ other.address[$0]) & mask[$0] == 0 }
    }

    public func overlaps(_ other: IPNetwork) -> Bool {
        address.count == other.address.count
            && address.indices.allSatisfy { (address[$0] ^ other.address[$0]) & mask[$0] & other.mask[$0] == 0 }
    }

    /// CIDR form; address and mask side by side where the mask has holes.
    public var description: String {
        let bits = mask.reduce(0) { $0 + $1.nonzeroBitCount }
        let text = IPNetwork.text(address)
        return IPNetwork("\(text)/\(bits)")?.mask == mask ? "\(text)/\(bits)" : "\(text) \(IPNetwork.text(mask))"
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        for (family, size) in [(AF_INET, 4), (AF_INET6, 16)] {
            var bytes = [UInt8](repeating: 0, count: size)
            if inet_pton(family, text, &bytes) == 1 { return bytes }
        }
        return nil
    }

    private static func text(_ bytes: [UInt8]) -> String {
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
