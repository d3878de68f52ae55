import EventLoop
import ProcedureKit
import Report
import Server
import Spock

/// Compares every replicated table on all nodes while everybody writes.
///
/// Rows are compared by ranges of their primary key, those that were committed before a moment which every node's clock has passed and whose changes
/// every node has applied. What was changed later is left out alike on every node, once it has arrived. A range in which nodes differ is looked at again,
/// before a later moment, and divided where it is large: until they agree, or it stands still and they do not.
struct Comparing {
    private let proof: Proof
    private let looks: TableLooks
    private let common: Set<ReplicationSetName>
    private let tell: @Sendable (String) -> Void
    private let progress: @Sendable (String, Double?) -> Void
    private(set) var comparison: Comparison
    private var moment: ServerMoment?
    /// What has to be looked at again.
    private var open: [Stretch] = []

    init(
        _ proof: Proof, through looks: TableLooks, among common: Set<ReplicationSetName>, tell: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (String, Double?) -> Void
    ) {
        (self.proof, self.looks, self.common, self.tell, self.progress) = (proof, looks, common, tell, progress)
        comparison = Comparison(nodes: proof.nodes, hashed: proof.order.compares)
    }

    private static let bytesOfRange: Int64 = 8_000_000, rowsToName = 200, questionsAtOnce = 100, openToDivide = 64

    /// A part of a table that is looked at by itself.
    private struct Stretch: Sendable {
        var question: TableLooks.Question
        /// Whether its rows are told as the table's.
        var tells: Bool
        var looks = 0
        var seen: [TableLooks.Seen] = []
        /// At the look before.
        var seenBefore: [TableLooks.Seen] = []

        var table: RelationName { question.part.table.relation }
        var prints: [TableFingerprint?] { Self.prints(seen) }

        static func prints(_ seen: [TableLooks.Seen]) -> [TableFingerprint?] {
            seen.map { if case .seen(let print, _) = $0.look { print } else { nil } }
        }

        var agrees: Bool { prints.allSatisfy { $0 != nil && $0 == prints.first } }
        var rows: Int64 { prints.compactMap { $0?.rows }.max() ?? 0 }
        var younger: Int64 { seen.map { if case .seen(_, let younger) = $0.look { younger } else { 0 } }.max() ?? 0 }
        /// The same of another range.
        func of(_ range: KeyRange) -> Stretch {
            var stretch = Stretch(question: question, tells: tells)
            stretch.question.part.range = range
            return stretch
        }

        /// By what each of the others differs from the first one; `nil` where one could not be looked at.
        static func offsets(_ seen: [TableLooks.Seen]) -> [TableFingerprint.Offset]? {
            let prints = prints(seen).compactMap(\.self)
            guard prints.count == seen.count, let first = prints.first else { return nil }
            let offsets = prints.dropFirst().compactMap { $0.offset(from: first) }
            return offsets.count == prints.count - 1 ? offsets : nil
        }

        /// Looked at three times, before moments one after the other, and nothing has changed since the last, or nothing but what all have got alike: a table
        /// that somebody always writes into never stands still by itself.
        var standsStill: Bool {
            guard looks >= 3 else { return false }
            return Self.prints(seenBefore) == prints || Self.offsets(seen).map { $0 == Self.offsets(seenBefore) } == true
        }
    }

    /// Names a table that is not compared.
    mutating func leave(_ table: RelationName, because reason: String) { comparison.leave(table, because: reason) }

    // MARK: Every table once

    mutating func compare(_ tables: [ReplicatedTable]) async throws {
        moment = try await proof.moment(tell)
        if moment == nil { tell("not every node keeps when rows were committed (track_commit_timestamp): ranges are looked at until they agree as a whole") }
        var done = 0
        for batch in ReplicatedTable.batches(tables) {
            progress("comparing \(list(batch.map(\.relation.description), atMost: 3))", Double(done) / Double(tables.count))
            if batch.count == 1, let table = batch.first, table.bytes > Self.bytesOfRange, !table.key.isEmpty {
                if table.bytes > proof.order.samplesAbove { try await sample(table) } else { try await walk(table) }
            } else {
                try await look(at: batch.flatMap { begin($0) })
            }
            done += batch.count
        }
        try await lookAgain()
    }

