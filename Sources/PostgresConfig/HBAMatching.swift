extension HBARules {
    /// The lines that refuse connections which `rule` might match too. Behind such a rule they refuse those no more.
    public func rejects(overlapping rule: HBARule) -> [Entry] {
        entries.filter { entry in
            guard let other = entry.reading.rule else { return false }
            return other.method == "reject" && other.mayMatchSome(of: rule)
        }
    }
}

/// Which connections a rule matches, as far as the file alone can say.
extension HBARule {
    /// Whether a connection that `other` matches might be matched by this rule too. In doubt, yes.
    func mayMatchSome(of other: HBARule) -> Bool {
        guard type.mayMatch(other.type) else { return false }
        return databases.contains { mine in other.databases.contains { mine.mayMatch($0) } }
            && users.contains { mine in other.users.contains { mine.mayMatch($0) } }
            && mayMatch(address, other.address)
    }

    /// Whether every connection that `other` matches is matched by this rule. In doubt, no.
    func matchesAll(of other: HBARule) -> Bool {
        guard type == other.type || (type == .host && other.type != .local) else { return false }
        return other.databases.allSatisfy { theirs in databases.contains { $0.surelyMatches(theirs) } }
            && other.users.allSatisfy { theirs in users.contains { $0.surelyMatches(theirs) } }
            && surelyMatches(address, other.address)
    }

    private func mayMatch(_ mine: Address?, _ other: Address?) -> Bool {
        if case .network(let mine) = mine, case .network(let other) = other { return mine.overlaps(other) }
        return true
    }

    private func surelyMatches(_ mine: Address?, _ other: Address?) -> Bool {
        switch (mine, other) {
        // Of a local rule's connections, all come from the same place.
        case (_, nil): true
        case (.all, _): true
        case (.network(let mine), .network(let other)): mine.contains(other)
        default: mine == other
        }
    }
}

extension HBARule.ConnectionType {
    func mayMatch(_ other: Self) -> Bool {
        switch (self, other) {
        case (.local, .local): true
        case (.local, _), (_, .local): false
        case (.hostssl, .hostnossl), (.hostnossl, .hostssl), (.hostgssenc, .hostnogssenc), (.hostnogssenc, .hostgssenc): false
        default: true
        }
    }
}

extension HBARule.Database {
    func mayMatch(_ other: Self) -> Bool {
        switch (self, other) {
        case (.named(let mine), .named(let name)): isSameName(mine, name)
        case (.file, _), (_, .file): true
        // Only the keyword matches physical replication, `all` does not.
        case (.replication, .replication): true
        case (.replication, _), (_, .replication): false
        default: true
        }
    }

    func surelyMatches(_ other: Self) -> Bool {
        switch (self, other) {
        case (.all, .replication), (.all, .file): false
        case (.all, _): true
        case (.named(let mine), .named(let name)): isSameName(mine, name)
        case (.file, _): false
        default: self == other
        }
    }
}

extension HBARule.User {
    func mayMatch(_ other: Self) -> Bool {
        if case .named(let mine) = self, case .named(let name) = other { isSameName(mine, name) } else { true }
    }

    func surelyMatches(_ other: Self) -> Bool {
        switch (self, other) {
        case (.all, _): true
        case (.named(let mine), .named(let name)): isSameName(mine, name)
        case (.file, _): false
        default: self == other
        }
    }
}
