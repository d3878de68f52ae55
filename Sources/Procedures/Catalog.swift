public import Playbook
public import ProcedureKit
public import Run

/// Every procedure there is: from a playbook's `procedure:`, or from what a journal has kept of a run, to its steps.
public struct Catalog: Sendable {
    private let ways: Ways
    private let undo: UndoOptions

    /// - Parameters:
    ///   - ways: how hosts and servers are reached.
    ///   - undo: what an undo may do.
    public init(_ ways: Ways, undo: UndoOptions = UndoOptions()) {
        (self.ways, self.undo) = (ways, undo)
    }

    /// What `playbook` asks for.
    /// - Parameter path: where it was read, absolute.
    /// - Throws: `Problem` for what no playbook can say.
    public func procedure(for playbook: Playbook, at path: String) throws -> any Procedure {
        try procedure(playbook, from: RunOrigin(path: path, content: playbook.text))
    }

    /// What a run was of, as its journal has it.
    /// - Throws: `PlaybookErrors`, `DecodingError`, `Problem` for a procedure that this version does not know.
    public func procedure(of run: RunHeader) throws -> any Procedure {
        let origin = try run.origin()
        guard ConfigureNode.names.contains(run.procedure) else {
            return try procedure(try Playbook.parse(origin.content, name: run.playbook), from: origin)
        }
        let order = try ConfigureNode.Order(origin)
        return ConfigureNode(try ConfiguredNode(order.target, ways), order.request, cluster: run.cluster)
    }

    /// The nodes that `playbook` names, and what their cluster is called.
    /// - Throws: `Problem` for what no playbook can say.
    public static func roster(of playbook: Playbook) throws -> (roster: Roster, cluster: String) {
        switch playbook.procedure {
        case .addSpockNode(let add): (try Roster(add), add.cluster.name)
        }
    }

    private func procedure(_ playbook: Playbook, from origin: RunOrigin) throws -> any Procedure {
        switch playbook.procedure {
        case .addSpockNode(let add): try AddSpockNode(add, from: origin, ways, undo: undo)
        }
    }
}