    /// What `table` is compared in, as a whole.
    private mutating func begin(_ table: ReplicatedTable) -> [Stretch] {
        let view = View(of: table, among: common, proof)
        guard !view.questions.isEmpty else {
            comparison.leave(table.relation, because: "not every subscription reads it")
            return []
        }
        if let remark = view.remark { comparison.remark(table.relation, remark) }
        return view.questions.enumerated().map { Stretch(question: $1, tells: $0 == 0) }
    }

    /// Looks at a large table range by range, each about as large as takes a second.
    private mutating func walk(_ table: ReplicatedTable) async throws {
        let stretches = begin(table)
        guard let first = stretches.first, let reference = first.question.nodes.first else { return }
        var rows = 10_000, seen: Int64 = 0, range = KeyRange.whole
        while true {
            let rest = TablePart(of: table, columns: [], range: KeyRange(after: range.after))
            range.through = try await looks.boundaries(of: rest, on: reference, every: rows, atMost: 1).first
            let began = ContinuousClock.Instant.now
            try await look(at: stretches.map { $0.of(range) })
            let took = began.duration(to: .now)
            seen += Int64(rows)
            guard range.through != nil else { return }
            progress("comparing \(table.relation): \(seen) rows", nil)
            if took < .milliseconds(300), rows < 1_000_000 { rows *= 2 } else if took > .milliseconds(1500), rows > 1000 { rows /= 2 }
            range = KeyRange(after: range.through)
        }
    }

    /// Looks at some stretches from all over a table.
    private mutating func sample(_ table: ReplicatedTable) async throws {
        let stretches = begin(table), seed = proof.order.seed
        guard let first = stretches.first, let reference = first.question.nodes.first else { return }
        let whole = TablePart(of: table, columns: [])
        for range in try await looks.sample(of: whole, on: reference, 1000, of: 100, seed: seed) { try await look(at: stretches.map { $0.of(range) }) }
        comparison.sample(table.relation, "a sample of about \(UInt64(table.bytes).inBytes), seed \(seed)")
    }

    // MARK: Looking

    private mutating func look(at stretches: [Stretch]) async throws {
        var rest = stretches[...]
        while !rest.isEmpty {
            let some = rest.prefix(Self.questionsAtOnce)
            rest = rest.dropFirst(some.count)
            for (stretch, seen) in zip(some, try await looks.look(at: some.map(\.question), before: moment)) {
                var stretch = stretch
                (stretch.seenBefore, stretch.seen, stretch.looks) = (stretch.seen, seen, stretch.looks + 1)
                settle(stretch)
            }
        }
    }

    private mutating func settle(_ stretch: Stretch) {
        if stretch.agrees, stretch.looks > 1 || stretch.younger == 0 {
            if stretch.tells, let print = stretch.prints.first ?? nil { comparison.agree(stretch.table, print, younger: stretch.younger) }
        } else {
            open.append(stretch)
        }
    }

    /// Until nothing is open any more.
    private mutating func lookAgain() async throws {
        let deadline = Deadline.after(proof.order.patience.limit)
        while !open.isEmpty, deadline.remaining > .zero {
            let tables = TableLooks.named(open.map(\.question.part))
            progress("looking again at \(open.count == 1 ? "a stretch" : "\(open.count) stretches") of \(tables)", nil)
            moment = try await proof.moment(tell)
            try await renew()
            let again = open
            open = []
            var questions: [Stretch] = []
            for stretch in again { questions += try await divided(stretch, among: again.count) }
            try await look(at: questions)
            let settled = open.filter(\.standsStill)
            open.removeAll(where: \.standsStill)
            for stretch in settled { try await tellDifference(stretch) }
        }
        for stretch in open where !stretch.agrees { try await tellDifference(stretch) }
        for stretch in open where stretch.agrees { if let print = stretch.prints.first ?? nil { comparison.agree(stretch.table, print, younger: stretch.younger) } }
        open = []
    }

