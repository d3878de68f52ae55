/// A playbook: who the nodes are, and which procedure to run with which options.
///
/// ```swift
/// let playbook = try Playbook.load(path: "spock-add-node.yaml")
/// switch playbook.procedure {
/// case .addSpockNode(let plan): print(plan.cluster.name, plan.newNode.node.address)
/// }
/// ```
/// A playbook that was loaded is sound in itself. Whether it fits the world is for the procedure to find out; the values
/// keep their ``Place`` for that: `plan.newNode.$dataDirectory.place`.
public struct Playbook: Sendable {
    /// The file's name as it was given.
    public let name: String
    /// The file's text, as it stands there.
    public let text: String
    public let procedure: Procedure

    /// What a playbook asks for, with its options.
    public enum Procedure: Sendable {
        case addSpockNode(AddSpockNode)
        case addSpockNodeLogical(AddSpockNodeLogical)
        case removeSpockNode(RemoveSpockNode)
        case hotStandby(HotStandby)
        case dropStandby(DropStandby)
        case synchronous(Synchronous)
        case switchover(Switchover)
        case failover(Failover)
        case rejoin(Rejoin)
        case datanodeDropSlave(DatanodeDropSlave)
        case datanodeFailover(DatanodeFailover)
        case datanodeRejoin(DatanodeRejoin)
        case datanodeStandby(DatanodeStandby)
    }

    /// Reads the playbook in the file at `path`.
    /// - Throws: ``PlaybookErrors`` with every mistake found.
    public static func load(path: String) throws(PlaybookErrors) -> Playbook {
        try read(SourceText(file: path))
    }

    /// Reads the playbook in `text`; `name` is the file name that places and errors give.
    /// - Throws: ``PlaybookErrors`` with every mistake found.
    public static func parse(_ text: String, name: String) throws(PlaybookErrors) -> Playbook {
        try read(SourceText(text, name: name))
    }
}
