import EventLoop
import Foundation
import PostgresClient
import ProcedureKit
import Report
import Run
import Server
import Spock

/// What shows that nothing was lost: what every node says of the others, a row that crosses the mesh, and every table compared. Nobody is kept from writing.
struct Proof: Sendable {
    let mesh: any SpockNodes
    /// The nodes that are compared; the others are held against the first.
    let nodes: [String]
    /// What a node has just joined; `nil` where none is new.
    let joined: SpockMesh?
    /// Whether that node is a physical copy of the first: it has all of that then. The others have what is replicated to them.
    var isPhysical = true
    let order: Order

    /// How the tables are compared.
    struct Order: Sendable {
        /// Whether rows are compared, or only counted.
        var compares: Bool
        /// Bytes of a table above which only a sample of it is compared.
        var samplesAbove: Int64
        /// What decides which rows a sample has.
        var seed: Int
        /// With a table that cannot be looked at, because somebody has locked it; and with rows that do not come to agree.
        var patience: Patience
    }

    var newNode: String? { joined?.newNode }
    /// The node that has all of what the first has.
    var copied: String? { isPhysical ? newNode : nil }

    /// What the proof looks at, for a plan.
    var changes: [Change] {
        [
            Change("every node: the node table, all subscriptions replicating with their slots read, spock.exception_log not grown"),
            Change("every node: a canary row from every other one (a table pggraft.canary, removed afterwards)"),
            Change("every node: \(order.compares ? "row counts and hashes" : "row counts") of every replicated table, by ranges of its key, with everybody writing"),
        ]
    }

    /// What the proof came to.
    struct Proven: Sendable {
        /// What the nodes say of each other.
        var mesh: String
        var comparison: Comparison
        var text: String { [mesh, comparison.text].joined(separator: "\n") }
    }

    /// Makes the proof.
    /// - Parameters:
    ///   - exceptions: how many rows `spock.exception_log` had, by node, before what is proven; `nil` for as many as it has now.
    ///   - tell: takes the line that says why it does not get on.
    /// - Throws: `Problem` that says what is not as it must be, and where.
    func make(since exceptions: [String: Int]?, tell: @escaping @Sendable (String) -> Void, progress: @escaping @Sendable (String, Double?) -> Void) async throws -> Proven {
        let deadline = Deadline.after(.seconds(60))
        // Side by side with what the nodes say of each other; what stands first is told first.
        async let compared = compare(tell: tell, progress: progress)
        async let counted = mesh.exceptionCounts(nodes)
        let table = try await nodeTable(deadline: deadline, tell: tell)
        let counts = try await counted, before = exceptions ?? counts
        try check(counts, since: before)
        for silence in try await canary(token: UUID().uuidString, deadline: deadline, tell: tell) { tell(silence) }
        let comparison = try await compared
        // Once more: a change that was discarded after the canary counts too.
        try check(try await mesh.exceptionCounts(nodes), since: before)
        return Proven(mesh: table, comparison: comparison)
    }

    /// The node table as each node sees it, and all subscriptions; each must be as it should.
    /// - Parameter tell: takes the line that says what is waited for.
    func nodeTable(deadline: Deadline, tell: (String) -> Void) async throws -> String {
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
        try await mesh.waitReplicating(directions, deadline: .after(min(order.patience.limit, .seconds(60))), tell: tell)
        lines.append("\(directions.count) subscriptions replicating, every slot read")
        if let sets = try await sets { lines.append(sets) }
        return lines.joined(separator: "\n")
    }

    /// No node has discarded changes since it had `before` rows in `spock.exception_log`; by now it has `now`.
    private func check(_ now: [String: Int], since before: [String: Int]) throws {
        for node in nodes {
            let (count, then) = (now[node] ?? 0, before[node] ?? 0)
            guard count <= then else {
                throw Problem(
                    "\(node): spock.exception_log has grown from \(then) to \(count) rows: changes were discarded there",
                    hint: "read them (error_message, remote_new_tup) and apply what is missing by hand, delete them, and resume; the nodes differ until then")
            }
        }
    }

