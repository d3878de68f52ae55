/// Why a rule is not to be written by accident.
public enum HBARisk: Sendable, Hashable, CaseIterable {
    /// It matches connections from anywhere.
    case everyAddress
    /// It asks nobody over a network who they are.
    case trustOverNetwork
}

extension HBARule {
    /// What is dangerous about the rule. A `reject` is not.
    public var risks: [HBARisk] {
        guard let address, method != "reject" else { return [] }
        return HBARisk.allCases.filter { risk in
            switch (risk, address) {
            case (.everyAddress, .all): true
            case (.everyAddress, .network(let network)): network.isEveryAddress
            case (.everyAddress, _): false
            case (.trustOverNetwork, _) where method != "trust": false
            case (.trustOverNetwork, .network(let network)): !network.isLoopback
            // From the server's own host.
            case (.trustOverNetwork, .sameHost): false
            case (.trustOverNetwork, _): true
            }
        }
    }

    /// What `risk` means for this rule, in a sentence.
    public func explanation(of risk: HBARisk) -> String {
        let from = address?.written ?? "the socket"
        switch risk {
        case .everyAddress: return "the rule matches connections from every address (\(from))"
        case .trustOverNetwork: return "the rule lets anyone in from \(from) without asking who they are (trust)"
        }
    }
}

extension IPNetwork {
    /// Whether all of it is this host.
    var isLoopback: Bool {
        address.family == .v4 ? address.isLoopback && mask >> 24 == 0xFF : isSingleAddress && address.isLoopback
    }
}
