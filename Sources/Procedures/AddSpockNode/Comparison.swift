import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Server
import Spock

/// What the comparison of the replicated tables came to.
struct Comparison: Sendable {
    let nodes: [String]
    private(set) var differences: [String] = []
    private(set) var compared: [String] = []
    /// Tables that were changed on some node since the drained point, with what is known of them all the same.
    private(set) var notCompared: [String] = []

    init(nodes: [String]) { self.nodes = nodes }

    /// What each node showed of a table, or of a part of it; the first one that can still be seen is what the others must be like.
    mutating func add(_ table: RelationName, _ whole: [TableLooks.Seen], _ parts: [TableLooks.Seen], remark: String?, hashed: Bool) {
        let found = differs(table, whole) + differs(table, parts)
        differences += found
        let changed = nodes.filter { node in (whole + parts).contains { $0.node == node && $0.look == .changedSince } }
        guard changed.isEmpty else {
            // A part says nothing of the node that was looked at as a whole.
            let equal = Set([whole, parts].map { $0.filter { $0.look != .changedSince } }.filter { $0.count > 1 }.joined().map(\.node))
            notCompared.append(
                "  \(table)  not compared on \(list(changed)): changed since the drained point (rewritten, truncated, dropped, or other columns)"
                    + (!equal.isEmpty && found.isEmpty ? "; equal on \(list(nodes.filter(equal.contains)))" : ""))
            return
        }
        guard case .seen(let original)? = whole.first?.look else { return }
        compared.append("  \(table)  \(original.rows) rows" + (hashed ? "  hash \(original.hash)" : "") + (remark.map { "  (\($0))" } ?? ""))
    }

    private func differs(_ table: RelationName, _ seen: [TableLooks.Seen]) -> [String] {
        let shown = seen.compactMap { entry -> (node: String, fingerprint: TableFingerprint)? in
            guard case .seen(let fingerprint) = entry.look else { return nil }
            return (entry.node, fingerprint)
        }
        guard let first = shown.first else { return [] }
        return shown.dropFirst().filter { $0.fingerprint != first.fingerprint }.map {
            "\(table): \($0.node) has \($0.fingerprint), \(first.node) has \(first.fingerprint)"
        }
    }

    /// What was compared, and what was not.
    var text: String {
        var lines = ["\(count(compared.count, "replicated table")) \(compared.count == 1 ? "is" : "are") equal on \(list(nodes)) at one drained point:"] + compared
        if !notCompared.isEmpty { lines += ["\(count(notCompared.count, "table")) \(notCompared.count == 1 ? "was" : "were") not compared:"] + notCompared }
        return lines.joined(separator: "\n")
    }

    private func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }
}

/// Looks at tables as they were at the drained point, on every node at once: through sessions of their own, which hold no lock between two looks.
struct TableLooks: Sendable {
    /// What one node showed.
    struct Seen: Sendable, Hashable {
        var node: String
        var look: TableLook
    }

    private let snapshots: [String: HeldSnapshot]
    private let sessions: [String: SpockSession]
    private let mesh: SpockMesh
    private let patience: Patience
    private let tell: @Sendable (String) -> Void

    /// - Parameter tell: takes the line that says that a look waits, and for whom.
    init(_ snapshots: [String: HeldSnapshot], of mesh: SpockMesh, patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws {
        (self.snapshots, self.mesh, self.patience, self.tell) = (snapshots, mesh, patience, tell)
        sessions = try await onEach(snapshots.keys.sorted()) { SpockSession(try await mesh.access.separateServer($0)) }
    }

    func close() async {
        for session in sessions.values { await session.connection.close() }
    }

    private func looker(_ node: String) throws -> (SpockSession, HeldSnapshot) {
        guard let session = sessions[node], let snapshot = snapshots[node] else { throw Problem("there is no snapshot of \(node)") }
        return (session, snapshot)
    }

    /// The replicated tables with rows of their own that `node` had then.
    func tables(of node: String, deadline: Deadline) async throws -> [ReplicatedTable] {
        let (session, snapshot) = try looker(node)
        return try await session.server.seeing(snapshot, deadline: deadline) { try await session.replicatedTables(deadline: deadline) }
            .filter { !$0.isPartitioned && $0.relation.schema != "pggraft" }
    }

    /// What is looked at on which nodes.
    struct Question: Sendable {
        var part: TablePart
        var nodes: [String]
    }

    /// The tables that `parts` are of, each once.
    static func named(_ parts: [TablePart]) -> String {
        list(parts.map(\.table.relation.description).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, atMost: 3)
    }

    /// What the nodes of each of `questions` show, in their order: one round trip, while nobody keeps a table. Large tables take as long as they take; a
    /// look that waits for a lock does not move.
    /// - Throws: `Stalled`, what reaching the node throws.
    func look(at questions: [Question]) async throws -> [[Seen]] {
        let nodes = mesh.nodes.filter { node in questions.contains { $0.nodes.contains(node) } }
        let looks = try await onEach(nodes) { node -> [TableLook] in
            let (session, snapshot) = try looker(node), pid = await session.server.backendPID, parts = questions.filter { $0.nodes.contains(node) }.map(\.part)
            return try await moving(
                "a look at \(Self.named(parts)) on \(node)", with: patience, every: .seconds(2), tell: tell,
                by: { () -> (String, ContinuousClock.Instant?) in
                    let blockers = try await mesh.access.server(node).blockers(of: pid, deadline: .after(.seconds(20)))
                    return blockers.isEmpty ? ("it reads", .now) : ("\(list(blockers.map(\.description))) has it locked", nil)
                },
                { try await session.fingerprints(of: parts, at: snapshot, deadline: $0) })
        }
        var left = looks.mapValues { ArraySlice($0) }
        return questions.map { question in question.nodes.compactMap { node in left[node]?.popFirst().map { Seen(node: node, look: $0) } } }
    }
}
