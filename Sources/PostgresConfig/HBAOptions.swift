/// The options behind the method of a line, with the checks of the server's `parse_hba_auth_opt`.
struct HBAOptions {
    typealias Refusal = HBALineParser.Refusal

    let server: HBAServer
    let type: HBARule.ConnectionType
    let method: String
    /// What was given; of several the last.
    private var values: [String: String] = [:]
    private var lists: [String: [String]] = [:]

    init(server: HBAServer, type: HBARule.ConnectionType, method: String) {
        (self.server, self.type, self.method) = (server, type, method)
    }

    mutating func add(_ option: HBARule.Option) throws(Refusal) {
        let (name, value) = (option.name, option.value)
        switch name {
        case "map":
            try require(
                name, server.version >= .postgres(18) ? ["ident", "peer", "gss", "sspi", "cert", "oauth"] : ["ident", "peer", "gss", "sspi", "cert"],
                server.version >= .postgres(18) ? "ident, peer, gssapi, sspi, cert, and oauth" : "ident, peer, gssapi, sspi, and cert")
        case "clientcert": try checkClientCertificate(value)
        case "clientname" where server.version >= .postgres(14):
            guard type == .hostssl else { throw Refusal(problem: "clientname can only be configured for \"hostssl\" rows") }
            guard ["CN", "DN"].contains(value) else { throw Refusal(problem: nil) }
        case "pamservice": try require(name, ["pam"], "pam")
        case "pam_use_hostname" where isAtLeast96: try require(name, ["pam"], "pam")
        case "ldapurl":
            try require(name, ["ldap"], "ldap")
            try addURL(value)
        case "ldapport":
            try require(name, ["ldap"], "ldap")
            guard atoi(value) != 0 else { throw Refusal(problem: "invalid LDAP port number: \"\(value)\"") }
        case "ldapserver", "ldaptls", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapbasedn", "ldapprefix", "ldapsuffix":
            try require(name, ["ldap"], "ldap")
        case "ldapscheme" where server.version >= .postgres(11), "ldapsearchfilter" where server.version >= .postgres(11):
            try require(name, ["ldap"], "ldap")
        case "krb_realm", "include_realm": try require(name, ["gss", "sspi"], "gssapi and sspi")
        case "compat_realm" where isAtLeast96, "upn_username" where isAtLeast96: try require(name, ["sspi"], "sspi")
        case "radiusservers" where hasRADIUSLists, "radiusports" where hasRADIUSLists, "radiussecrets" where hasRADIUSLists,
            "radiusidentifiers" where hasRADIUSLists:
            try require(name, ["radius"], "radius")
            try addList(name, value)
        case "radiusserver" where !hasRADIUSLists, "radiussecret" where !hasRADIUSLists, "radiusidentifier" where !hasRADIUSLists:
            try require(name, ["radius"], "radius")
        case "radiusport" where !hasRADIUSLists:
            try require(name, ["radius"], "radius")
            guard atoi(value) != 0 else { throw Refusal(problem: "invalid RADIUS port number: \"\(value)\"") }
        case "issuer" where knowsOAuth, "scope" where knowsOAuth, "validator" where knowsOAuth, "delegate_ident_mapping" where knowsOAuth:
            try require(name, ["oauth"], "oauth")
        default: throw Refusal(problem: "unrecognized authentication option name: \"\(name)\"")
        }
        values[name] = value
    }

    /// The checks behind the last option.
    mutating func finish(_ warning: inout String?) throws(Refusal) {
        switch method {
        case "ldap": try finishLDAP()
        case "radius": try finishRADIUS()
        case "oauth": try finishOAuth(&warning)
        default: break
        }
    }

    private var isAtLeast96: Bool { server.version.number >= 906 }
    private var hasRADIUSLists: Bool { server.version >= .postgres(10) }
    private var knowsOAuth: Bool { server.version >= .postgres(18) }

    private func require(_ name: String, _ methods: [String], _ shown: String) throws(Refusal) {
        guard !methods.contains(method) else { return }
        throw Refusal(problem: "authentication option \"\(name)\" is only valid for authentication methods \(shown)")
    }

    private func mandatory(_ name: String) throws(Refusal) {
        guard values[name] == nil else { return }
        throw Refusal(problem: "authentication method \"\(method)\" requires argument \"\(name)\" to be set")
    }

    private func checkClientCertificate(_ value: String) throws(Refusal) {
        guard type == .hostssl else { throw Refusal(problem: "clientcert can only be configured for \"hostssl\" rows") }
        let version = server.version
        // Until 11 anything is a value: 1 is yes, the rest is no.
        guard version >= .postgres(12) else { return }
        switch value {
        case "verify-full": break
        case "verify-ca" where version >= .postgres(14):
            guard method == "cert" else { return }
            throw Refusal(problem: "clientcert can only be set to \"verify-full\" when using \"cert\" authentication")
        case "verify-ca": break
        case _ where version < .postgres(14) && value == "1": break
        case _ where version < .postgres(14) && ["0", "no-verify"].contains(value):
            guard method == "cert" else { return }
            throw Refusal(problem: "clientcert can not be set to \"no-verify\" when using \"cert\" authentication")
        default: throw Refusal(problem: nil)
        }
    }

    // MARK: LDAP

