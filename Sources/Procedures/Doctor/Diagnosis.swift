import Report

/// Something that is wrong though nothing says so: what, where, why it matters, and what mends it.
public struct Diagnosis: Sendable, Hashable, CustomStringConvertible {
    public enum Kind: String, Sendable, CaseIterable {
        /// A node could not be looked at, or not as a whole.
        case notLookedAt = "not_looked_at"
        case unreadSlot = "unread_slot"
        case recoveryTarget = "recovery_target"
        case signalFile = "signal_file"
        case openRule = "open_rule"
        case trust
        case clock
        case staleOrigin = "stale_origin"
        case ownerlessState = "ownerless_state"
        case sharedNodeID = "shared_node_id"
        case unreadSubscription = "unread_subscription"
        case setLeftOut = "set_left_out"
        case tableInNoSet = "table_in_no_set"
        case tableWithoutKey = "table_without_key"
        case refusedTable = "refused_table"
        case collidingSequence = "colliding_sequence"
        case exceptions
        case noCommitTimes = "no_commit_times"
        case limit
    }

    public var kind: Kind
    /// Where it is, as the playbook says it.
    public var node: String
    /// What it is about: `slot left_over`.
    public var object: String
    public var found: String
    /// What should be there; `nil` where nothing should.
    public var needed: String?
    /// What comes of it.
    public var why: String
    /// The statement or command that mends it, a line each.
    public var mend: String

    public init(_ kind: Kind, on node: String, _ object: String, found: String, needed: String? = nil, why: String, mend: String) {
        (self.kind, self.node, self.object, self.found, self.needed, self.why, self.mend) = (kind, node, object, found, needed, why, mend)
    }

    public var description: String { "\(node): \(object): \(found)\(needed.map { "; needed: \($0)" } ?? "")\n  \(why)\n  \(mend)" }
}
