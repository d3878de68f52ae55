internal import Glibc

/// An address of a host: `10.77.0.3`, `fd00::7`.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    public enum Family: Sendable, Hashable {
        case v4, v6

        var bits: Int { self == .v4 ? 32 : 128 }
    }

    public let family: Family
    /// In the low 32 bits for ``Family/v4``.
    let value: UInt128

    init(family: Family, value: UInt128) { (self.family, self.value) = (family, value) }

    /// Reads the usual notation; `nil` for anything else, host names among it.
    public init?(_ text: some StringProtocol) {
        guard let address = IPAddress(v4: text) ?? IPAddress(v6: text) else { return nil }
        self = address
    }

    private init?(v4 text: some StringProtocol) {
        var number: UInt128 = 0, part = 0, digits = 0, dots = 0
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                // No leading zero: some programs take it for octal.
                guard digits == 0 || part > 0 else { return nil }
                (part, digits) = (part * 10 + Int(byte - UInt8(ascii: "0")), digits + 1)
                guard part < 256 else { return nil }
            case UInt8(ascii: ".") where digits > 0 && dots < 3:
                (number, part, digits, dots) = (number << 8 | UInt128(part), 0, 0, dots + 1)
            default: return nil
            }
        }
        guard dots == 3, digits > 0 else { return nil }
        self.init(family: .v4, value: number << 8 | UInt128(part))
    }

    /// Reads an address as the server does, through `getaddrinfo` with `AI_NUMERICHOST` of glibc: `10.1`, `0x7f.1`, `010.0.0.1`
    /// and `fe80::1%eth0` are addresses to it.
    init?(asServerReads text: some StringProtocol) {
        if let address = IPAddress(text) ?? IPAddress(loose: text) {
            self = address
            return
        }
        guard let percent = text.utf8.firstIndex(of: UInt8(ascii: "%")) else { return nil }
        guard let address = IPAddress(v6: text[..<percent]) else { return nil }
        let zone = text[text.utf8.index(after: percent)...]
        // Which interfaces there are only the server's host knows; a link-local address may name one.
        let isNumber = !zone.isEmpty && zone.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt32(zone) != nil
        guard isNumber || (!zone.isEmpty && address.value >> 118 == 0xFE80 >> 6) else { return nil }
        self = address
    }

    private init?(v6 text: some StringProtocol) {
        guard text.utf8.contains(UInt8(ascii: ":")), !text.utf8.contains(0) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 16)
        guard inet_pton(AF_INET6, String(text), &bytes) == 1 else { return nil }
        self.init(family: .v6, value: bytes.reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// The notation of `inet_aton`: one to four numbers, of which the last fills the rest.
    private init?(loose text: some StringProtocol) {
        guard let first = text.utf8.first, (0x30...0x39).contains(first) else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count <= 4 else { return nil }
        var value: UInt64 = 0
        for (index, part) in parts.enumerated() {
            guard let number = IPAddress.number(Array(part)) else { return nil }
            let rest = UInt64(8 * (4 - index))
            guard index == parts.count - 1 ? number < 1 << rest : number < 256 else { return nil }
            value = index == parts.count - 1 ? value << rest | number : value << 8 | number
        }
        self.init(family: .v4, value: UInt128(value))
    }

    /// `0x1f`, `017`, `15`.
    private static func number(_ text: [UInt8]) -> UInt64? {
        let isHexadecimal = text.count > 2 && text[0] == UInt8(ascii: "0") && text[1] | 0x20 == UInt8(ascii: "x")
        let digits = text.dropFirst(isHexadecimal ? 2 : 0)
        // Swift would take a sign.
        guard let first = digits.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-") else { return nil }
        return UInt64(String(decoding: digits, as: UTF8.self), radix: isHexadecimal ? 16 : first == UInt8(ascii: "0") ? 8 : 10)
    }

    public var isLoopback: Bool { family == .v4 ? value >> 24 == 127 : value == 1 }

    public var description: String {
        var bytes = [UInt8](repeating: 0, count: family.bits / 8), rest = value
        for index in bytes.indices.reversed() { (bytes[index], rest) = (UInt8(truncatingIfNeeded: rest), rest >> 8) }
        var buffer = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        inet_ntop(family == .v4 ? AF_INET : AF_INET6, bytes, &buffer, socklen_t(buffer.count))
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
