public import Server

/// The name of a node of the mesh: 1 to 63 bytes.
public struct NodeName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard isIdentifier(rawValue) else { return nil }
        self.rawValue = rawValue
    }
}

/// The name of a subscription: 1 to 63 of `a`–`z`, `0`–`9` and `_`, as Spock demands because the slot is named for it.
public struct SubscriptionName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard SlotName(rawValue: rawValue) != nil else { return nil }
        self.rawValue = rawValue
    }
}

/// The name of a replication set: 1 to 63 bytes.
public struct ReplicationSetName: CatalogName {
    public let rawValue: String
    public init?(rawValue: String) {
        guard isIdentifier(rawValue) else { return nil }
        self.rawValue = rawValue
    }
}

private func isIdentifier(_ text: String) -> Bool { (1...63).contains(text.utf8.count) && !text.utf8.contains(0) }
