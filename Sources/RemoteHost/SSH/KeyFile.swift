internal import FoundationEssentials

/// What a private key file says about itself before it is decrypted.
struct KeyFile: Hashable, Sendable {
    /// The public key; unknown for the older PEM files.
    var publicKey: [UInt8]?
    var isEncrypted: Bool
    var isRSA: Bool

    init?(_ content: [UInt8]) {
        let text = String(decoding: content, as: UTF8.self)
        let lines = text.split(whereSeparator: \.isNewline).map(String.init)
        guard let begin = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") && $0.hasSuffix("PRIVATE KEY-----") }) else { return nil }
        guard lines[begin] == "-----BEGIN OPENSSH PRIVATE KEY-----" else {
            publicKey = nil
            isEncrypted = lines[begin].contains("ENCRYPTED") || lines.contains { $0.hasPrefix("Proc-Type:") && $0.contains("ENCRYPTED") }
            isRSA = lines[begin].contains("RSA")
            return
        }
        let body = lines[(begin + 1)...].prefix { !$0.hasPrefix("-----END") }.joined()
        let magic = Array("openssh-key-v1".utf8) + [0]
        guard let data = Data(base64Encoded: body).map({ [UInt8]($0) }), data.starts(with: magic) else { return nil }
        var reader = SSHWire.Reader(Array(data.dropFirst(magic.count)))
        guard let cipher = reader.text(), reader.string() != nil, reader.string() != nil, reader.number() == 1,
            let publicKey = reader.string()
        else { return nil }
        self.publicKey = publicKey
        isEncrypted = cipher != "none"
        isRSA = SSHWire.keyType(of: publicKey) == "ssh-rsa"
    }

    /// The key of a `.pub` file.
    static func publicKey(_ content: [UInt8]) -> [UInt8]? {
        let fields = String(decoding: content, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard fields.count >= 2, let key = Data(base64Encoded: String(fields[1])).map({ [UInt8]($0) }),
            SSHWire.keyType(of: key) == String(fields[0])
        else { return nil }
        return key
    }
}
