import Server
import Spock

/// What was read of the members of a Spock cluster.
struct MeshFacts: Sendable {
    var view: MeshView
    var examinations: [NodeName: SpockExamination]

    var names: [NodeName] { view.names }
    func state(_ node: NodeName) -> SpockNodeState? { view.states[node] }

    /// Whose slots the subscriptions of the mesh are.
    func subscription(reading slot: SlotName, on provider: NodeName) -> Subscription? { view.allSubscriptions.first { $0.provider == provider && $0.slot == slot } }
}
