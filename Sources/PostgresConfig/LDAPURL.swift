/// `ldap://host:port/base?attributes?scope?filter`, as OpenLDAP's `ldap_url_parse` reads it.
struct LDAPURL {
    struct Problem: Error {
        /// In the words in which the server shows it. It takes the number of the problem for that of another kind of error.
        let text: String

        static let scheme = Problem(text: "Time limit exceeded")
        static let url = Problem(text: "Compare False")
        static let scope = Problem(text: "Strong(er) authentication required")
    }

    /// `ldap`, `ldaps`, or one that the server does not take.
    var scheme: String
    var base: String?
    /// The first of the attributes.
    var attribute: String?
    var filter: String?

    static func parse(_ text: String) -> Result<LDAPURL, Problem> {
        var rest = Array(text.utf8)[...]
        let schemes = ["ldap", "ldaps", "ldapi", "cldap", "pldap", "pldaps"]
        guard let scheme = schemes.first(where: { isSameSetting(String(decoding: rest.prefix($0.utf8.count + 3), as: UTF8.self), $0 + "://") }) else {
            return .failure(.scheme)
        }
        rest = rest.dropFirst(scheme.utf8.count + 3)
        var url = LDAPURL(scheme: scheme)

        let slash = rest.firstIndex(of: UInt8(ascii: "/"))
        let host = rest[..<(slash ?? rest.endIndex)]
        if host.last != UInt8(ascii: "]") {
            if let colon = host.lastIndex(of: UInt8(ascii: ":")), !leadingNumber(String(decoding: host[(colon + 1)...], as: UTF8.self)).rest.isEmpty {
                return .failure(.url)
            }
            if host.first == UInt8(ascii: "["), !host.contains(UInt8(ascii: "]")) { return .failure(.url) }
        }
        guard let slash else { return .success(url) }

        let parts = rest[(slash + 1)...].split(separator: UInt8(ascii: "?"), maxSplits: 4, omittingEmptySubsequences: false)
        url.base = decoded(parts[0])
        if parts.count > 1, let first = decoded(parts[1]).split(separator: ",").first { url.attribute = String(first) }
        if parts.count > 2, !parts[2].isEmpty {
            let scopes = ["base", "one", "onelevel", "sub", "subtree", "subordinate", "children"]
            guard scopes.contains(decoded(parts[2]).lowercased()) else { return .failure(.scope) }
        }
        if parts.count > 3, !parts[3].isEmpty { url.filter = decoded(parts[3]) }
        return .success(url)
    }

    /// With `%41` as what it stands for.
    private static func decoded(_ bytes: ArraySlice<UInt8>) -> String {
        var plain: [UInt8] = [], rest = bytes
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                plain.append(value)
                rest = rest.dropFirst(2)
            } else {
                plain.append(byte)
            }
        }
        return String(decoding: plain, as: UTF8.self)
    }
}
