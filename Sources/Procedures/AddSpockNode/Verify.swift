import EventLoop
import Foundation
import Playbook
import PostgresClient
import ProcedureKit
import Report
import Run
import Spock

/// Step 16: list all nodes from every node, and prove that nothing was lost.
struct Verify: Step {
    static let name = "verify"
    /// What the proof has said.
    static let proof = Fact<String>("proof")

    let seed: Seed
    var title: String { "List all nodes from \(list(seed.members + [seed.newNode])), and prove that nothing was lost" }

    func inspect(_ memory: Memory) async throws -> Inspection {
        if let proof: String = try memory.recall(Self.proof) { return .done(proof) }
        return .needed([
            Change("every node: the node table, all subscriptions replicating with their slots read, spock.exception_log not grown"),
            Change("every node: a canary row from every other one (a table pggraft.canary, removed afterwards)"),
            Change("every node: " + (seed.playbook.proof == .hashes ? "row counts and hashes" : "row counts") + " of every replicated table at one drained point"),
        ])
    }

    func perform(_ run: StepRun) async throws -> String {
        let nodes = seed.members + [seed.newNode]
        let deadline = Deadline.after(.seconds(60))
        // Killed while it made a drained point of its own, an earlier attempt has left them closed.
        if await seed.window == nil, try await !seed.stillClosed(run.memory).isEmpty {
            let problems = await seed.openDetached(run.memory)
            guard problems.isEmpty else { throw NotOpened(problems) }
        }
        let table = try await seed.nodeTable(nodes, deadline: deadline)
        try await seed.checkExceptions(run.memory, nodes, deadline: deadline)
        for node in nodes { try run.creating(Created("table", on: node, "pggraft.canary")) }
        try await seed.canary(nodes, token: UUID().uuidString, deadline: deadline)
        if await seed.snapshots.isEmpty {
            run.note("the drained point of the handover is gone: all nodes are read-only for a moment to make another")
            run.note("they were read-only for \(try await seed.makeDrainedPoint(run))")
        }
        let proof = try await seed.prove(nodes) { run.progress($0, fraction: $1) }
        await seed.dropSnapshots()
        // Once more: a change that was discarded after the canary counts too.
        try await seed.checkExceptions(run.memory, nodes, deadline: deadline)
        let text = table + "\n" + proof
        try run.remember(Self.proof, text)
        return text
    }

    func undo(_ run: StepRun) async throws -> UndoOutcome {
        // That of the new node goes with its data.
        let canaries = try run.memory.created(by: name).filter { $0.place != seed.newNode }
        // Killed while it made a drained point of its own, the run has left the nodes closed, and nothing can be dropped there.
        let problems = await seed.openAll(run.memory)
        let outcome = await takeBack(canaries) { [seed] thing in
            let session = try await seed.spock(thing.place), deadline = Deadline.after(.seconds(20))
            guard try await session.hasCanary(deadline: deadline) else { return .absent }
            try await session.dropCanary(deadline: deadline)
            return .gone("\(thing) is dropped")
        }
        return problems.isEmpty ? outcome : UndoOutcome.left(problems).and(outcome)
    }
}

extension Seed {
    /// The node table as each node sees it, and all subscriptions; each must be as it should.
    func nodeTable(_ nodes: [String], deadline: Deadline) async throws -> String {
        let states = try await onEach(nodes) { try await self.spock($0).state(deadline: deadline) }
        var lines: [String] = []
        var directions: [NewDirection] = []
        for node in nodes {
            guard let state = states[node], let local = state.local, local.name.rawValue == node else {
                throw Problem("\(node) is no Spock node called \(node)", hint: "look at spock.local_node on \(node)")
            }
            let known = Set(state.nodes.map(\.name.rawValue))
            guard known.isSuperset(of: nodes) else {
                throw Problem("\(node) does not know \(list(nodes.filter { !known.contains($0) }))", hint: "look at spock.node on \(node)")
            }
            let subscriptions = state.subscriptions.filter { $0.subscriber.rawValue == node && nodes.contains($0.provider.rawValue) }
            directions += subscriptions.map {
                NewDirection(provider: $0.provider.rawValue, subscriber: node, subscription: $0.name, slot: $0.slot)
            }
            lines.append("\(node)  id \(local.id)  \(local.dsn.map(\.description) ?? "")  reads " + subscriptions.map(\.provider.rawValue).sorted().joined(separator: ", "))
        }
        guard directions.count == nodes.count * (nodes.count - 1) else {
            throw Problem(
                "there are \(directions.count) subscriptions among \(list(nodes)), not \(nodes.count * (nodes.count - 1))", hint: "look at spock.sub_show_status() on every node")
        }
        try await waitReplicating(directions, deadline: deadline)
        lines.append("\(directions.count) subscriptions replicating, every slot read")
        return lines.joined(separator: "\n")
    }

