/// Addresses of one family under a mask: `10.77.0.3/32`, `fd00::/8`.
public struct IPNetwork: Sendable, Hashable, CustomStringConvertible {
    public let address: IPAddress
    let mask: UInt128

    /// Reads `10.77.0.0/24`; an address alone stands for itself. `nil` for anything else, host names among it.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        guard parts.count > 1 else {
            self.init(address)
            return
        }
        guard let bits = Int(parts[1]) else { return nil }
        self.init(address, bits: bits)
    }

    /// The one address.
    public init(_ address: IPAddress) {
        self.address = address
        mask = address.family == .v4 ? 0xFFFF_FFFF : .max
    }

    init(_ address: IPAddress, mask: UInt128) { (self.address, self.mask) = (address, mask) }

    init?(_ address: IPAddress, bits: Int) {
        guard (0...address.family.bits).contains(bits) else { return nil }
        self.address = address
        mask = IPNetwork.mask(bits: bits, of: address.family)
    }

    /// An address and a mask as written in two fields of `pg_hba.conf`; `nil` where they are of two families.
    init?(_ address: IPAddress, mask: IPAddress) {
        guard address.family == mask.family else { return nil }
        (self.address, self.mask) = (address, mask.value)
    }

    private static func mask(bits: Int, of family: IPAddress.Family) -> UInt128 {
        bits == 0 ? 0 : (family == .v4 ? 0xFFFF_FFFF : .max) << UInt128(family.bits - bits) & (family == .v4 ? 0xFFFF_FFFF : .max)
    }

    /// Whether it is only one address.
    public var isSingleAddress: Bool { mask.nonzeroBitCount == address.family.bits }

    /// Whether it is every address of its family, such as `127.0.0.1/0`.
    public var isEveryAddress: Bool { mask == 0 }

    public var netmask: IPAddress { IPAddress(family: address.family, value: mask) }

    public func contains(_ other: IPAddress) -> Bool {
        address.family == other.family && (address.value ^ other.value) & mask == 0
    }

    public func contains(_ other: IPNetwork) -> Bool { mask & ~other.mask == 0 && contains(other.address) }

    public func overlaps(_ other: IPNetwork) -> Bool {
        address.family == other.address.family && (address.value ^ other.address.value) & mask & other.mask == 0
    }

    /// CIDR form; address and mask side by side where the mask has holes.
    public var description: String {
        let bits = mask.nonzeroBitCount
        return IPNetwork.mask(bits: bits, of: address.family) == mask ? "\(address)/\(bits)" : "\(address) \(netmask)"
    }
}
