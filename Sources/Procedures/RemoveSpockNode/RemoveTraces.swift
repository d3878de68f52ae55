import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Remove what is left of the node on the members: slots, origins, node entries, progress.
struct RemoveTraces: Step {
    static let name = "remove-traces"
    let leaving: LeavingNode
    private var node: String { leaving.name }
    var title: String { "Remove what is left of \(node) on \(list(leaving.members))" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let look = try await leaving.look(memory)
        let changes = leaving.members.flatMap { member -> [Change] in
            guard let traces = look.traces[member] else { return [] }
            var things = traces.slots.map { "the slot \($0.name), which keeps \(UInt64(max(0, $0.retainedBytes ?? 0)).inBytes) of WAL" }
            things += traces.origins.map { "the origin \($0)" }
            if traces.isKnown { things.append("the node and its interfaces") }
            if let progress = look.progress[member], progress.isTable, progress.rows > 0 { things.append("\(progress.rows) rows of spock.progress") }
            return things.isEmpty ? [] : [Change("\(member): drop " + things.joined(separator: ", "))]
        }
        return changes.isEmpty ? .done("nothing is left") : .needed(changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        let look = try await leaving.look(run.memory), name = try leaving.name(node)
        try leaving.remember(look, run)
        let left = look.readers
        guard left.isEmpty else { throw Problem("\(list(left)) \(left.count == 1 ? "reads" : "read") \(node) again", hint: "resume: the subscriptions are dropped first") }
        let traces = look.traces
        let slots = try await onEach(leaving.members) { member -> Int in
            guard let there = traces[member] else { return 0 }
            let session = try await leaving.spock(member), deadline = Deadline.after(.seconds(60))
            var dropped = 0
            // Its reader ends with wal_sender_timeout where its host is gone. One that goes on reading is not gone, and is not ended here.
            for slot in there.slots where try await session.server.dropSlot(slot.name, deadline: .after(.seconds(120))) { dropped += 1 }
            try await session.server.dropOrigins(there.origins, deadline: deadline)
            try await session.dropNode(name, deadline: deadline)
            try await session.deleteProgress(of: name, deadline: deadline)
            return dropped
        }
        return "\(slots.values.reduce(0, +)) slots dropped; \(list(leaving.members)) know no \(node)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome { .left([leaving.noWayBack(from: leaving.members)]) }
}
