/// What the server makes of a line of `pg_hba.conf`.
public enum HBAReading: Sendable, Hashable {
    /// - Parameter warning: why it will never match, in the server's words.
    case rule(HBARule, warning: String?)
    /// With one such line the server refuses the whole file. The problem is in the server's words, where it has any.
    case refused(String?)

    public var rule: HBARule? { if case .rule(let rule, _) = self { rule } else { nil } }

    public var isRefused: Bool { if case .refused = self { true } else { false } }

    /// What `pg_hba_file_rules` shows in its column `error`.
    public var problem: String? {
        switch self {
        case .rule(_, let warning): warning
        case .refused(let problem): problem
        }
    }
}

/// Reads a line's words, with the checks of the server's `parse_hba_line` in their order.
struct HBALineParser {
    struct Refusal: Error { let problem: String? }

    let server: HBAServer
    private var rest: ArraySlice<[HBAToken]>
    private var warning: String?

    static func reading(of fields: [[HBAToken]], for server: HBAServer) -> HBAReading {
        var parser = HBALineParser(server: server, rest: fields[...])
        do {
            let rule = try parser.rule()
            return .rule(rule, warning: parser.warning)
        } catch {
            // Some checks say what is wrong only to the log.
            return .refused(error.problem ?? parser.warning)
        }
    }

    private init(server: HBAServer, rest: ArraySlice<[HBAToken]>) { (self.server, self.rest) = (server, rest) }

    private mutating func field(_ name: String) throws(Refusal) -> [HBAToken] {
        guard let field = rest.popFirst() else { throw Refusal(problem: "end-of-line before \(name)") }
        return field
    }

    private mutating func word(_ name: String, _ single: String) throws(Refusal) -> HBAToken {
        let field = try field(name)
        guard field.count == 1 else { throw Refusal(problem: "multiple values specified for \(single)") }
        return field[0]
    }

    private mutating func rule() throws(Refusal) -> HBARule {
        let type = try connectionType()
        let databases = try field("database specification"), users = try field("role specification")
        let address = type == .local ? nil : try address()
        var rule = HBARule(localTo: databases.map { HBARule.Database($0, for: server) }, users: users.map { HBARule.User($0, for: server) }, method: "")
        (rule.type, rule.address) = (type, address)
        rule.method = try method(type)

        var options = HBAOptions(server: server, type: type, method: rule.method)
        for tokens in rest {
            for token in tokens {
                guard let sign = token.text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                    throw Refusal(problem: "authentication option not in name=value format: \(token.text)")
                }
                let option = HBARule.Option(String(token.text[..<sign]), String(token.text[sign...].dropFirstByte))
                try options.add(option)
                rule.options.append(option)
            }
        }
        try options.finish(&warning)
        return rule
    }

    private mutating func connectionType() throws(Refusal) -> HBARule.ConnectionType {
        let token = try word("connection type", "connection type")
        guard let type = HBARule.ConnectionType(rawValue: token.text),
            server.knowsGSSEncryption || (type != .hostgssenc && type != .hostnogssenc)
        else {
            throw Refusal(problem: "invalid connection type \"\(token.text)\"")
        }
        if type == .hostssl {
            if !server.build.contains(.ssl) {
                warning = "hostssl record cannot match because SSL is not supported by this build"
            } else if !server.sslIsOn {
                warning = "hostssl record cannot match because SSL is disabled"
            }
        } else if type == .hostgssenc, !server.build.contains(.gss) {
            warning = "hostgssenc record cannot match because GSSAPI is not supported by this build"
        }
        return type
    }

    private mutating func address() throws(Refusal) -> HBARule.Address {
        let token = try word("IP address specification", "host address")
        if token.isKeyword("all") { return .all }
        if token.isKeyword("samehost") { return .sameHost }
        if token.isKeyword("samenet") { return .sameNet }

        let slash = token.text.utf8.firstIndex(of: UInt8(ascii: "/"))
        let host = slash.map { token.text[..<$0] } ?? token.text[...]
        guard let address = IPAddress(asServerReads: host) else {
            guard slash == nil else { throw Refusal(problem: "specifying both host name and CIDR mask is invalid: \"\(token.text)\"") }
            return .hostName(token.text)
        }
        if let slash {
            guard let bits = strtol(token.text[slash...].dropFirstByte), let network = IPNetwork(address, bits: bits) else {
                throw Refusal(problem: "invalid CIDR mask in address \"\(token.text)\"")
            }
            return .network(network)
        }
        let text = try word("netmask specification", "netmask").text
        guard let mask = IPAddress(asServerReads: text) else {
            throw Refusal(problem: "invalid IP mask \"\(text)\": Name or service not known")
        }
        guard let network = IPNetwork(address, mask: mask) else { throw Refusal(problem: "IP address and mask do not match") }
        return .network(network)
    }

    private mutating func method(_ type: HBARule.ConnectionType) throws(Refusal) -> String {
        let text = try word("authentication method", "authentication type").text
        let build: HBAServer.Build, since: MajorVersion
        switch text {
        case "trust", "reject", "md5", "password", "ident", "peer": (build, since) = ([], .postgres(0))
        case "scram-sha-256": (build, since) = ([], .postgres(10))
        case "oauth": (build, since) = ([], .postgres(18))
        case "radius": (build, since) = ([], .postgres(0))
        case "gss": (build, since) = (.gss, .postgres(0))
        case "sspi": (build, since) = (.sspi, .postgres(0))
        case "pam": (build, since) = (.pam, .postgres(0))
        case "bsd": (build, since) = (.bsd, MajorVersion(serverVersionNumber: 90_600))
        case "ldap": (build, since) = (.ldap, .postgres(0))
        case "cert": (build, since) = (.ssl, .postgres(0))
        default: throw Refusal(problem: "invalid authentication method \"\(text)\"")
        }
        guard server.version >= since else { throw Refusal(problem: "invalid authentication method \"\(text)\"") }
        guard server.build.isSuperset(of: build) else {
            throw Refusal(problem: "invalid authentication method \"\(text)\": not supported by this build")
        }
        switch (type, text) {
        case (.local, "ident"): return "peer"
        case (.local, "gss"): throw Refusal(problem: "gssapi authentication is not supported on local sockets")
        case (.local, "peer"): return text
        case (_, "peer"): throw Refusal(problem: "peer authentication is only supported on local sockets")
        case (.hostssl, "cert"): return text
        case (_, "cert"): throw Refusal(problem: "cert authentication is only supported on hostssl connections")
        default: return text
        }
    }
}

/// A whole number as C's `strtol` reads it, spaces and sign in front of it; `nil` where there is anything else.
func strtol(_ text: some StringProtocol) -> Int? {
    let (number, rest) = leadingNumber(text)
    return text.isEmpty || !rest.isEmpty ? nil : number
}

/// The number that `text` begins with, 0 for none, and what stands behind it. One out of range becomes the limit it passed.
func leadingNumber(_ text: some StringProtocol) -> (number: Int, rest: [UInt8]) {
    let all = Array(text.utf8)
    var rest = all[...].drop { $0 == 0x20 || (0x09...0x0D).contains($0) }
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
    let digits = rest.prefix { (0x30...0x39).contains($0) }
    // Without a digit nothing was read, the spaces neither.
    guard !digits.isEmpty else { return (0, all) }
    let sign = isNegative ? "-" : ""
    return (Int(sign + String(decoding: digits, as: UTF8.self)) ?? (isNegative ? .min : .max), Array(rest.dropFirst(digits.count)))
}
