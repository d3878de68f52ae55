import EventLoop
import Playbook
import ProcedureKit

extension Roster {
    /// The nodes that stay, and the one that leaves where it still exists.
    init(_ playbook: Playbook.RemoveSpockNode) throws {
        let osUser = playbook.cluster.osUser
        self.init(try playbook.cluster.nodes.map { try Entry($0, osUser: osUser) }, database: playbook.cluster.database, role: playbook.cluster.user)
    }
}

extension Proof.Order {
    init(_ playbook: Playbook.RemoveSpockNode) {
        self.init(
            compares: playbook.proof == .hashes, samplesAbove: playbook.proofSampleAbove.bytes, seed: Int.random(in: 1...999_999),
            patience: Patience(limit: playbook.stallLimit))
    }
}
