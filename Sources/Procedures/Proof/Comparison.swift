import ProcedureKit
public import Report
import Server
import Spock

/// What the comparison of the replicated tables came to.
public struct Comparison: Sendable {
    let nodes: [String]
    /// Whether rows were hashed, or only counted.
    let hashed: Bool
    private var tables: [RelationName: Alike] = [:]
    private var found: [RelationName: [String]] = [:]
    private var left: [RelationName: String] = [:]

    init(nodes: [String], hashed: Bool) { (self.nodes, self.hashed) = (nodes, hashed) }

    /// What the nodes have alike of one table.
    private struct Alike: Sendable {
        var rows: Int64 = 0
        var hash: Int128 = 0
        /// Rows that were changed while they were looked at, each time.
        var younger: Int64 = 0
        var remark: String?
        /// How it was sampled.
        var sample: String?
    }

    /// A stretch of `table` is alike on every node that it was looked at on.
    mutating func agree(_ table: RelationName, _ fingerprint: TableFingerprint, younger: Int64) {
        tables[table, default: Alike()].rows += fingerprint.rows
        tables[table, default: Alike()].hash &+= Int128(fingerprint.hash) ?? 0
        tables[table, default: Alike()].younger += younger
    }

    mutating func remark(_ table: RelationName, _ text: String) { tables[table, default: Alike()].remark = text }
    mutating func sample(_ table: RelationName, _ text: String) { tables[table, default: Alike()].sample = text }

    /// Nodes differ in `table`: a line each.
    mutating func differ(_ table: RelationName, _ lines: [String]) { found[table, default: []] += lines }

    /// `table` cannot be compared.
    mutating func leave(_ table: RelationName, because reason: String) {
        tables[table] = nil
        left[table] = reason
    }

    /// What is begun anew with `table` as it is by now.
    mutating func forget(_ table: RelationName) { (tables[table], found[table]) = (nil, nil) }

    var differences: [String] {
        found.sorted { $0.key < $1.key }.flatMap { table, lines in
            lines.prefix(20) + (lines.count > 20 ? ["\(table): and \(lines.count - 20) more stretches in which they differ"] : [])
        }
    }

    var notCompared: Int { left.count }
    var sampled: Int { tables.values.count { $0.sample != nil } }

    /// A table that is equal on all nodes.
    public struct Table: Sendable {
        public var name: String
        public var rows: Int64
        /// The sum of its rows' hashes; `nil` where they were only counted.
        public var hash: String?
        /// Rows that changed each time they were looked at, and are not among `rows`.
        public var changing: Int64
        /// In what it was compared, where that is not the whole.
        public var remark: String?
        public var isSample: Bool
    }

    var equal: [Table] {
        tables.filter { found[$0.key] == nil }.sorted { $0.key < $1.key }.map { name, table in
            let remarks = [table.sample, table.remark].compactMap(\.self)
            return Table(
                name: name.description, rows: table.rows, hash: hashed ? "\(table.hash)" : nil, changing: table.younger,
                remark: remarks.isEmpty ? nil : remarks.joined(separator: "; "), isSample: table.sample != nil)
        }
    }

    var leftOut: [(table: String, reason: String)] { left.sorted { $0.key < $1.key }.map { ($0.key.description, $0.value) } }

    /// What was compared, and what was not.
    var text: String {
        let equal = equal
        var lines = ["\(count(equal.count, "replicated table")) \(equal.count == 1 ? "is" : "are") equal on \(list(nodes)), with everybody writing:"]
        lines += equal.map { table in
            let changing = table.changing == 0 ? nil : "\(table.changing) more changed each time they were looked at"
            let remarks = [table.remark, changing].compactMap(\.self)
            return "  \(table.name)  \(table.rows) rows" + (table.hash.map { "  hash \($0)" } ?? "") + (remarks.isEmpty ? "" : "  (\(remarks.joined(separator: "; ")))")
        }
        if !left.isEmpty {
            lines.append("\(count(left.count, "table")) \(left.count == 1 ? "was" : "were") not compared:")
            lines += leftOut.map { "  \($0.table)  \($0.reason)" }
        }
        return lines.joined(separator: "\n")
    }

    private func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }
}

/// Nodes do not have the same rows.
public struct NodesDiffer: Explained {
    /// A line for each table, or stretch of it, and each node.
    public let differences: [String]
    public let hint: String?
    public var fact: String { "the nodes differ:\n  " + differences.joined(separator: "\n  ") }
}
