import Report
import Run

/// The node that joins, as those steps see it that are the same however its data came.
protocol MeshJoiner: Actor {
    nonisolated var name: String { get }
    nonisolated var mesh: SpockMesh { get }

    /// How far it has come: as its host and its server show it, or as this run has just left it.
    func state(_ memory: Memory) async throws -> JoiningState
    /// Says what a step of this run, which goes on at once, has made of it.
    func reached(_ state: JoiningState)
    /// Whether this run has just brought it to `state`: the next steps are needed then, without a look.
    func hasJustReached(_ state: JoiningState) -> Bool
    /// What keeps an undo from taking `thing` back; `nil` where nothing does.
    nonisolated func obstacle(to thing: String, _ memory: Memory) throws -> Problem?
    /// What a hint says where what it has got is of no use any more.
    nonisolated var anew: String { get }
}

/// How far a node that joins has come, as its host and its server show it. Each state includes the ones before it.
enum JoiningState: Int, Sendable, Comparable, CustomStringConvertible {
    /// Nothing of the source is there: no data directory, an empty one, or a database without tables.
    case empty
    /// A copy was begun and cut off.
    case partlyRestored
    /// What follows the source is there, and has not begun to.
    case restored
    /// It follows the source.
    case standby
    /// It has left the source; it still carries what it followed it by.
    case promoted
    /// Left, and nobody's identity.
    case cleaned
    /// A Spock node of its own, with what the source had when it left.
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

    static func < (left: JoiningState, right: JoiningState) -> Bool { left.rawValue < right.rawValue }
}
