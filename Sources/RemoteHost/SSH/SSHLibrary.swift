internal import CLibSSH2

/// What the libssh2 that is loaded can do. <https://libssh2.org/changes.html>, and its source.
enum SSHLibrary {
    /// `1.10.0`.
    static let version = libssh2_version(0).map { String(cString: $0) } ?? "unknown"

    /// From 1.11 on: RSA keys with SHA-2, as host keys and in key files; certificates and security keys of users.
    static let isModern = libssh2_version(0x010B00) != nil

    /// Why one cannot log in with a key of `type`; `nil` where one can.
    static func obstacle(to type: String) -> String? {
        if type.hasPrefix("ssh-rsa-cert") || type == "ssh-dss" { return "libssh2 does not log in with \(type)" }
        let isNew = type.hasPrefix("sk-") || (type.contains("-cert-v01@") && !type.hasPrefix("ecdsa"))
        return isNew && !isModern ? "libssh2 \(version) does not log in with \(type): 1.11 does" : nil
    }
}
