public import Playbook
public import ProcedureKit
import Report
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
    /// - Parameters:
    ///   - path: where it was read, absolute.
    ///   - consents: what the operator has said with the command.
    /// - Throws: `Problem` for what no playbook can say, and for what the procedure is not to be told.
    public func procedure(for playbook: Playbook, at path: String, consents: [Consent] = []) throws -> any Procedure {
        let procedure = try procedure(playbook, from: RunOrigin(path: path, content: playbook.text, consents: consents))
        try Self.check(consents, procedure.name)
        return procedure
    }

    /// - Throws: `Problem` where a run of `procedure` has nothing to do with one of them.
    public static func check(_ consents: [Consent], _ procedure: String) throws {
        if consents.contains(.primaryIsDead), ![Failover.name, DatanodeFailover.name].contains(procedure) {
            throw Problem("--\(Consent.primaryIsDead.rawValue) is for a failover, and this is \(procedure)", hint: "leave it out. Nothing was changed.")
        }
        if consents.contains(.createRoles), procedure != AddSpockNodeLogical.name {
            throw Problem("--\(Consent.createRoles.rawValue) is for add-spock-node-logical, and this is \(procedure)", hint: "leave it out. Nothing was changed.")
        }
        for consent in [Consent.nodeIsGone, .giveUpWrites] where consents.contains(consent) && procedure != RemoveSpockNode.name {
            throw Problem("--\(consent.rawValue) is for the removal of a node, and this is \(procedure)", hint: "leave it out. Nothing was changed.")
        }
        if consents.contains(.restartGTM), procedure != DatanodeFailover.name {
            throw Problem("--\(Consent.restartGTM.rawValue) is for a failover of a datanode, and this is \(procedure)", hint: "leave it out. Nothing was changed.")
        }
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
        case .addSpockNodeLogical(let add): (try Roster(add), add.cluster.name)
        case .removeSpockNode(let order): (try Roster(order), order.cluster.name)
        case .dropStandby(let order): (try Roster(pair: order.cluster), order.cluster.name)
        case .hotStandby(let order): (try Roster(order), order.cluster.name)
        case .synchronous(let order): (try Roster(pair: order.cluster), order.cluster.name)
        case .failover(let order): (try Roster(pair: order.cluster), order.cluster.name)
        case .rejoin(let order): (try Roster(pair: order.cluster), order.cluster.name)
        case .switchover(let order): (try Roster(pair: order.cluster), order.cluster.name)
        case .datanodeDropSlave(let order): (try Roster(order.cluster), order.cluster.name)
        case .datanodeFailover(let order): (try Roster(order.cluster), order.cluster.name)
        case .datanodeRejoin(let order): (try Roster(order.cluster), order.cluster.name)
        case .datanodeStandby(let order): (try Roster(order.cluster), order.cluster.name)
        }
    }

    private func procedure(_ playbook: Playbook, from origin: RunOrigin) throws -> any Procedure {
        switch playbook.procedure {
        case .addSpockNode(let add): try AddSpockNode(add, from: origin, ways, undo: undo)
        case .addSpockNodeLogical(let add): try AddSpockNodeLogical(add, from: origin, ways, undo: undo)
        case .removeSpockNode(let order): try RemoveSpockNode(order, from: origin, ways)
        case .dropStandby(let order): try DropStandby(order, from: origin, ways)
        case .hotStandby(let order): try HotStandby(order, from: origin, ways, undo: undo)
        case .synchronous(let order): try Synchronous(order, from: origin, ways)
        case .failover(let order): try Failover(order, from: origin, ways)
        case .rejoin(let order): try Rejoin(order, from: origin, ways, undo: undo)
        case .switchover(let order): try Switchover(order, from: origin, ways)
        case .datanodeDropSlave(let order): try DatanodeDropSlave(order, from: origin, ways)
        case .datanodeFailover(let order): try DatanodeFailover(order, from: origin, ways)
        case .datanodeRejoin(let order): try DatanodeRejoin(order, from: origin, ways, undo: undo)
        case .datanodeStandby(let order): try DatanodeStandby(order, from: origin, ways, undo: undo)
        }
    }
}
