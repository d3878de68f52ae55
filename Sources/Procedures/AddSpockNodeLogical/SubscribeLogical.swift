import EventLoop
import ProcedureKit
import Report
import Run
import Spock

/// The subscriptions between the new node and every other one, both ways; an undo takes those of the new node, too: its database stays.
struct SubscribeLogical: Step {
    static let name = Subscribe.name
    let inner: Subscribe
    var title: String { inner.title }

    func inspect(_ memory: Memory) async throws -> Inspection { try await inner.inspect(memory) }
    func perform(_ run: StepRun) async throws -> String { try await inner.perform(run) }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let outcome = try await inner.undo(run), (mesh, node) = (inner.mesh, inner.node)
        if case .left = outcome { return outcome }
        let directions = try run.memory.recall(CreateSlots.directions) ?? []
        // Each connects to its provider, and drops its slot there.
        let own = await takeBack(directions.map { Created("subscription", on: node.name, $0.subscription.rawValue) }) { thing in
            if let problem = try node.obstacle(to: "\(thing)", run.memory) { return .left(problem) }
            let session = try await mesh.spock(node.name)
            guard let found = try await session.subscriptions(deadline: .after(.seconds(20))).first(where: { $0.name.rawValue == thing.name }) else { return .absent }
            try await session.dropSubscription(found.name, deadline: .after(.seconds(180)))
            return .gone("\(thing) is dropped")
        }
        return outcome.and(own)
    }
}
