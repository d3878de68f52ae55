import EventLoop
import PostgresClient
import ProcedureKit
import Report
import Server
import Spock

/// Looks at parts of tables on several nodes at once, through sessions of their own, which hold no lock and no snapshot between two looks.
struct TableLooks: Sendable {
    /// What one node showed.
    struct Seen: Sendable, Hashable {
        var node: String
        var look: TableLook
    }

    private let sessions: [String: SpockSession]
    private let mesh: any SpockNodes
    private let patience: Patience
    private let tell: @Sendable (String) -> Void

    /// - Parameter tell: takes the line that says that a look waits, and for whom.
    init(on nodes: [String], of mesh: any SpockNodes, patience: Patience, tell: @escaping @Sendable (String) -> Void) async throws {
        (self.mesh, self.patience, self.tell) = (mesh, patience, tell)
        sessions = try await onEach(nodes) { SpockSession(try await mesh.access.separateServer($0)) }
    }

    func close() async {
        for session in sessions.values { await session.connection.close() }
    }

    /// What is looked at on which nodes; the first is what the others are held against.
    struct Question: Sendable, Hashable {
        var part: TablePart
        var nodes: [String]
    }

    /// The tables that `parts` are of, each once.
    static func named(_ parts: [TablePart]) -> String {
        list(parts.map(\.table.relation.description).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }, atMost: 3)
    }

    /// What the nodes of each of `questions` show, in their order: one round trip. Large ones take as long as they take; a look that waits for a lock
    /// does not move.
    /// - Throws: `Stalled`, what reaching the node throws.
    func look(at questions: [Question], before moment: ServerMoment?) async throws -> [[Seen]] {
        let nodes = Set(questions.flatMap(\.nodes)).sorted()
        let looks = try await onEach(nodes) { node -> [TableLook] in
            let parts = questions.filter { $0.nodes.contains(node) }.map(\.part)
            return try await onTable(parts, of: node) { try await $0.fingerprints(of: parts, before: moment, deadline: $1) }
        }
        var left = looks.mapValues { ArraySlice($0) }
        return questions.map { question in question.nodes.compactMap { node in left[node]?.popFirst().map { Seen(node: node, look: $0) } } }
    }

    /// The keys that divide `part` on `node` into stretches of `rows` rows, at most `limit` of them; none where it has not so many.
    func boundaries(of part: TablePart, on node: String, every rows: Int, atMost limit: Int) async throws -> [[String]] {
        try await onTable([part], of: node) { session, deadline in
            var keys: [[String]] = [], rest = part
            while keys.count < limit, let key = try await session.boundary(of: rest, after: rows, deadline: deadline) {
                keys.append(key)
                rest.range.after = key
            }
            return keys
        }
    }

    /// The rows of `part` on `node`, by their keys, with their hashes.
    func rows(of part: TablePart, on node: String, before moment: ServerMoment?, atMost limit: Int) async throws -> [(key: [String], hash: String)] {
        try await onTable([part], of: node) { try await $0.rows(of: part, before: moment, atMost: limit, deadline: $1) }
    }

    /// Stretches of `rows` rows from all over a table, `count` of them at most.
    func sample(of part: TablePart, on node: String, _ count: Int, of rows: Int, seed: Int) async throws -> [KeyRange] {
        try await onTable([part], of: node) { session, deadline in
            let keys = try await session.sample(of: part, rows: count, seed: seed, deadline: deadline)
            let parts = keys.map { key in TablePart(of: part.table, columns: part.columns, rowFilter: part.rowFilter, range: KeyRange(after: key)) }
            let ends = try await session.boundaries(of: parts, after: rows, deadline: deadline)
            return zip(keys, ends).map { KeyRange(after: $0, through: $1) }
        }
    }

    private func onTable<Value: Sendable>(
        _ parts: [TablePart], of node: String, _ work: @escaping @Sendable (SpockSession, Deadline) async throws -> Value
    ) async throws -> Value {
        guard let session = sessions[node] else { throw Problem("\(node) is not looked at") }
        let pid = await session.server.backendPID
        return try await moving(
            "a look at \(Self.named(parts)) on \(node)", with: patience, every: .seconds(2), tell: tell,
            by: { () -> (String, ContinuousClock.Instant?) in
                let blockers = try await mesh.access.server(node).blockers(of: pid, deadline: .after(.seconds(20)))
                return blockers.isEmpty ? ("it reads", .now) : ("\(list(blockers.map(\.description))) has it locked", nil)
            },
            { try await work(session, $0) })
    }
}
