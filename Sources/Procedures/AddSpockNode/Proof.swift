import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Run
import Spock

/// What shows that nothing was lost: what every node says of the others, a row that crosses the mesh, and every table compared.
struct Proof: Sendable {
    let mesh: SpockMesh
    /// Whether rows are compared, or only counted.
    let compares: Bool

    /// The node table as each node sees it, and all subscriptions; each must be as it should.
    func nodeTable(deadline: Deadline) async throws -> String {
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
        try await mesh.waitReplicating(directions, deadline: deadline)
        lines.append("\(directions.count) subscriptions replicating, every slot read")
        lines.append(try await replicationSets(deadline: deadline))
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
    /// rows of the set that the table is in.
    /// - Throws: `Problem` that names tables, nodes and counts.
    func compare(_ snapshots: [String: SpockSession], progress: (String, Double?) -> Void) async throws -> String {
        let (source, newNode, peers) = (mesh.source, mesh.newNode, mesh.peers)
        guard let sourceSnapshot = snapshots[source] else { throw Problem("there is no snapshot of \(source)") }
        let deadline = Deadline.after(.seconds(24 * 3600))
        let tables = try await sourceSnapshot.replicatedTables(deadline: deadline).filter { !$0.isPartitioned && $0.relation.schema != "pggraft" }
        let common = try await commonSets(deadline: deadline)
        var lines: [String] = [], differences: [String] = []
        for (index, table) in tables.enumerated() {
            progress("comparing \(table.relation)", Double(index) / Double(tables.count))
            // What not every subscription reads, the peers have each in another way.
            let shared = table.memberships.filter { common.contains($0.set) }
            let membership = shared.first { $0.columns == nil && $0.rowFilter == nil } ?? shared.first
            let columns = membership?.columns?.sorted() ?? table.columns, filter = membership?.rowFilter
            let isPart = membership == nil || membership?.columns != nil || filter != nil
            @Sendable func look(_ nodes: [String], _ columns: [String], where filter: String? = nil) async throws -> [String: TableFingerprint] {
                try await onEach(nodes) { node in
                    guard let session = snapshots[node] else { throw UnknownNode(name: node) }
                    return try await session.fingerprint(of: table.relation, columns: compares ? columns : [], rowFilter: filter, deadline: deadline)
                }
            }
            let whole = try await look(isPart ? [source, newNode] : mesh.nodes, table.columns)
            let parts = membership == nil ? [:] : isPart ? try await look(mesh.members, columns, where: filter) : whole
            guard let original = whole[source], let copy = whole[newNode] else { throw UnknownNode(name: source) }
            if copy != original { differences.append("\(table.relation): \(newNode) has \(copy), \(source) has \(original)") }
            let expected = parts[source] ?? original
            for peer in peers {
                guard let found = parts[peer], found != expected else { continue }
                differences.append("\(table.relation): \(peer) has \(found), \(source) has \(expected)")
            }
            lines.append(
                "  \(table.relation)  \(original.rows) rows" + (compares ? "  hash \(original.hash)" : "")
                    + (membership == nil
                        ? "  (\(list(peers)) are left out: not every subscription reads it)" : isPart ? "  (\(list(peers)): the columns and rows replicated to them)" : ""))
        }
        guard differences.isEmpty else {
            throw Problem(
                "the nodes differ at the drained point:\n  " + differences.joined(separator: "\n  "),
                hint:
                    "If \(newNode) is like \(source), the difference is not of this run: changes were discarded (see spock.exception_log), or a node crashed, after which Spock 5.0 applies transactions again and doubles rows of tables without a primary key; put it right by hand, then resume. If \(newNode) differs from \(source), take it out with `pggraft undo` and report this."
            )
        }
        return "\(tables.count) replicated tables are equal on \(list(mesh.nodes)) at one drained point:\n" + lines.joined(separator: "\n")
    }
}
