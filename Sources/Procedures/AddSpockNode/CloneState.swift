/// How far the new node has come, as its host and its server show it. Each state includes the ones before it.
enum CloneState: Int, Sendable, Comparable, CustomStringConvertible {
    /// No data directory, or an empty one.
    case empty
    /// A restore was begun and cut off.
    case partlyRestored
    /// The copy is there, and was never started.
    case restored
    /// A standby of the source, running or stopped.
    case standby
    /// Promoted; it still carries the source's identity.
    case promoted
    /// Promoted, and without the extension: nobody's identity.
    case cleaned
    /// A Spock node of its own.
    case node
    /// It subscribes to every node, and every node to it.
    case subscribed

    var description: String {
        switch self {
        case .empty: "empty"
        case .partlyRestored: "restored in part"
        case .restored: "restored"
        case .standby: "a standby"
        case .promoted: "promoted, with the identity of its source"
        case .cleaned: "promoted, without an identity"
        case .node: "a Spock node of its own"
        case .subscribed: "a member of the mesh"
        }
    }

    static func < (left: CloneState, right: CloneState) -> Bool { left.rawValue < right.rawValue }
}
