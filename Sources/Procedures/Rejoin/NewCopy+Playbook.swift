import Playbook
import ProcedureKit

extension Playbook.Rejoin {
    /// The machine that keeps the repository of a new copy, where that is one of its own.
    var repositoryHost: Roster.Entry? {
        guard case .anew(let copy) = copy, case .pgBackRest(let backRest) = copy.copy.method else { return nil }
        return backRest.repositoryHost.map { Roster.Entry($0) }
    }
}

extension NewCopy {
    /// `nil` where the playbook says nothing of a copy.
    /// - Throws: `Problem` for what no playbook can say.
    init?(_ playbook: Playbook.Rejoin, of node: RejoiningNode, purgesData: Bool) throws {
        guard case .anew(let copy) = playbook.copy else { return nil }
        let existing: CopiedNode.Existing =
            switch copy.existing {
            case .moveAside: .movedAside
            case .remove: .removed
            case .delta: .overwritten
            }
        let method: Method =
            switch copy.copy.method {
            case .baseBackup(let order): .baseBackup(CopyFiles.Order(order))
            case .pgBackRest(let order): .pgBackRest(try BackRestCopy.Order(order))
            }
        self.init(node, method, existing: existing, purgesData: purgesData)
    }
}