    /// The parts of an LDAP URL stand for the options of their names.
    private mutating func addURL(_ text: String) throws(Refusal) {
        let url: LDAPURL
        switch LDAPURL.parse(text) {
        case .success(let parsed): url = parsed
        case .failure(let problem): throw Refusal(problem: "could not parse LDAP URL \"\(text)\": \(problem.text)")
        }
        guard ["ldap", "ldaps"].contains(url.scheme) else { throw Refusal(problem: "unsupported LDAP URL scheme: \(url.scheme)") }
        if let base = url.base { values["ldapbasedn"] = base }
        if let attribute = url.attribute { values["ldapsearchattribute"] = attribute }
        if let filter = url.filter { values["ldapsearchfilter"] = filter }
    }

    private func finishLDAP() throws(Refusal) {
        if values["ldapprefix"] != nil || values["ldapsuffix"] != nil {
            let others = ["ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter"]
            if others.contains(where: { values[$0] != nil }) {
                throw Refusal(
                    problem: server.version >= .postgres(17)
                        ? "cannot mix options for simple bind and search+bind modes"
                        : "cannot use ldapbasedn, ldapbinddn, ldapbindpasswd, ldapsearchattribute, ldapsearchfilter, or ldapurl together with ldapprefix")
            }
        } else if values["ldapbasedn"] == nil {
            throw Refusal(problem: "authentication method \"ldap\" requires argument \"ldapbasedn\", \"ldapprefix\", or \"ldapsuffix\" to be set")
        }
        if values["ldapsearchattribute"] != nil, values["ldapsearchfilter"] != nil {
            throw Refusal(problem: "cannot use ldapsearchattribute together with ldapsearchfilter")
        }
    }

    // MARK: RADIUS

    private mutating func addList(_ name: String, _ value: String) throws(Refusal) {
        guard let list = HBAOptions.list(value) else {
            throw Refusal(problem: name == "radiusports" ? "invalid RADIUS port number: \"\(value)\"" : nil)
        }
        if name == "radiusports", list.contains(where: { atoi($0) == 0 }) { throw Refusal(problem: nil) }
        // Whether a name has an address only the server's host can say; it is taken to have one.
        if name == "radiusservers", list.contains(where: \.isEmpty) { throw Refusal(problem: nil) }
        lists[name] = list
    }

    private func finishRADIUS() throws(Refusal) {
        guard hasRADIUSLists else {
            try mandatory("radiusserver")
            try mandatory("radiussecret")
            return
        }
        for name in ["radiusservers", "radiussecrets"] where lists[name]?.isEmpty ?? true {
            // To the server an empty list is one that was not given.
            throw Refusal(problem: "authentication method \"radius\" requires argument \"\(name)\" to be set")
        }
        let servers = lists["radiusservers"]?.count ?? 0
        for (name, shown) in [("radiussecrets", "secrets"), ("radiusports", "ports"), ("radiusidentifiers", "identifiers")] {
            let count = lists[name]?.count ?? 0
            guard count > 1, count != servers else { continue }
            throw Refusal(problem: "the number of RADIUS \(shown) (\(count)) must be 1 or the same as the number of RADIUS servers (\(servers))")
        }
    }

    /// A list of names between commas, some in quotes, as the server's `SplitGUCList`; `nil` where it is none.
    static func list(_ text: String) -> [String]? {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
        var rest = Array(text.utf8)[...], names: [String] = []
        rest = rest.drop(while: isSpace)
        guard !rest.isEmpty else { return [] }
        while true {
            var name: [UInt8] = []
            if rest.first == UInt8(ascii: "\"") {
                rest.removeFirst()
                while true {
                    guard let byte = rest.popFirst() else { return nil }
                    if byte != UInt8(ascii: "\"") {
                        name.append(byte)
                    } else if rest.first == UInt8(ascii: "\"") {
                        name.append(byte)
                        rest.removeFirst()
                    } else {
                        break
                    }
                }
            } else {
                name = Array(rest.prefix { $0 != UInt8(ascii: ",") && !isSpace($0) })
                guard !name.isEmpty else { return nil }
                rest = rest.dropFirst(name.count)
            }
            names.append(String(decoding: name, as: UTF8.self))
            rest = rest.drop(while: isSpace)
            guard let separator = rest.popFirst() else { return names }
            guard separator == UInt8(ascii: ",") else { return nil }
            rest = rest.drop(while: isSpace)
        }
    }

    // MARK: OAuth

    private mutating func finishOAuth(_ warning: inout String?) throws(Refusal) {
        try mandatory("scope")
        try mandatory("issuer")
        // The server forgets here what it had to say of the connection type.
        warning = nil
        let allowed = server.oauthValidators
        guard !allowed.isEmpty else { throw Refusal(problem: "oauth_validator_libraries must be set for authentication method oauth") }
        if let validator = values["validator"] {
            guard allowed.contains(validator) else {
                throw Refusal(problem: "validator \"\(validator)\" is not permitted by oauth_validator_libraries")
            }
        } else if allowed.count > 1 {
            throw Refusal(
                problem: "authentication method \"oauth\" requires argument \"validator\" to be set "
                    + "when oauth_validator_libraries contains multiple options")
        }
        if values["delegate_ident_mapping"] == "1", values["map"] != nil {
            throw Refusal(problem: "map cannot be used in combination with delegate_ident_mapping")
        }
    }
}

/// C's `atoi`: what does not fit is cut.
private func atoi(_ text: String) -> Int32 { Int32(truncatingIfNeeded: leadingNumber(text).number) }
