import Digest
internal import FoundationEssentials

/// The entries of known_hosts files, read as OpenSSH reads them (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
///
/// libssh2's own reader takes a key that is also revoked, knows no wildcards and stops at the first bad line.
struct KnownHosts: Sendable {
    struct Entry: Hashable, Sendable {
        enum Marker: Hashable, Sendable { case none, revoked, certificateAuthority }
        var marker: Marker
        /// The comma list of patterns, or one hashed name.
        var names: String
        var keyType: String
        var key: [UInt8]
        var file: String
    }

    enum Verdict: Equatable, Sendable {
        case known
        case unknown
        /// Another key of the same type stands in `file`.
        case changed(file: String)
        case revoked(file: String)
    }

    private(set) var entries: [Entry] = []
    /// Lines that make no sense; skipped.
    private(set) var badLines = 0
    /// The files asked for, whether or not they exist.
    private(set) var files: [String] = []

    init() {}

    /// Adds the content of a file; `nil` when it does not exist.
    mutating func add(_ content: [UInt8]?, file: String) {
        files.append(file)
        guard let content else { return }
        for line in content.split(separator: 0x0A) {
            let text = String(decoding: line, as: UTF8.self)
            let fields = text.split { $0 == " " || $0 == "\t" || $0 == "\r" }.map(String.init)
            guard let first = fields.first, !first.hasPrefix("#") else { continue }
            if let entry = Self.entry(fields, file: file) { entries.append(entry) } else { badLines += 1 }
        }
    }

    private static func entry(_ fields: [String], file: String) -> Entry? {
        var fields = fields[...]
        var marker = Entry.Marker.none
        if let first = fields.first, first.hasPrefix("@") {
            switch first {
            case "@revoked": marker = .revoked
            case "@cert-authority": marker = .certificateAuthority
            default: return nil
            }
            fields.removeFirst()
        }
        guard fields.count >= 3 else { return nil }
        let (names, keyType, encoded) = (fields[fields.startIndex], fields[fields.startIndex + 1], fields[fields.startIndex + 2])
        guard let key = Data(base64Encoded: encoded).map({ [UInt8]($0) }), SSHWire.keyType(of: key) == keyType else { return nil }
        if names.hasPrefix("|"), HashedName(names) == nil { return nil }
        return Entry(marker: marker, names: names, keyType: keyType, key: key, file: file)
    }

    /// The name known_hosts has for a host: `host`, and `[host]:port` off port 22.
    static func name(host: String, port: UInt16) -> String {
        let host = host.lowercased()
        return port == 22 ? host : "[\(host)]:\(port)"
    }

    /// The entries for `names`, of which the first that has a plain entry counts: off port 22 OpenSSH takes `[host]:port`
    /// and, where there is none, `host`.
    private func matching(_ names: [String]) -> [Entry] {
        for name in names {
            let found = entries.filter { $0.marker == .none && Self.matches($0.names, name) }
            if !found.isEmpty { return found }
        }
        return []
    }

    /// The types of the keys known for the first of `names` that has any, in the files' order.
    func keyTypes(for names: [String]) -> [String] {
        matching(names).reduce(into: []) { types, entry in
            if !types.contains(entry.keyType) { types.append(entry.keyType) }
        }
    }

    /// `@cert-authority` lines for any of `names`.
    func authorities(for names: [String]) -> Int {
        entries.count { entry in entry.marker == .certificateAuthority && names.contains { Self.matches(entry.names, $0) } }
    }

    func verdict(on key: [UInt8], for names: [String]) -> Verdict {
        let revoked = entries.first { entry in
            entry.marker == .revoked && entry.key == key && names.contains { Self.matches(entry.names, $0) }
        }
        if let revoked { return .revoked(file: revoked.file) }
        let known = matching(names)
        if known.contains(where: { $0.key == key }) { return .known }
        guard let type = SSHWire.keyType(of: key), let other = known.first(where: { $0.keyType == type }) else { return .unknown }
        return .changed(file: other.file)
    }

    /// Whether `name`, in lower case, is meant by the names field of a line.
    static func matches(_ names: String, _ name: String) -> Bool {
        if names.hasPrefix("|") { return HashedName(names)?.matches(name) ?? false }
        var matched = false
        for pattern in names.lowercased().split(separator: ",") {
            if pattern.hasPrefix("!") {
                if matches(Array(pattern.dropFirst().utf8), Array(name.utf8)) { return false }
            } else if matches(Array(pattern.utf8), Array(name.utf8)) {
                matched = true
            }
        }
        return matched
    }

    /// `*` and `?`, as in a shell but without brackets: those belong to `[host]:port`.
    private static func matches(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
        var (p, n) = (0, 0)
        var retry: (p: Int, n: Int)?
        while n < name.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                retry = (p, n)
                p += 1
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
                p += 1
                n += 1
            } else if let last = retry {
                retry = (last.p, last.n + 1)
                (p, n) = (last.p + 1, last.n + 1)
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// `|1|salt|hash`.
    private struct HashedName {
        let salt: [UInt8]
        let hash: [UInt8]

        init?(_ text: String) {
            let parts = text.split(separator: "|", omittingEmptySubsequences: false)
            guard parts.count == 4, parts[0].isEmpty, parts[1] == "1", let salt = Data(base64Encoded: String(parts[2])),
                let hash = Data(base64Encoded: String(parts[3])), hash.count == 20
            else { return nil }
            self.salt = [UInt8](salt)
            self.hash = [UInt8](hash)
        }

        func matches(_ name: String) -> Bool { Digest.hmacSHA1(key: salt, message: Array(name.utf8)) == hash }
    }
}
