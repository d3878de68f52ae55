import EventLoop
import Playbook
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Step 6: end the transactions that clients still have open, and wait until none can write any more.
struct EndTransactions: Step {
    let seed: Seed
    static let name = "end-transactions"
    var title: String { "Terminate all client transactions on \(list(seed.members))" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) >= .promoted { return .done("\(seed.newNode) has left its source") }
        let grace = seed.playbook.handover.transactionGrace
        return .needed([
            Change("\(list(seed.members)): give client transactions \(grace.inSeconds), then pg_terminate_backend; client backends only, no apply worker is touched"),
            Change("\(list(seed.members)): wait until no client holds a transaction id"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let window = try await seed.currentWindow()
        let ended = try await seed.endClientTransactions(on: seed.members, begunBefore: window.flips, deadline: window.deadline)
        await seed.book("client transactions")
        for (node, transactions) in ended.sorted(by: { $0.key < $1.key }) {
            for transaction in transactions { run.note("\(node): terminated \(transaction)") }
        }
        let count = ended.values.map(\.count).reduce(0, +)
        return "no client can write any more; \(count) had to be terminated"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

/// Part of step 6: wait until everything written anywhere is applied everywhere.
struct DrainMesh: Step {
    let seed: Seed
    static let name = "drain"
    var title: String { "Drain \(list(seed.members)) in every direction" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if try await seed.cloneState(memory) >= .promoted { return .done("\(seed.newNode) has left its source") }
        return .needed([Change("\(list(seed.members)): spock.sync_event(), then wait for pg_replication_origin_status on every other node")])
    }

    func perform(_ run: StepRun) async throws -> String {
        let drained = try await seed.drainMesh(seed.members, deadline: try await seed.currentWindow().deadline)
        await seed.book("drain")
        return "\(drained.count) directions are drained"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .undone([]) }
}

extension Seed {
    /// Ends what clients had begun on each of `nodes` before it became read-only, after the playbook's grace.
    /// - Returns: what had to be terminated, by node.
    func endClientTransactions(
        on nodes: [String], begunBefore flips: [String: ServerMoment], deadline: Deadline
    ) async throws -> [String: [ClientTransaction]] {
        let grace = playbook.handover.transactionGrace
        return try await onEach(nodes) { node in
            guard let flip = flips[node] else { throw Problem("\(node): the moment it became read-only is not known") }
            return try await self.spock(node).server.endClientTransactions(begunBefore: flip, grace: grace, deadline: deadline)
        }
    }

    /// Waits until every one of `nodes` has applied what every other one has written so far.
    func drainMesh(_ nodes: [String], deadline: Deadline) async throws -> [Drained] {
        var directions: [Direction] = []
        for subscriber in nodes {
            let session = try await spock(subscriber)
            for subscription in try await session.subscriptions(deadline: deadline)
            where subscription.subscriber.rawValue == subscriber && nodes.contains(subscription.provider.rawValue) {
                directions.append(
                    Direction(
                        provider: try await spock(subscription.provider.rawValue), subscriber: session, origin: subscription.origin))
            }
        }
        return try await drain(directions, deadline: deadline)
    }
}