    /// Sends a row from every node to every other one, and removes the table again; also where that fails, as far as it can be.
    /// - Parameters:
    ///   - token: of this attempt; what an earlier one has left somewhere is not heard.
    ///   - tell: takes a line for each node on which the table is left.
    /// - Returns: who does not hear whom, because the subscription names no set that takes rows.
    func canary(token: String, deadline: Deadline, tell: (String) -> Void) async throws -> [String] {
        let sets = try await canarySets(deadline: deadline),
            expected = try nodes.reduce(into: [String: [NodeName]]()) { expected, node in
                let own = try mesh.name(node)
                expected[node] = try nodes.map(mesh.name).filter { !(sets[$0]?.deaf.contains(own) ?? false) }
            }
        do {
            try await everywhere { session, node in try await session.createCanary(in: sets[node]?.sets ?? [], deadline: deadline) }
            try await everywhere { session, node in try await session.singCanary(node: node, run: token, deadline: deadline) }
            try await everywhere { session, node in try await session.hearCanary(from: expected[node.rawValue] ?? [], run: token, deadline: deadline) }
            try await everywhere { session, _ in try await session.dropCanary(deadline: deadline) }
        } catch {
            // Also when it is cancelled.
            for line in await Task(operation: { await clearCanary(token: token, hearing: expected) }).value { tell(line) }
            throw error
        }
        return try nodes.map(mesh.name).flatMap { provider in
            (sets[provider]?.deaf ?? []).map { "\($0) reads no set of \(provider) that takes rows: it is not asked for the canary" }
        }
    }

    private func everywhere(_ work: @escaping @Sendable (SpockSession, NodeName) async throws -> Void) async throws {
        _ = try await onEach(nodes) { try await work(try await mesh.spock($0), try mesh.name($0)) }
    }

    /// Takes the canary's table away from every node that all rows have come to which may still come: one that came later would be discarded there.
    /// - Parameter expected: the nodes whose rows come to a node.
    /// - Returns: a line for each node on which it is left, or may be.
    private func clearCanary(token: String, hearing expected: [String: [NodeName]]) async -> [String] {
        let deadline = Deadline.after(.seconds(20)),
            looked = await attemptOnEach(nodes) { node -> Set<NodeName>? in
                let session = try await mesh.spock(node)
                return try await session.hasCanary(deadline: deadline) ? try await session.canaryHeard(run: token, deadline: deadline) : nil
            }
        // Who is silent may have sung.
        let sang = looked.reduce(into: Set<NodeName>()) { sang, look in
            guard let node = NodeName(rawValue: look.name) else { return }
            switch look.result {
            case .success(let heard?): if heard.contains(node) { sang.insert(node) }
            case .success(nil): break
            case .failure: sang.insert(node)
            }
        }
        return await attemptOnEach(nodes) { node -> String? in
            guard let heard = try looked.first(where: { $0.name == node })?.result.get() else { return nil }
            let missing = (expected[node] ?? []).filter { sang.contains($0) && !heard.contains($0) }
            guard missing.isEmpty else {
                return
                    "\(node): the table pggraft.canary stays: a row of \(list(missing.map(\.rawValue))) may still come, which would be discarded without it; the next proof takes it away"
            }
            try await mesh.spock(node).dropCanary(deadline: deadline)
            return nil
        }.compactMap { node, result in
            switch result {
            case .success(let line): line
            case .failure(let error):
                "\(node): the table pggraft.canary may be left there: \(Problem(explaining: error).fact); the next proof takes it away, or DROP SCHEMA pggraft CASCADE once every node has applied everything"
            }
        }
    }

    /// Compares every replicated table on all nodes, with everybody writing.
    ///
    /// The new node is compared with its source in whole. A peer is compared in what is replicated to it: the columns and rows of the set that the table
    /// is in. Nothing is locked longer, and no snapshot kept longer, than a range of a table is looked at.
    /// - Parameter tell: takes the line that says why it does not get on.
    /// - Throws: `Problem` that names tables, keys and nodes; `Stalled`.
    func compare(tell: @escaping @Sendable (String) -> Void, progress: @escaping @Sendable (String, Double?) -> Void) async throws -> Comparison {
        let looks = try await TableLooks(on: nodes, of: mesh, patience: order.patience, tell: tell)
        do {
            async let named = commonSets(deadline: .after(.seconds(60)))
            let (tables, elsewhere) = try await tables()
            var comparing = Comparing(self, through: looks, among: try await named, tell: tell, progress: progress)
            try await comparing.compare(tables)
            for (table, holders) in elsewhere { comparing.leave(table, because: "it is replicated by \(list(holders)), and in no set on \(nodes[0])") }
            await looks.close()
            return try judged(comparing.comparison)
        } catch {
            await looks.close()
            throw error
        }
    }

