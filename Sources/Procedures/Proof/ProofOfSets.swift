import EventLoop
import ProcedureKit
import Report
import Spock

extension Proof {
    /// The new subscriptions name the sets that their models name now, and the new node's replication sets are the source's.
    ///
    /// A set that is left out loses rows with every subscription replicating.
    /// - Returns: what is told of it; `nil` where no node is new.
    func replicationSets(deadline: Deadline) async throws -> String? {
        guard let joined else { return nil }
        let newNode = joined.newNode
        async let modelled = joined.models()
        let subscriptions = try await subscriptions(deadline: deadline), models = try await modelled
        let new = subscriptions.filter { [$0.provider.rawValue, $0.subscriber.rawValue].contains(newNode) }
        for subscription in new {
            let model = try joined.settings(from: subscription.provider.rawValue, to: subscription.subscriber.rawValue, in: models)
            let differences = subscription.settings.differences(from: model, between: ", not ")
            guard differences.isEmpty else {
                throw Problem(
                    "\(subscription.name) from \(subscription.provider) to \(subscription.subscriber) is not like the one of its pair: \(differences.joined(separator: "; "))",
                    hint: "who changed one of them since it was made? Make them alike, then resume; rows that were written until then may be missing")
            }
        }
        let (source, copy) = (try await mesh.spock(joined.source), try await mesh.spock(newNode))
        // A statement that changes the sets comes to one node a moment later than to another.
        let count = try await wait(
            for: "the replication sets of \(newNode) to be those of \(joined.source)", until: .after(.seconds(20)), every: .milliseconds(300)
        ) { () -> Look<Int> in
            async let wanted = source.captureReplicationSets(deadline: deadline)
            let found = try await copy.captureReplicationSets(deadline: deadline)
            let differences = ReplicationSet.differences(of: found, from: try await wanted)
            return differences.isEmpty ? .found(found.count) : .notYet(differences.joined(separator: "; "))
        }
        return "the \(new.count) new ones name the sets of their pairs; the \(count) replication sets of \(newNode) are those of \(joined.source)"
    }

    /// In which sets of each node the canary must be, so that everybody who reads from there hears it.
    func canarySets(deadline: Deadline) async throws -> [NodeName: CanarySets] {
        async let reading = subscriptions(deadline: deadline)
        let sets = try await onEach(nodes) { try await mesh.spock($0).captureReplicationSets(deadline: deadline) }, subscriptions = try await reading
        return try nodes.reduce(into: [:]) { canaries, node in
            let name = try mesh.name(node)
            canaries[name] = CanarySets(for: subscriptions.filter { $0.provider == name }, of: sets[node] ?? [])
        }
    }

    /// The sets that every subscription between the members names.
    func commonSets(deadline: Deadline) async throws -> Set<ReplicationSetName> {
        let members = nodes.filter { $0 != copied }
        let named = try await subscriptions(deadline: deadline).filter { members.contains($0.provider.rawValue) && members.contains($0.subscriber.rawValue) }
            .map { Set($0.settings.replicationSets) }
        return named.dropFirst().reduce(named.first ?? []) { $0.intersection($1) }
    }

    /// Those among the nodes, as the subscribers have them.
    private func subscriptions(deadline: Deadline) async throws -> [Subscription] {
        try await onEach(nodes) { node in
            try await mesh.spock(node).subscriptions(deadline: deadline).filter { $0.subscriber.rawValue == node && nodes.contains($0.provider.rawValue) }
        }.values.flatMap { $0 }.sorted { $0.name < $1.name }
    }
}
