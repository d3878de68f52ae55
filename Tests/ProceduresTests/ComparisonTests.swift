import Testing

@testable import Procedures
@testable import Spock

/// What a comparison says of tables that nodes show in different ways.
@Suite("A comparison of tables") struct ComparisonTests {
    private let table = RelationName(schema: "app", name: "t"), other = RelationName(schema: "app", name: "u")

    private func seen(_ looks: KeyValuePairs<String, Int64?>) -> [TableLooks.Seen] {
        looks.map { node, rows in TableLooks.Seen(node: node, look: rows.map { .seen(TableFingerprint(rows: $0, hash: "\($0)7")) } ?? .changedSince) }
    }

    @Test func `equal tables are counted, and those that differ are named`() {
        var comparison = Comparison(nodes: ["n1", "n2", "n4"])
        comparison.add(table, seen(["n1": 5, "n4": 5, "n2": 5]), [], remark: nil, hashed: true)
        comparison.add(other, seen(["n1": 3, "n4": 3]), seen(["n1": 2, "n2": 2]), remark: "n2: a part", hashed: false)
        #expect(comparison.differences == [])
        #expect(
            comparison.text == """
                2 replicated tables are equal on n1, n2 and n4 at one drained point:
                  app.t  5 rows  hash 57
                  app.u  3 rows  (n2: a part)
                """)
        comparison.add(table, seen(["n1": 5, "n4": 4, "n2": 5]), [], remark: nil, hashed: true)
        comparison.add(other, seen(["n1": 3, "n4": 3]), seen(["n1": 2, "n2": 1]), remark: nil, hashed: true)
        #expect(comparison.differences == ["app.t: n4 has 4 rows, hash 47, n1 has 5 rows, hash 57", "app.u: n2 has 1 rows, hash 17, n1 has 2 rows, hash 27"])
    }

    @Test func `a table that was changed on a node is compared on the others, and is not counted`() {
        var comparison = Comparison(nodes: ["n1", "n2", "n4"])
        comparison.add(table, seen(["n1": nil, "n4": 5, "n2": 5]), [], remark: nil, hashed: true)
        comparison.add(other, seen(["n1": nil, "n4": nil, "n2": nil]), [], remark: nil, hashed: true)
        #expect(comparison.differences == [])
        #expect(
            comparison.text == """
                0 replicated tables are equal on n1, n2 and n4 at one drained point:
                2 tables were not compared:
                  app.t  not compared on n1: changed since the drained point (rewritten, truncated, dropped, or other columns); equal on n2 and n4
                  app.u  not compared on n1, n2 and n4: changed since the drained point (rewritten, truncated, dropped, or other columns)
                """)
        var part = Comparison(nodes: ["n1", "n2", "n3", "n4"])
        part.add(table, seen(["n1": nil, "n4": 5]), seen(["n1": nil, "n2": 3, "n3": 3]), remark: "n2 and n3: a part", hashed: true)
        #expect(part.notCompared[0].hasSuffix("; equal on n2 and n3"))
        comparison.add(table, seen(["n1": nil, "n4": 5, "n2": 6]), [], remark: nil, hashed: true)
        #expect(comparison.differences == ["app.t: n2 has 6 rows, hash 67, n4 has 5 rows, hash 57"])
    }

    @Test func `a table that is asked for in whole and in part is named once`() {
        func part(_ name: String, _ columns: [String]) -> TablePart {
            TablePart(
                of: ReplicatedTable(relation: RelationName(schema: "app", name: name), isPartitioned: false, columns: ["a", "b"], memberships: [], bytes: 0), columns: columns)
        }
        #expect(TableLooks.named([part("t", ["a", "b"]), part("t", ["a"])]) == "app.t")
        #expect(TableLooks.named(["t", "u", "t", "v", "w", "w"].map { part($0, ["a"]) }) == "app.t, app.u, app.v and 1 more")
    }
}