    func checkExceptions(_ memory: Memory, _ nodes: [String], deadline: Deadline) async throws {
        let before: [String: Int] = try memory.recall(ExceptionsBefore.fact) ?? [:]
        for node in nodes {
            let now = try await spock(node).exceptionCount(deadline: deadline)
            guard now <= before[node] ?? 0 else {
                throw Problem(
                    "\(node): spock.exception_log has grown from \(before[node] ?? 0) to \(now) rows: changes were discarded there",
                    hint: "read them (error_message, remote_new_tup) and apply what is missing by hand, delete them, and resume; the nodes differ until then")
            }
        }
    }

    /// Sends a row from every node to every other one, and removes the table again.
    /// - Parameter token: of this attempt; what an earlier one has left somewhere is not heard.
    func canary(_ nodes: [String], token: String, deadline: Deadline) async throws {
        func everywhere(_ work: @escaping @Sendable (SpockSession, NodeName) async throws -> Void) async throws {
            _ = try await onEach(nodes) { try await work(try await self.spock($0), try self.name($0)) }
        }
        let names = try nodes.map(name)
        guard let set = try await model().settings.replicationSets.first(where: { $0.rawValue == "default" }) else {
            throw Problem("the subscriptions do not name the set default", hint: "the canary row needs a set that every subscription names")
        }
        try await everywhere { session, _ in try await session.createCanary(in: set, deadline: deadline) }
        try await everywhere { session, node in try await session.singCanary(node: node, run: token, deadline: deadline) }
        try await everywhere { session, _ in try await session.hearCanary(from: names, run: token, deadline: deadline) }
        try await everywhere { session, _ in try await session.dropCanary(deadline: deadline) }
    }

    /// Compares every replicated table on all nodes at the drained point.
    ///
    /// The new node is compared with its source in whole. A peer is compared in what is replicated to it: the columns and
    /// rows of the set that the table is in.
    /// - Throws: ``Problem`` that names tables, nodes and counts.
    func prove(_ nodes: [String], progress: (String, Double?) -> Void) async throws -> String {
        guard let sourceSnapshot = snapshots[source] else { throw Problem("there is no snapshot of \(source)") }
        let deadline = Deadline.after(.seconds(24 * 3600))
        let tables = try await sourceSnapshot.replicatedTables(deadline: deadline).filter { !$0.isPartitioned && $0.relation.schema != "pggraft" }
        let hashes = playbook.proof == .hashes
        var lines: [String] = [], differences: [String] = []
        for (index, table) in tables.enumerated() {
            progress("comparing \(table.relation)", Double(index) / Double(tables.count))
            let snapshots = self.snapshots
            let whole = try await onEach([source, newNode]) { node in
                guard let session = snapshots[node] else { throw UnknownNode(name: node) }
                return try await session.fingerprint(of: table.relation, columns: hashes ? table.columns : [], deadline: deadline)
            }
            let membership = table.memberships.first { $0.columns == nil && $0.rowFilter == nil } ?? table.memberships.first
            let columns = membership?.columns?.sorted() ?? table.columns, filter = membership?.rowFilter
            let isPart = membership?.columns != nil || filter != nil
            let parts = try await onEach(isPart ? members : peers) { node in
                guard let session = snapshots[node] else { throw UnknownNode(name: node) }
                return try await session.fingerprint(of: table.relation, columns: hashes ? columns : [], rowFilter: filter, deadline: deadline)
            }
            guard let original = whole[source], let copy = whole[newNode] else { throw UnknownNode(name: source) }
            if copy != original { differences.append("\(table.relation): \(newNode) has \(copy), \(source) has \(original)") }
            let expected = isPart ? parts[source] ?? original : original
            for peer in peers {
                guard let found = parts[peer], found != expected else { continue }
                differences.append("\(table.relation): \(peer) has \(found), \(source) has \(expected)")
            }
            lines.append(
                "  \(table.relation)  \(original.rows) rows" + (hashes ? "  hash \(original.hash)" : "")
                    + (isPart ? "  (\(list(peers)): the columns and rows replicated to them)" : ""))
        }
        guard differences.isEmpty else {
            throw Problem(
                "the nodes differ at the drained point:\n  " + differences.joined(separator: "\n  "),
                hint:
                    "If \(newNode) is like \(source), the difference is not of this run: changes were discarded (see spock.exception_log), or a node crashed, after which Spock 5.0 applies transactions again and doubles rows of tables without a primary key; put it right by hand, then resume. If \(newNode) differs from \(source), take it out with `pggraft undo` and report this."
            )
        }
        return "\(tables.count) replicated tables are equal on \(list(nodes)) at one drained point:\n" + lines.joined(separator: "\n")
    }
}
