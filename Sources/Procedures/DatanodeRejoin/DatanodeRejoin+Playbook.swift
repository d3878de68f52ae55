import Playbook
import ProcedureKit

extension NewCopy {
    /// `nil` where the playbook says nothing of a copy.
    init?(_ playbook: Playbook.DatanodeRejoin, of node: RejoiningNode, purgesData: Bool) {
        guard let copy = playbook.copy else { return nil }
        let existing: CopiedNode.Existing =
            switch copy.existing {
            case .moveAside: .movedAside
            case .remove: .removed
            }
        self.init(node, .baseBackup(CopyFiles.Order(copy.copy)), existing: existing, purgesData: purgesData)
    }
}
