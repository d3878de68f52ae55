import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Drop the subscriptions of the members to the node, with their slots there.
struct DropSubscriptions: Step {
    static let name = "drop-subscriptions"
    /// The members whose subscriptions were dropped, or were about to be.
    static let dropped = Fact<[String]>("members that read the node no more")
    /// What the members that were behind have not got.
    static let lacking = Fact<String>("what members lack of the node")

    let leaving: LeavingNode
    let window: ClosedWindow
    let grace: Duration
    let patience: Patience
    private var node: String { leaving.name }
    var title: String { "Drop the subscriptions of \(list(leaving.members)) to \(node)" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let look = try await leaving.look(memory)
        let changes = leaving.members.flatMap { member in
            (look.traces[member]?.subscriptions ?? []).map { subscription in
                Change(
                    "\(member): sub_drop \(subscription.name), with its origin"
                        + (look.leaving.node == nil ? "; \(node) is not asked for the slot \(subscription.slot)" : " and its slot on \(node)"))
            }
        }
        if changes.isEmpty { return .done("none of \(list(leaving.members)) reads \(node)") }
        if look.leaving.node == nil, let problem = try leaving.refusal(of: look, memory) { return .blocked([problem]) }
        return .needed(changes)
    }

    func perform(_ run: StepRun) async throws -> String {
        var look = try await leaving.look(run.memory)
        try leaving.remember(look, run)
        try await leaving.rememberExceptions(of: leaving.members, run)
        let isThere = look.leaving.node != nil
        if isThere {
            // Once more, right before: a worker that is ended in the middle of a transaction discards it.
            let closed = ClosedNode(mesh: leaving, name: node, window: window, grace: grace)
            _ = try await leaving.drain(by: try await leaving.readers(look, closed, run.memory), with: patience, tell: { run.note($0) })
        } else {
            try await awaitRest(look, run)
            look = try await leaving.look(run.memory)
            if let problem = try leaving.refusal(of: look, run.memory) { throw problem }
            if let missing = look.missing(of: node) { try run.remember(Self.lacking, missing) }
        }
        let readers = look.readers, provider = try leaving.name(node)
        try run.remember(Self.dropped, Set(readers).union(try run.memory.recall(Self.dropped) ?? []).sorted())
        let traces = look.traces
        _ = try await onEach(readers) { member in
            let session = try await leaving.spock(member), deadline = Deadline.after(.seconds(180))
            for subscription in traces[member]?.subscriptions ?? [] {
                if isThere {
                    try await session.dropSubscription(subscription.name, deadline: deadline)
                } else {
                    try await session.dropSubscription(subscription.name, ofLost: provider, deadline: deadline)
                }
            }
        }
        return "\(list(readers)) \(readers.count == 1 ? "does" : "do") not read \(node) any more"
    }

    /// Waits until nobody reads the slots of a node that is gone, and what the members had received of it is applied.
    private func awaitRest(_ look: LeavingNode.Look, _ run: StepRun) async throws {
        let traces = look.traces, leaving = leaving
        var before: [String: [LSN?]]?
        try await wait(for: "\(node), which is gone, to be read by nobody and to read nothing", until: .after(.seconds(120)), every: .milliseconds(700)) { () -> Look<Void> in
            let seen = try await onEach(Array(traces.keys)) { member in
                try await leaving.rest(traces[member], on: try await leaving.spock(member))
            }
            let positions = seen.mapValues(\.applied), stood = positions == before
            before = positions
            let working = seen.values.compactMap(\.working).sorted()
            guard working.isEmpty else { return .notYet(working.joined(separator: "; ")) }
            return stood ? .found(()) : .notYet("\(list(seen.keys.sorted())) still apply what they have of \(leaving.name)")
        }
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        let gone = try await leaving.dropped(run.memory)
        return gone.isEmpty ? .undone([]) : .left([leaving.noWayBack(from: gone)])
    }
}

extension LeavingNode {
    /// Why the members may not cease to read a node that cannot be asked; `nil` where they may.
    func refusal(of look: Look, _ memory: Memory) throws -> Problem? {
        if let problem = try absence(in: look, memory) { return problem }
        return try givesUpWrites(memory) ? nil : unevenness(of: look)
    }

    /// Why it is not taken for gone; `nil` where it is, or can be asked.
    func absence(in look: Look, _ memory: Memory) throws -> Problem? {
        switch look.leaving {
        case .node: return nil
        case .silent(let problem, answers: true):
            return Problem("\(name): it answers, and cannot be asked: \(problem.fact)", hint: problem.hint ?? "let pggraft in; or stop \(name) for good")
        case .silent(let problem, answers: false):
            guard try !isGone(memory) else { return nil }
            return Problem(
                "\(name): no answer: \(problem.fact)",
                hint: "start it, so that it is closed first and the others get all that was written there; "
                    + "or, if it is gone for good, say so: --node-is-gone. It must not come back and write")
        case .stranger(let what):
            // What is read over a subscription that works is somewhere.
            let read = look.traces.filter { member, traces in traces.subscriptions.contains { look.states[member]?.statuses[$0.name] == .replicating } }.keys.sorted()
            if let first = read.first {
                return Problem(
                    "what the playbook calls \(name) \(what), and \(list(read)) read \(name) all the same",
                    hint: "correct its address and port in the playbook: look at spock.node_interface on \(first)")
            }
            guard try !look.readers.isEmpty && !givesUpWrites(memory) else { return nil }
            return Problem(
                "what the playbook calls \(name) \(what), and \(list(look.readers)) may not have all that was written there",
                hint: "compare them by hand; if nothing of it is needed, say --give-up-writes")
        }
    }

    /// That the members have received different amounts of it; `nil` where they have not.
    func unevenness(of look: Look) -> Problem? {
        look.missing(of: name).map { missing in
            Problem(
                missing,
                hint: "nobody can say that any more once \(name) is removed. If \(name) can be started once more, they get it from there; "
                    + "if not, say --give-up-writes: the proof at the end names the tables and keys that differ, to be brought level by hand")
        }
    }

    /// How far a member has applied it, and what there still works; `nil` for nothing.
    fileprivate func rest(_ traces: NodeTraces?, on session: SpockSession) async throws -> (applied: [LSN?], working: String?) {
        let deadline = Deadline.after(.seconds(20))
        var applied: [LSN?] = []
        for slot in traces?.slots ?? [] {
            guard let now = try await session.server.slot(slot.name, deadline: deadline), now.isActive else { continue }
            return (
                applied,
                "\(session.name): pid \(now.activePID ?? 0) reads the slot \(slot.name), which ends with wal_sender_timeout where its host is gone; "
                    + "otherwise \(name) is not gone"
            )
        }
        for subscription in traces?.subscriptions ?? [] {
            applied.append(try await session.server.originProgress(subscription.origin, deadline: deadline))
            if try await session.isApplying(subscription, deadline: deadline) { return (applied, "\(session.name) is in the middle of a transaction of \(name)") }
        }
        return (applied, nil)
    }

    /// That what was dropped cannot be made again.
    func noWayBack(from members: [String]) -> Problem {
        Problem(
            "\(list(members)) \(members.count == 1 ? "does" : "do") not read \(name) any more, and what is written there is kept for nobody: that cannot be undone",
            hint: "resume: the run removes the rest of \(name). Then add it again, as a new copy: `procedure: add-spock-node`")
    }
}