    /// A table that a node does not have as it was listed is listed again, and begun anew where it is another one by now.
    private mutating func renew() async throws {
        let doubtful = Set(open.filter { $0.prints.contains(nil) }.map(\.table))
        guard !doubtful.isEmpty else { return }
        let tables = try await proof.tables(of: proof.nodes[0])
        for name in doubtful.sorted() {
            guard let old = open.first(where: { $0.table == name })?.question.part.table else { continue }
            guard var new = tables.first(where: { $0.relation == name }) else {
                comparison.leave(name, because: "dropped meanwhile, or taken out of its sets")
                open.removeAll { $0.table == name }
                continue
            }
            new.bytes = old.bytes
            guard new != old else { continue }
            open.removeAll { $0.table == name }
            comparison.forget(name)
            open += begin(new)
        }
    }

    /// The stretch, or what it is divided into, where nodes differ in many rows.
    private func divided(_ stretch: Stretch, among count: Int) async throws -> [Stretch] {
        let part = stretch.question.part
        guard stretch.looks > 1, !stretch.agrees, count < Self.openToDivide, !part.table.key.isEmpty, stretch.rows > Self.rowsToName, let reference = stretch.question.nodes.first
        else { return [stretch] }
        let keys = try await looks.boundaries(of: part, on: reference, every: max(Int(stretch.rows / 8), Self.rowsToName / 2), atMost: 16)
        guard !keys.isEmpty else { return [stretch] }
        let ends: [[String]?] = keys + [part.range.through], begins: [[String]?] = [part.range.after] + keys
        return zip(begins, ends).filter { $0 != $1 || $0 == nil }.map { after, through in
            var piece = stretch.of(KeyRange(after: after, through: through))
            piece.looks = 1
            return piece
        }
    }

    // MARK: Differences

    private mutating func tellDifference(_ stretch: Stretch) async throws {
        let part = stretch.question.part, key = part.table.key
        guard let first = stretch.seen.first else { return }
        var lines: [String] = []
        for other in stretch.seen.dropFirst() where other.look != first.look {
            let stretchOf = part.range == .whole ? "\(stretch.table)" : "\(stretch.table), \(part.range.text(of: key))"
            switch (first.look, other.look) {
            case (.seen(let one, _), .seen(let two, _)):
                guard one != two else { continue }
                guard !key.isEmpty, max(one.rows, two.rows) <= Self.rowsToName else {
                    let remark = key.isEmpty ? "; it has no primary key by which rows could be named" : ""
                    lines.append("\(stretchOf): \(other.node) has \(two), \(first.node) has \(one)\(remark)")
                    continue
                }
                if let named = try await named(part, first.node, other.node) { lines.append("\(stretch.table): \(named)") }
            case (_, .absent(let words)): lines.append("\(stretchOf): \(other.node) answers: \(words)")
            case (.absent(let words), _): lines.append("\(stretchOf): \(first.node) answers: \(words)")
            }
        }
        if lines.isEmpty {
            if stretch.tells, let print = stretch.prints.first ?? nil { comparison.agree(stretch.table, print, younger: stretch.younger) }
        } else {
            comparison.differ(stretch.table, lines)
        }
    }

    /// In which rows two nodes differ; `nil` where they do not any more.
    private func named(_ part: TablePart, _ one: String, _ two: String) async throws -> String? {
        let shown = try await onEach([one, two]) { [looks, moment] node in
            let rows = try await looks.rows(of: part, on: node, before: moment, atMost: 10 * Self.rowsToName)
            return Dictionary(rows) { first, _ in first }
        }
        guard let first = shown[one], let second = shown[two] else { return nil }
        func keys(_ found: [[String]]) -> String {
            var values = found.map(part.table.key.words(of:))
            // As numbers are counted, too.
            values.sort { one, other in one.count == other.count ? one < other : one.count < other.count }
            return "\(part.table.key.words) \(list(values, atMost: 5))"
        }
        let missing = first.keys.filter { second[$0] == nil }, extra = second.keys.filter { first[$0] == nil }
        let other = first.keys.filter { second[$0].map { [value = first[$0]] in $0 != value } ?? false }
        let words = [
            missing.isEmpty ? nil : "\(two) lacks \(keys(missing)), which \(one) has",
            extra.isEmpty ? nil : "\(two) has \(keys(extra)), which \(one) lacks",
            other.isEmpty ? nil : "\(two) and \(one) have other values in \(keys(other))",
        ].compactMap(\.self)
        return words.isEmpty ? nil : words.joined(separator: "; ")
    }
}
