import PostgresConfig
public import Report

/// What a server, or an operation on it, refuses, and what to do then.
public enum ServerError: Explained {
    case reloadFailed(node: String)
    /// A server before 9.5 does not show what its files say.
    case cannotAlterSystem(node: String, setting: String, version: MajorVersion)
    /// `ALTER SYSTEM` would store a list that is given as one string as a list of one.
    case listSetting(node: String, setting: String)
    case slotCreationBlocked(node: String, slot: SlotName, blockers: [SlotBlocker], budget: Duration)
    case cannotHaveSlots(node: String, version: MajorVersion)
    case promoted(node: String)

    public var fact: String {
        switch self {
        case .reloadFailed(let node): "\(node): the server did not take the signal to reload its configuration"
        case .cannotAlterSystem(let node, let setting, let version):
            "\(node): \(setting) cannot be set by ALTER SYSTEM and read back on PostgreSQL \(version)"
        case .listSetting(let node, let setting): "\(node): \(setting) is a list, which ALTER SYSTEM would store as one element"
        case .slotCreationBlocked(let node, let slot, let blockers, let budget):
            "\(node): slot \(slot) could not be created within \(budget.inSeconds): transactions open before it have not ended"
                + (blockers.isEmpty ? "" : ": " + blockers.map(\.description).joined(separator: "; "))
        case .cannotHaveSlots(let node, let version): "\(node): PostgreSQL \(version) has no replication slots"
        case .promoted(let node): "\(node) is no standby any more"
        }
    }

    public var hint: String? {
        switch self {
        case .reloadFailed: "look into the server's log; nothing was changed but postgresql.auto.conf"
        case .cannotAlterSystem, .listSetting: "write it into a configuration file"
        case .slotCreationBlocked: "end them, or COMMIT PREPARED / ROLLBACK PREPARED them, and run again; no slot is left behind"
        case .cannotHaveSlots: "keep WAL for the standby with wal_keep_segments or an archive"
        case .promoted: "somebody promoted it; see its log"
        }
    }
}
