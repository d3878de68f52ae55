/// `ldap://host:port/base?attributes?scope?filter`, as OpenLDAP reads it.
struct LDAPURL {
    struct Problem: Error {
        /// In the library's words.
        let text: String
    }

    var scheme: String
    var base: String?
    /// The first of the attributes.
    var attribute: String?
    var filter: String?

    static func parse(_ text: String) -> Result<LDAPURL, Problem> {
        let bad = Result<LDAPURL, Problem>.failure(Problem(text: "Bad parameter to an ldap routine"))
        var rest = text[...]
        guard let colon = rest.range(ofBytes: "://") else { return bad }
        let scheme = rest[..<colon.lowerBound].lowercased()
        guard ["ldap", "ldaps", "ldapi", "cldap", "pldap", "pldaps"].contains(scheme) else { return bad }
        rest = rest[colon.upperBound...]
        var url = LDAPURL(scheme: scheme)
        let parts = rest.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count > 1 else { return .success(url) }
        let fields = parts[1].split(separator: "?", maxSplits: 4, omittingEmptySubsequences: false).map(String.init)
        url.base = fields[0]
        if fields.count > 1, let first = fields[1].split(separator: ",").first { url.attribute = String(first) }
        if fields.count > 3, !fields[3].isEmpty { url.filter = fields[3] }
        return .success(url)
    }
}

private extension Substring {
    func range(ofBytes text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}
