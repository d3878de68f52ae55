import EventLoop
import ProcedureKit
import Report
import Run
import Server
import Spock

/// What was seen of the members, for the requirements that rest on it.
actor StayingSurvey {
    nonisolated let leaving: LeavingNode
    private(set) var states: [String: SpockNodeState] = [:]

    init(_ leaving: LeavingNode) { self.leaving = leaving }

    func saw(_ node: String, _ state: SpockNodeState) { states[node] = state }

    /// - Throws: `NotLooked` where a member could not be looked at, which another requirement tells.
    func all() throws -> [String: SpockNodeState] {
        guard leaving.members.allSatisfy({ states[$0] != nil }) else { throw NotLooked() }
        return states
    }
}

/// The members replicate to each other, without the node that leaves.
struct RestIsSound: Requirement {
    let name = "mesh"
    let survey: StayingSurvey

    func look(_ memory: Memory) async throws -> [Finding] {
        let leaving = survey.leaving, states = try await survey.all(), view = MeshView(Array(states.values)), node = try leaving.name(leaving.name)
        let isGone = try leaving.isGone(memory)
        let found =
            MeshChecks.visited(view).filter { if case .nodeNotVisited(node, _) = $0 { false } else { true } } + MeshChecks.privileges(view)
            + MeshChecks.versions(view) + MeshChecks.subscriptions(view) + MeshChecks.writable(view, mode: .live) + MeshChecks.exceptions(view)
        var findings = found.map { finding in
            // Of several that are gone one after the other is removed.
            let isGoneToo = if case .nodeNotVisited = finding { isGone } else { false }
            return Finding(name, finding.fact, finding.severity == .blocker && !finding.concernsJoiningOnly && !isGoneToo ? .notMet(hint: finding.hint) : .note(hint: finding.hint))
        }
        if findings.allSatisfy(\.isMet) {
            let count = view.subscriptions.count
            findings.insert(Finding(name, count == 0 ? "\(list(leaving.members)) stays alone" : "\(count) subscriptions among \(list(leaving.members)) replicating"), at: 0)
        }
        return findings
    }
}

extension MeshFinding {
    /// Whether it stands in the way of a node that joins, and of none that leaves.
    fileprivate var concernsJoiningOnly: Bool {
        switch self {
        case .originsForwarded, .versionsDiffer, .extensionNotUpdated: true
        default: false
        }
    }
}

/// The node may leave: what there is of it is known, nothing else hangs on it, and what was written there is not lost.
struct NodeMayLeave: Requirement {
    let name = "node"
    let survey: StayingSurvey
    /// Whether others may go on reading from it.
    let lettingOthersRead: Bool
    var place: String? { survey.leaving.name }

    func look(_ memory: Memory) async throws -> [Finding] {
        let leaving = survey.leaving, look = try await leaving.look(try await survey.all(), leaving: try await leaving.state(), memory)
        let isUnderWay = memory.began(CloseLeavingNode.self) || memory.began(DropSubscriptions.self) || memory.began(RemoveTraces.self)
        if !isUnderWay, look.leaving.node == nil, look.traces.values.allSatisfy(\.isEmpty), look.progress.values.allSatisfy({ $0.rows == 0 || !$0.isTable }) {
            return [
                Finding(
                    name, on: leaving.name, "\(list(leaving.members)) know no such node, and have nothing of one",
                    .notMet(hint: "nothing is to be done; or call it as Spock does: SELECT node_name FROM spock.node"))
            ]
        }
        return try await state(look, memory) + traces(look) + unread(look, memory) + leaving.unknownSlots(look).map { Finding("slots", $0, .note(hint: nil)) }
    }

    /// What it is itself.
    private func state(_ look: LeavingNode.Look, _ memory: Memory) async throws -> [Finding] {
        let leaving = survey.leaving, node = leaving.name
        switch look.leaving {
        case .node(let state):
            // One that is back in the middle of a run is closed and dropped like any other.
            if try leaving.isGone(memory) && memory.header == nil {
                return [
                    Finding(
                        name, on: node, "answers: it is not gone",
                        .notMet(hint: "leave out --node-is-gone: it is closed to clients first, and the others get all that was written there"))
                ]
            }
            return [Finding(name, on: node, "Spock node of id \(state.local?.id ?? 0), \(state.subscriptions.count) subscriptions of its own")]
                + (try await ties(of: state, look))
        case .stranger(let what):
            let finding = Finding(name, on: node, what, .note(hint: "nothing is changed there; what the others have of \(node) is removed"))
            return try leaving.absence(in: look, memory).map { [Finding(notMet: name, on: node, $0)] } ?? [finding]
        case .silent(let problem, _):
            if let refusal = try leaving.absence(in: look, memory) { return [Finding(notMet: name, on: node, refusal)] }
            return [
                Finding(
                    name, on: node, "is gone for good, as you say: \(problem.fact)",
                    .note(hint: "what was written there last, and no other node has received, is lost; see to it that it does not come back: what starts it?"))
            ]
        }
    }