    private func judged(_ comparison: Comparison) throws -> Comparison {
        guard comparison.differences.isEmpty else {
            let blame =
                newNode.map { newNode in
                    "If \(newNode) is like \(nodes[0]), the difference is not of this run: changes were discarded (see spock.exception_log), or a node crashed, after which Spock 5.0 applies transactions again and doubles rows of tables without a primary key; put it right by hand, then resume. If \(newNode) differs from \(nodes[0]), take it out with `pggraft undo` and report this."
                }
                ?? "changes were discarded (see spock.exception_log), somebody wrote with replication off, or a node crashed, after which Spock 5.0 applies transactions again and doubles rows of tables without a primary key; put it right by hand, then verify again"
            throw NodesDiffer(differences: comparison.differences, hint: blame)
        }
        return comparison
    }

    /// The replicated tables with rows of their own, as `node` has them now.
    func tables(of node: String) async throws -> [ReplicatedTable] {
        try await mesh.spock(node).replicatedTables(deadline: .after(.seconds(60))).filter { !$0.isPartitioned && !$0.memberships.isEmpty }
    }

    /// The replicated tables with rows of their own: as the first node has them now, and those that only others have in a set, with who that is.
    func tables() async throws -> (tables: [ReplicatedTable], elsewhere: [(table: RelationName, holders: [String])]) {
        let all = try await onEach(nodes) { try await self.tables(of: $0) }
        let first = all[nodes[0]] ?? [], known = Set(first.map(\.relation))
        var holders: [RelationName: [String]] = [:]
        for node in nodes { for table in all[node] ?? [] where !known.contains(table.relation) { holders[table.relation, default: []].append(node) } }
        return (first, holders.map { ($0.key, $0.value) }.sorted { "\($0.table)" < "\($1.table)" })
    }

    /// A moment that every node's clock has passed and before which everything is applied on every node; `nil` where a node does not keep when rows were committed.
    /// - Parameter tell: takes the line that says which node does not get on.
    func moment(_ tell: @escaping @Sendable (String) -> Void) async throws -> ServerMoment? {
        let moments = try await onEach(nodes) { try await mesh.spock($0).commitMoment(deadline: .after(.seconds(60))) }
        _ = try await mesh.drain(nodes, with: order.patience, tell: tell)
        return moments.values.allSatisfy(\.isTracked) ? moments.values.map(\.moment).min() : nil
    }
}

/// In what a table is compared: with the new node in whole, with a peer in what is replicated to it.
struct View: Sendable {
    let table: ReplicatedTable
    /// The whole, and the part that the peers have, where that is another; the first one's rows are told as the table's.
    let questions: [TableLooks.Question]
    let remark: String?

    /// - Parameter common: the sets that every subscription reads; what only some read, the peers have each in another way.
    init(of table: ReplicatedTable, among common: Set<ReplicationSetName>, _ proof: Proof) {
        let shared = table.memberships.filter { common.contains($0.set) }
        let membership = shared.first { $0.columns == nil && $0.rowFilter == nil } ?? shared.first
        let isPart = membership == nil || membership?.columns != nil || membership?.rowFilter != nil
        let (source, copied, compares) = (proof.nodes[0], proof.copied, proof.order.compares)
        let peers = proof.nodes.dropFirst().filter { $0 != copied }
        var questions: [TableLooks.Question] = []
        let whole = isPart ? [copied].compactMap(\.self) : Array(proof.nodes.dropFirst())
        if !whole.isEmpty { questions.append(.init(part: TablePart(of: table, columns: compares ? table.columns : []), nodes: [source] + whole)) }
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
