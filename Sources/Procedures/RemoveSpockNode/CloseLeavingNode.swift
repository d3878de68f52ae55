import EventLoop
import ProcedureKit
import Report
import Run
import Server
import Spock

/// Close the node to clients, and wait until every member has applied all that was written there.
struct CloseLeavingNode: Step {
    static let name = "close-node"
    /// How many connections its database took.
    static let connectionLimit = Fact<Int>("connection limit before")

    let leaving: LeavingNode
    let window: ClosedWindow
    let grace: Duration
    let patience: Patience
    private var node: String { leaving.name }
    var title: String { "Close \(node) to clients, and wait until \(list(leaving.members)) have all that was written there" }

    private var closed: ClosedNode { ClosedNode(mesh: leaving, name: node, window: window, grace: grace) }

    func inspect(_ memory: Memory) async throws -> Inspection {
        let look = try await leaving.look(memory)
        switch look.leaving {
        case .silent: return .done("\(node) gives no answer")
        case .stranger(let what): return .done("\(node): \(what): nothing there is touched")
        case .node:
            if try look.readers.isEmpty && memory.began(DropSubscriptions.self) && memory.recall(Self.connectionLimit) != nil { return .done("nobody reads it any more") }
            var changes = [
                Change("\(node): no connections to database \(leaving.database), but superusers'; spock.readonly; clients are ended")
            ]
            if !look.readers.isEmpty { changes.append(Change("\(list(look.readers)): everything that was written on \(node) is waited for")) }
            return .needed(changes)
        }
    }

    func perform(_ run: StepRun) async throws -> String {
        let look = try await leaving.look(run.memory)
        guard look.leaving.node != nil else { throw Problem("\(node) gives no answer any more", hint: "resume when it does, or, if it is gone for good, with --node-is-gone") }
        try leaving.remember(look, run)
        try await leaving.rememberExceptions(of: leaving.members + [node], run)
        if try run.memory.recall(Self.connectionLimit) == nil {
            try run.remember(Self.connectionLimit, try await leaving.access.server(node).connectionLimit(deadline: .after(.seconds(20))))
        }
        try await window.remember([node], run)
        try await closed.close(deadline: .after(.seconds(120)))
        let drained = try await leaving.drain(by: try await leaving.readers(look, closed, run.memory), with: patience, tell: { run.note($0) })
        guard let lsn = drained.map(\.lsn).max() else { return "closed; nobody reads it" }
        let readers = Set(drained.map(\.subscriber)).sorted()
        return "closed; \(list(readers)) \(readers.count == 1 ? "has" : "have") applied it up to \(lsn)"
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        // Once a member has ceased to read it, what clients would write there is nowhere else.
        let gone = try await leaving.dropped(run.memory)
        return gone.isEmpty ? try await leaving.open(window, run) : .left([leaving.noWayBack(from: gone)])
    }
}

extension LeavingNode {
    /// The ways over which its writes are waited for.
    /// - Throws: `Problem` for a member that does not read it, unless what it lacks is given up.
    func readers(_ look: Look, _ closed: ClosedNode, _ memory: Memory) async throws -> [Spock.Direction] {
        // Of what was dropped in part nothing comes any more. It had everything: it was waited for.
        let dropped = try dropped(in: look, memory), readers = try await closed.readers(members, deadline: .after(.seconds(20))).filter { !dropped.contains($0.key) }
        let others = members.filter { readers[$0]?.isEmpty != false && !dropped.contains($0) }, givesUp = try givesUpWrites(memory)
        guard others.isEmpty || givesUp else { throw unread(by: others) }
        guard givesUp else { return readers.values.flatMap(\.self) }
        // One that gets nothing would be waited for in vain.
        let getting = readers.filter { member, _ in
            look.traces[member]?.subscriptions.allSatisfy { look.states[member]?.statuses[$0.name] == .replicating } == true
        }
        return getting.values.flatMap(\.self)
    }

    /// The members whose subscriptions the run has dropped: they are away, or what they read is. The slot goes before the subscription is: a drop that was
    /// cut off in between leaves one that gets nothing any more.
    func dropped(_ memory: Memory) async throws -> [String] {
        guard let begun = try memory.recall(DropSubscriptions.dropped), !begun.isEmpty else { return [] }
        _ = try await onEach(begun) { try await spock($0).awaitDrops(deadline: .after(.seconds(180))) }
        return try dropped(in: try await look(memory), memory)
    }

    func dropped(in look: Look, _ memory: Memory) throws -> [String] {
        try (memory.recall(DropSubscriptions.dropped) ?? []).filter { member in
            let subscriptions = look.traces[member]?.subscriptions ?? []
            guard !subscriptions.isEmpty, let there = look.leaving.node?.slots.map(\.name) else { return subscriptions.isEmpty }
            return !subscriptions.allSatisfy { there.contains($0.slot) }
        }
    }

    /// That `others` do not read it.
    func unread(by others: [String]) -> Problem {
        Problem(
            "\(list(others)) \(others.count == 1 ? "does" : "do") not read \(name): what was written there may never have come to \(others.count == 1 ? "it" : "them")",
            hint: "subscribe there to \(name) first and wait until it has caught up; or, if nothing of it is needed, say --give-up-writes")
    }

    /// Waits until everything written on it so far is applied over each of `directions`, for as long as that moves.
    func drain(by directions: [Spock.Direction], with patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws -> [Drained] {
        guard !directions.isEmpty else { return [] }
        return try await explained(by: { directions.map(\.subscriber.name) }) { try await Spock.drain(directions, with: patience, tell: tell) }
    }

    /// Opens it to clients again, as it was before the run has closed it.
    func open(_ window: ClosedWindow, _ run: StepRun) async throws -> UndoOutcome {
        guard let limit = try run.memory.recall(CloseLeavingNode.connectionLimit) else { return .undone([]) }
        let problems = await window.open(run.memory)
        guard problems.isEmpty else { return .left(problems) }
        let server = try await access.server(name), deadline = Deadline.after(.seconds(20))
        var done: [String] = []
        if try await server.connectionLimit(deadline: deadline) == 0, limit != 0 {
            try await server.limitConnections(to: limit, deadline: deadline)
            done = ["\(name) is open to clients again"]
        }
        // DDL that is replicated into a read-only node is discarded there.
        guard let before = try run.memory.recall(Self.exceptionsBefore)?[name], case let now = try await exceptionCounts([name])[name] ?? 0, now > before else {
            return .undone(done)
        }
        return .left([
            Problem(
                "\(name) is open again; while it was closed it has discarded changes of others: spock.exception_log has grown from \(before) to \(now) rows",
                hint: "read them there (error_message, remote_new_tup), apply what is missing by hand, delete them, and undo again")
        ])
    }
}