    /// Who and what hangs on it.
    private func ties(of state: SpockNodeState, _ look: LeavingNode.Look) async throws -> [Finding] {
        let leaving = survey.leaving, node = leaving.name, session = try await leaving.spock(node), deadline = Deadline.after(.seconds(20))
        var findings: [Finding] = []
        let others = state.otherDatabases.filter { !$0.isTemplate && $0.name != "postgres" }.map(\.name)
        if !others.isEmpty {
            let hint =
                "until \(node) is dropped their clients cannot write either, and DDL that another Spock cluster replicates into them is discarded: the read-only mode is the instance's"
            findings.append(Finding("databases", on: node, "the instance also has \(list(others, atMost: 8))", .note(hint: hint)))
        }
        if let problem = leaving.contested(look) { findings.append(Finding(notMet: name, on: node, problem)) }
        if !state.isSuperuser { findings.append(Finding("role", on: node, "is no superuser", .notMet(hint: "connect as a superuser"))) }
        if !state.superuserClients.isEmpty {
            let stops = state.version.map { ReadOnlyMode.stopsSuperusers(on: $0) } ?? false, who = state.superuserClients.joined(separator: ", ")
            findings.append(
                Finding(
                    "clients", on: node,
                    "superusers are connected, whom \(stops ? "the read-only mode stops, but for INSERT inside of WITH" : "nothing keeps from writing on"): \(who)",
                    stops
                        ? .note(hint: "end those that write first: what they write while the others cease to read is on no other node")
                        : .notMet(hint: "end them first: what they write while the others cease to read is on no other node")))
        }
        let clients = try await session.server.clientNames(deadline: deadline)
        if !clients.isEmpty {
            findings.append(Finding("clients", on: node, "connected: \(list(clients, atMost: 8))", .note(hint: "they are ended, and none but superusers are let in again")))
        }
        let slots = state.slots.filter { !look.provided.contains($0.name) }
        let kept = slots.filter { $0.plugin == ReplicationSlot.spockPlugin && $0.database == state.database }
        if !kept.isEmpty {
            findings.append(
                Finding(
                    "readers", on: node, "\(list(kept.map(\.name.rawValue))) \(kept.count == 1 ? "is" : "are") read by none of \(list(leaving.members))",
                    .notMet(hint: "node_drop drops these slots, whoever reads them: drop those subscriptions where they are, or the slots if nobody needs them")))
        }
        let names = slots.filter { slot in !kept.contains(slot) }.map { "the slot \($0.name)" } + (try await session.slotlessReaders(deadline: deadline))
        if !names.isEmpty {
            findings.append(
                Finding(
                    "readers", on: node, "also read through \(list(names))",
                    lettingOthersRead
                        ? .note(hint: "left as they are: they go on with a server that is no member any more")
                        : .notMet(hint: "have them read from another node, or drop them; or say `other_readers: leave`: they go on with a server that is no member any more")))
        }
        if state.exceptionCount > 0 {
            findings.append(
                Finding(
                    "exceptions", on: node, "spock.exception_log has \(state.exceptionCount) rows",
                    .note(hint: "of what others wrote, \(node) has not all; it is no model for a repair")))
        }
        let alone = try await session.unreplicatedTables(deadline: .after(.seconds(60)))
        if !alone.isEmpty {
            findings.append(
                Finding(
                    "tables", on: node, "in no replication set: \(list(alone, atMost: 8))", .note(hint: "their rows are on no other node because of Spock; they stay on \(node)")))
        }
        return findings
    }

    /// What each member has of it.
    private func traces(_ look: LeavingNode.Look) -> [Finding] {
        survey.leaving.members.compactMap { member in
            guard let traces = look.traces[member] else { return nil }
            var things = traces.subscriptions.map { "subscription \($0.name) (\(look.states[member]?.statuses[$0.name]?.description ?? "unknown"))" }
            things += traces.slots.map { "slot \($0.name) (\($0.isActive ? "read" : "not read"), keeps \(UInt64(max(0, $0.retainedBytes ?? 0)).inBytes))" }
            things += traces.origins.map { "origin \($0) of no subscription" }
            if traces.isKnown { things.append("node entry") }
            if let rows = look.progress[member]?.rows, rows > 0 { things.append("progress") }
            return Finding("traces", on: member, things.isEmpty ? "nothing of \(survey.leaving.name)" : things.joined(separator: ", "))
        }
    }

    /// What was written there and not every member has.
    private func unread(_ look: LeavingNode.Look, _ memory: Memory) throws -> [Finding] {
        let leaving = survey.leaving
        func finding(_ problem: Problem) throws -> Finding {
            try leaving.givesUpWrites(memory) ? Finding("writes", problem.fact, .note(hint: "given up, as you say")) : Finding(notMet: "writes", problem)
        }
        if look.leaving.node == nil {
            if let problem = leaving.unevenness(of: look) { return [try finding(problem)] }
            switch look.readers.count {
            case 0: return []
            case 1: return [Finding("writes", "\(look.readers[0]) alone reads \(leaving.name)")]
            default: return [Finding("writes", "\(list(look.readers)) have applied \(leaving.name) equally far")]
            }
        }
        // The step waits for them, and says what it waits for: one that was interrupted starts again in a moment.
        if memory.began(CloseLeavingNode.self) { return [] }
        let deaf = leaving.members.filter { look.traces[$0]?.subscriptions.isEmpty == true }
        var findings = deaf.isEmpty ? [] : [try finding(leaving.unread(by: deaf))]
        for member in look.readers {
            for subscription in look.traces[member]?.subscriptions ?? [] {
                let status = look.states[member]?.statuses[subscription.name] ?? .unknown
                guard status != .replicating else { continue }
                findings.append(
                    try finding(
                        Problem(
                            "\(member) does not get what is written on \(leaving.name): subscription \(subscription.name) is \(status)",
                            hint: "repair it first: look into the logs of \(member) and of \(leaving.name); or, if nothing of it is needed, say --give-up-writes")))
            }
        }
        return findings
    }
}
