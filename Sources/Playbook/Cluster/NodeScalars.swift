import Report

extension Scalar<String> {
    /// A name that is also a file name and a word of command lines.
    static let clusterName = Scalar("a name of lower-case letters, digits, _ and -, beginning with a letter or digit") { text in
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
            default: "_-".utf8.contains(byte)
            }
        }
        return allowed && !text.isEmpty && text.utf8.count <= 63 && !text.hasPrefix("-") && !text.hasPrefix("_") ? text : nil
    }

    /// Spock keeps node names in the type `name`.
    static let nodeName = identifier("a node name")

    /// A value of PostgreSQL's type `name`. <https://www.postgresql.org/docs/current/datatype-character.html>
    static func identifier(_ what: String) -> Scalar {
        Scalar("\(what) of 1 to 63 bytes") { (1...63).contains($0.utf8.count) ? $0 : nil }
    }

    static let osUser = Scalar("the name of an OS user") { text in
        let forbidden = text.contains { $0.isWhitespace || $0 == ":" || $0 == "/" }
        return text.isEmpty || forbidden || text.hasPrefix("-") ? nil : text
    }

    /// `Host` of ~/.ssh/config, or `[user@]host[:port]`. One that began with a dash would be an option of `ssh`.
    static let ssh = Scalar("an SSH host, or user@host:port") { text in
        guard !text.isEmpty, !text.hasPrefix("-"), !text.contains(where: { $0.isWhitespace || $0 == "/" }) else { return nil }
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && !$0.hasPrefix("-") }), let host = parts.last else { return nil }
        return hasSoundPort(host) ? text : nil
    }

    /// Whether the port behind the host, if there is one, is a port. More than one colon without brackets is an IPv6 address without a port.
    private static func hasSoundPort(_ host: Substring) -> Bool {
        let port: Substring
        if host.hasPrefix("[") {
            guard let bracket = host.firstIndex(of: "]") else { return false }
            let rest = host[host.index(after: bracket)...]
            guard !rest.isEmpty else { return true }
            guard rest.hasPrefix(":") else { return false }
            port = rest.dropFirst()
        } else {
            let parts = host.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2 else { return true }
            guard !parts[0].isEmpty else { return false }
            port = parts[1]
        }
        return Scalar<Int>.decimal(String(port), in: 1...65535) != nil
    }

    /// A host name, IPv4 or IPv6 address: neither a port nor a list nor a socket directory.
    static let address = Scalar("a host name or an IP address", hint: "the port stands in its own line: `port: 5432`") { text in
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: ".-_:%".utf8.contains(byte)
            }
        }
        let colons = text.count { $0 == ":" }
        return allowed && !text.isEmpty && !text.hasPrefix("-") && colons != 1 ? text : nil
    }

    /// An absolute path, without a slash at its end; not the root directory.
    static let path = Scalar("an absolute path") { text in
        guard text.hasPrefix("/"), !text.split(separator: "/").contains("..") else { return nil }
        var trimmed = text
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed.removeLast() }
        return trimmed == "/" ? nil : trimmed
    }

    /// A connection string of libpq without a password: it goes into catalogs that others can read.
    static let dsn = Scalar("a connection string such as \"host=10.77.0.14 port=5432 dbname=app user=spock_admin\"") { text in
        let isURI = text.hasPrefix("postgresql://") || text.hasPrefix("postgres://")
        guard isURI || text.contains("=") else { return .malformed() }
        guard !holdsPassword(dsn: text, isURI: isURI) else {
            return .refused(
                "a password does not belong in a playbook",
                hint: "keep it in .pgpass of the OS user on the other nodes, and leave it out here")
        }
        return .value(text)
    }

    /// `password=` and `sslpassword=` as a keyword or a URI's parameter, and `user:password@` of a URI.
    private static func holdsPassword(dsn: String, isURI: Bool) -> Bool {
        var rest = dsn[...]
        while let word = rest.firstRange(of: "password") {
            rest = rest[word.upperBound...]
            if rest.drop(while: \.isWhitespace).hasPrefix("=") { return true }
        }
        guard isURI, let slashes = dsn.firstRange(of: "://") else { return false }
        let authority = dsn[slashes.upperBound...].prefix { $0 != "/" && $0 != "?" }
        guard let at = authority.lastIndex(of: "@") else { return false }
        return authority[..<at].contains(":")
    }
}

extension Scalar<Playbook.ServiceManager> {
    static let service = Scalar("pg_ctl, pg_ctlcluster or systemd:UNIT") { text in
        switch text {
        case "pg_ctl": return .value(.pgCtl)
        case "pg_ctlcluster": return .value(.pgCtlCluster)
        default:
            let unit = text.split(separator: ":", maxSplits: 1).last.map(String.init) ?? ""
            guard text.hasPrefix("systemd:"), !unit.isEmpty, unit != text, !unit.hasPrefix("-"),
                !unit.contains(where: { $0.isWhitespace || $0 == "/" })
            else {
                let known = ["pg_ctl", "pg_ctlcluster", "systemd:UNIT"]
                return .malformed(hint: Spelling.nearest(to: text, among: known).map { "did you mean \"\($0)\"?" })
            }
            return .value(.systemd(unit: unit))
        }
    }
}
