public import Report
public import Server

/// What Spock's operations refuse, on which node, and what to do then.
public enum SpockError: Explained {
    case readOnlyModeRefused(node: String, mode: ReadOnlyMode, version: SpockVersion)
    case extensionHasDependents(node: String, dependents: [String])
    case identityHasDependents(node: String, database: String, dependents: [String])
    case extensionVersion(node: String, found: SpockVersion?, wanted: SpockVersion)
    case replicationSetsDiffer(node: String, differences: [String])
    case slotNameDiffers(node: String, subscription: SubscriptionName, found: SlotName?, expected: SlotName)
    case resumePositionOutOfBounds(ResumePosition)

    public var fact: String {
        switch self {
        case .readOnlyModeRefused(let node, .all, let version):
            "\(node): spock.readonly = 'all' is refused on Spock \(version), which discards the transaction being applied at that moment for good"
        case .readOnlyModeRefused(let node, let mode, let version):
            "\(node): Spock \(version) has no spock.readonly = '\(mode.rawValue)'"
        case .extensionHasDependents(let node, let dependents):
            "\(node): \(dependents.count) objects depend on the extension spock: \(dependents.joined(separator: "; "))"
        case .identityHasDependents(let node, let database, let dependents):
            "\(node): in database \(database) \(dependents.count) objects depend on the extensions that replicate: \(dependents.joined(separator: "; "))"
        case .extensionVersion(let node, let found, let wanted):
            "\(node): the extension spock is at \(found.map(\.description) ?? "no version") where the mesh has \(wanted)"
        case .replicationSetsDiffer(let node, let differences):
            "\(node): the replication sets are not those that were captured: \(differences.joined(separator: "; "))"
        case .slotNameDiffers(let node, let subscription, let found, let expected):
            "\(node): subscription \(subscription) reads slot \(found.map(\.description) ?? "(none)") where \(expected) was created for it"
        case .resumePositionOutOfBounds(let position):
            "the position to go on from \(position.peer) is out of bounds: slot \(position.slotLSN), resume \(position.lsn)"
                + (position.sourceOrigin.map { ", source's origin \($0)" } ?? "") + ", \(position.peer) itself \(position.peerLSN)"
        }
    }

    public var hint: String? {
        switch self {
        case .readOnlyModeRefused(_, _, let version): "use '\(ReadOnlyMode.closingClients(on: version).rawValue)'"
        case .extensionHasDependents, .identityHasDependents: "drop them on the new node first, and create them again when it has joined; the extension is still there"
        case .extensionVersion: "install the packages of that very version on this host"
        case .replicationSetsDiffer: "nothing was changed; compare spock.replication_set_table on this node and on the source"
        case .slotNameDiffers: "nothing was changed; ask the server for the name with spock.spock_gen_slot_name"
        case .resumePositionOutOfBounds: "nothing has joined, and the mesh is unharmed: undo this run with --purge-data, and begin anew"
        }
    }
}
