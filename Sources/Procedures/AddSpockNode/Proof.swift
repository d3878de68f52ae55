import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// What shows that nothing was lost: what every node says of the others, a row that crosses the mesh, and every table compared.
struct Proof: Sendable {
    let mesh: SpockMesh
    /// Whether rows are compared, or only counted.
    let compares: Bool
    /// With a table that cannot be looked at, because somebody has locked it.
    let patience: Patience

    /// The node table as each node sees it, and all subscriptions; each must be as it should.
    /// - Parameter tell: takes the line that says what is waited for.
    func nodeTable(deadline: Deadline, tell: (String) -> Void) async throws -> String {
        let nodes = mesh.nodes
        let states = try await onEach(nodes) { try await mesh.spock($0).state(deadline: deadline) }
        var lines: [String] = []
        var directions: [SpockMesh.Direction] = []
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
                SpockMesh.Direction(provider: $0.provider.rawValue, subscriber: node, subscription: $0.name, slot: $0.slot)
            }
            lines.append(
                "\(node)  id \(local.id)  \(local.dsn.map(\.description) ?? "")  reads " + subscriptions.map(\.provider.rawValue).sorted().joined(separator: ", "))
        }
        guard directions.count == nodes.count * (nodes.count - 1) else {
            throw Problem(
                "there are \(directions.count) subscriptions among \(list(nodes)), not \(nodes.count * (nodes.count - 1))",
                hint: "look at spock.sub_show_status() on every node")
        }
        async let sets = replicationSets(deadline: deadline)
        try await mesh.waitReplicating(directions, deadline: deadline, tell: tell)
        lines.append("\(directions.count) subscriptions replicating, every slot read")
        lines.append(try await sets)
        return lines.joined(separator: "\n")
    }

    /// No node has discarded changes since the window opened.
    func checkExceptions(_ memory: Memory) async throws {
        let before = try memory.recall(MakeReadOnly.exceptionsBefore) ?? [:], now = try await mesh.exceptionCounts(mesh.nodes)
        for node in mesh.nodes {
            let (count, then) = (now[node] ?? 0, before[node] ?? 0)
            guard count <= then else {
                throw Problem(
                    "\(node): spock.exception_log has grown from \(then) to \(count) rows: changes were discarded there",
                    hint: "read them (error_message, remote_new_tup) and apply what is missing by hand, delete them, and resume; the nodes differ until then")
            }
        }
    }

    /// Sends a row from every node to every other one, and removes the table again.
    /// - Parameter token: of this attempt; what an earlier one has left somewhere is not heard.
    /// - Returns: who does not hear whom, because the subscription names no set that takes rows.
    func canary(token: String, deadline: Deadline) async throws -> [String] {
        func everywhere(_ work: @escaping @Sendable (SpockSession, NodeName) async throws -> Void) async throws {
            _ = try await onEach(mesh.nodes) { try await work(try await mesh.spock($0), try mesh.name($0)) }
        }
        let names = try mesh.nodes.map(mesh.name), sets = try await canarySets(deadline: deadline)
        try await everywhere { session, node in try await session.createCanary(in: sets[node]?.sets ?? [], deadline: deadline) }
        try await everywhere { session, node in try await session.singCanary(node: node, run: token, deadline: deadline) }
        try await everywhere { session, node in
            try await session.hearCanary(from: names.filter { !(sets[$0]?.deaf.contains(node) ?? false) }, run: token, deadline: deadline)
        }
        try await everywhere { session, _ in try await session.dropCanary(deadline: deadline) }
        return names.flatMap { provider in (sets[provider]?.deaf ?? []).map { "\($0) reads no set of \(provider) that takes rows: it is not asked for the canary" } }
    }

    /// Compares every replicated table on all nodes at the drained point.
    ///
    /// The new node is compared with its source in whole. A peer is compared in what is replicated to it: the columns and
    /// rows of the set that the table is in. Each table is locked only while it is looked at; one that was changed since the
    /// point cannot be compared any more, and is counted.
    /// - Parameter tell: takes the line that says why it does not get on.
    /// - Throws: `Problem` that names tables, nodes and counts; `Stalled`.
    func compare(
        _ snapshots: [String: HeldSnapshot], tell: @escaping @Sendable (String) -> Void, progress: (String, Double?) -> Void
    ) async throws -> Comparison {
        let looks = try await TableLooks(snapshots, of: mesh, patience: patience, tell: tell)
        do {
            let comparison = try await compare(through: looks, progress: progress)
            await looks.close()
            return comparison
        } catch {
            await looks.close()
            throw error
        }
    }

    private func compare(through looks: TableLooks, progress: (String, Double?) -> Void) async throws -> Comparison {
        let (source, newNode, peers) = (mesh.source, mesh.newNode, mesh.peers)
        let deadline = Deadline.after(.seconds(60))
        async let named = commonSets(deadline: deadline)
        let tables = try await looks.tables(of: source, deadline: deadline), common = try await named
        var comparison = Comparison(nodes: mesh.nodes), done = 0
        for batch in ReplicatedTable.batches(tables) {
            progress("comparing \(list(batch.map(\.relation.description), atMost: 3))", Double(done) / Double(tables.count))
            let views = batch.map { View(of: $0, among: common, source: source, newNode: newNode, peers: peers, compares: compares) }
            var seen = try await looks.look(at: views.flatMap(\.questions))[...]
            for view in views {
                let shown = seen.prefix(view.questions.count)
                seen = seen.dropFirst(shown.count)
                comparison.add(view.table.relation, shown.first ?? [], shown.dropFirst().first ?? [], remark: view.remark, hashed: compares)
            }
            done += batch.count
        }
        guard comparison.differences.isEmpty else {
            throw Problem(
                "the nodes differ at the drained point:\n  " + comparison.differences.joined(separator: "\n  "),
                hint:
                    "If \(newNode) is like \(source), the difference is not of this run: changes were discarded (see spock.exception_log), or a node crashed, after which Spock 5.0 applies transactions again and doubles rows of tables without a primary key; put it right by hand, then resume. If \(newNode) differs from \(source), take it out with `pggraft undo` and report this."
            )
        }
        return comparison
    }
}

extension Proof {
    /// How a table is compared: with the new node in whole, with a peer in what is replicated to it.
    private struct View {
        let table: ReplicatedTable
        /// The whole, and the part that the peers have, where that is another.
        let questions: [TableLooks.Question]
        let remark: String?

        /// - Parameter common: the sets that every subscription reads; what only some read, the peers have each in another way.
        init(of table: ReplicatedTable, among common: Set<ReplicationSetName>, source: String, newNode: String, peers: [String], compares: Bool) {
            let shared = table.memberships.filter { common.contains($0.set) }
            let membership = shared.first { $0.columns == nil && $0.rowFilter == nil } ?? shared.first
            let isPart = membership == nil || membership?.columns != nil || membership?.rowFilter != nil
            let whole = TablePart(of: table, columns: compares ? table.columns : [])
            var questions = [TableLooks.Question(part: whole, nodes: isPart ? [source, newNode] : [source, newNode] + peers)]
            if isPart, let membership {
                let columns = compares ? membership.columns?.sorted() ?? table.columns : []
                questions.append(.init(part: TablePart(of: table, columns: columns, rowFilter: membership.rowFilter), nodes: [source] + peers))
            }
            (self.table, self.questions) = (table, questions)
            remark =
                membership == nil
                ? "\(list(peers)) are left out: not every subscription reads it" : isPart ? "\(list(peers)): the columns and rows replicated to them" : nil
        }
    }
}
