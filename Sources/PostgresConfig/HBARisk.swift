import Report

/// Why a rule is not to be written by accident.
public enum HBARisk: Sendable, Hashable, CaseIterable {
    /// It matches connections from anywhere, from a network that is larger than anybody's own, or from names that anybody can have.
    case everyAddress
    /// It asks nobody over a network who they are.
    case trustOverNetwork
    /// It asks for a password that travels over a network as it is.
    case clearTextOverNetwork
    /// It is for all roles, or databases, that fit a regular expression, those to come among them.
    case regularExpression
}

extension HBARule {
    /// What is dangerous about the rule. A `reject` is not.
    public var risks: [HBARisk] {
        guard method != "reject" else { return [] }
        return HBARisk.allCases.filter { risk in
            switch risk {
            case .everyAddress: isForAnyAddress
            case .trustOverNetwork: method == "trust" && isOverNetwork
            case .clearTextOverNetwork: asksForClearText && (type == .host || type == .hostnossl || type == .hostnogssenc) && isOverNetwork
            case .regularExpression: hasRegularExpression
            }
        }
    }

    private var isForAnyAddress: Bool {
        switch address {
        case .all: true
        case .network(let network): network.isLargerThanAnyOwn
        case .hostName(let name): HBARule.isSuffixOfAnybody(name)
        case .sameHost, .sameNet, nil: false
        }
    }

    /// Whether `.com` or the like, with which the names end that whoever owns an address may give it.
    /// <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>: a name that starts with a dot matches a suffix.
    private static func isSuffixOfAnybody(_ name: String) -> Bool { name.hasPrefix(".") && name.split(separator: ".").count <= 1 }

    /// Whether it matches connections that come from elsewhere than the server's own host.
    private var isOverNetwork: Bool {
        switch address {
        case .network(let network): !network.isLoopback
        case .sameHost, nil: false
        case .all, .sameNet, .hostName: true
        }
    }

    /// With these methods the server asks the client for the password itself.
    /// <https://www.postgresql.org/docs/current/auth-password.html>
    private var asksForClearText: Bool { ["password", "ldap", "pam", "bsd", "radius"].contains(method) }

    /// Whether the server reads a name of a database or role in it as a regular expression.
    public var hasRegularExpression: Bool { !expressions.isEmpty }

    private var expressions: [String] {
        databases.compactMap { if case .regex(let pattern) = $0 { "every database that fits /\(pattern)" } else { nil } }
            + users.compactMap { if case .regex(let pattern) = $0 { "every role that fits /\(pattern)" } else { nil } }
    }

    /// What `risk` means for this rule, in a sentence.
    public func explanation(of risk: HBARisk) -> String {
        let from = address?.written ?? "the socket"
        switch risk {
        case .everyAddress:
            if case .network(let network) = address, !network.isEveryAddress { return "the rule matches connections from more than any one network has (\(from))" }
            if case .hostName(let name) = address { return "the rule matches connections from every host with a name that ends in \(name), which anybody can have" }
            return "the rule matches connections from every address (\(from))"
        case .trustOverNetwork: return "the rule lets anyone in from \(from) without asking who they are (trust)"
        case .clearTextOverNetwork: return "by the rule clients from \(from) send their password as it is, readable on the way (\(method))"
        case .regularExpression: return "the rule is for \(list(expressions)): a regular expression that need fit only a part of the name"
        }
    }
}

extension IPNetwork {
    /// Whether all of it is this host.
    var isLoopback: Bool {
        address.family == .v4 ? address.isLoopback && mask >> 24 == 0xFF : isSingleAddress && address.isLoopback
    }

    /// Whether no one organisation has as many addresses: more than a /8, of IPv6 than a /16 but for the private fc00::/7.
    var isLargerThanAnyOwn: Bool {
        switch address.family {
        case .v4: mask.nonzeroBitCount < 8
        case .v6: mask.nonzeroBitCount < 16 && !IPNetwork.uniqueLocal.contains(self)
        }
    }

    /// <https://www.rfc-editor.org/rfc/rfc4193>
    private static let uniqueLocal = IPNetwork(IPAddress(family: .v6, value: 0xFC << 120), mask: 0xFE << 120)
}
