internal import FoundationEssentials

/// The few pieces of SSH's binary format (RFC 4251, section 5) that keys and the agent need.
enum SSHWire {
    static func string(_ bytes: [UInt8]) -> [UInt8] { number(UInt32(bytes.count)) + bytes }

    static func number(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }

    /// The type a public key names itself: `ssh-ed25519`.
    static func keyType(of blob: [UInt8]) -> String? {
        var reader = Reader(blob)
        return reader.text()
    }

    /// The plain key that the certificate `blob` is of; `nil` where it is none.
    /// <https://cvsweb.openbsd.org/src/usr.bin/ssh/PROTOCOL.certkeys>
    static func certifiedKey(of blob: [UInt8]) -> [UInt8]? {
        let fields = [
            "ssh-ed25519": 1, "ecdsa-sha2-nistp256": 2, "ecdsa-sha2-nistp384": 2, "ecdsa-sha2-nistp521": 2, "ssh-rsa": 2, "sk-ssh-ed25519": 2,
            "sk-ecdsa-sha2-nistp256": 3,
        ]
        let suffix = "-cert-v01@openssh.com"
        var reader = Reader(blob)
        guard let type = reader.text(), type.hasSuffix(suffix), reader.string() != nil else { return nil }
        let plain = String(type.dropLast(suffix.count))
        guard let count = fields[plain] else { return nil }
        var key = string(Array((plain.hasPrefix("sk-") ? plain + "@openssh.com" : plain).utf8))
        for _ in 0..<count {
            guard let field = reader.string() else { return nil }
            key += string(field)
        }
        return key
    }

    /// `SHA256:…`, as OpenSSH prints a fingerprint.
    static func fingerprint(sha256: [UInt8]) -> String {
        "SHA256:" + Data(sha256).base64EncodedString().prefix { $0 != "=" }
    }

    struct Reader {
        private var rest: ArraySlice<UInt8>
        init(_ bytes: [UInt8]) { rest = bytes[...] }

        var remaining: [UInt8] { Array(rest) }

        mutating func byte() -> UInt8? { rest.popFirst() }

        mutating func number() -> UInt32? {
            guard rest.count >= 4 else { return nil }
            defer { rest = rest.dropFirst(4) }
            return rest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
        }

        mutating func string() -> [UInt8]? {
            guard let length = number(), Int(length) <= rest.count else { return nil }
            defer { rest = rest.dropFirst(Int(length)) }
            return Array(rest.prefix(Int(length)))
        }

        mutating func text() -> String? { string().map { String(decoding: $0, as: UTF8.self) } }
    }
}
