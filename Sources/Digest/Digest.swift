internal import CCrypto

/// Digests of OpenSSL's libcrypto, which libpq and libssh2 bring along.
public enum Digest {
    /// SHA-256 of `bytes`, in hexadecimal.
    public static func sha256(_ bytes: some Sequence<UInt8>) -> String {
        let input = Array(bytes)
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE)), length: UInt32 = 0
        let isDone = EVP_Digest(input, input.count, &digest, &length, EVP_sha256(), nil) == 1
        precondition(isDone, "libcrypto has no SHA-256")
        return digest.prefix(Int(length)).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    /// HMAC-SHA1, as known_hosts uses it to hide names. Nothing secret depends on it.
    public static func hmacSHA1(key: [UInt8], message: [UInt8]) -> [UInt8] {
        var code = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE)), length: UInt32 = 0
        let isDone = HMAC(EVP_sha1(), key, Int32(key.count), message, message.count, &code, &length) != nil
        precondition(isDone, "libcrypto has no HMAC-SHA1")
        return Array(code.prefix(Int(length)))
    }
}
