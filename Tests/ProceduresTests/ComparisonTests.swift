import Testing

@testable import Procedures
@testable import Spock

/// What a comparison says of tables that nodes show in different ways.
@Suite("A comparison of tables") struct ComparisonTests {
    private let table = RelationName(schema: "app", name: "t"), other = RelationName(schema: "app", name: "u")

    @Test func `equal tables are counted with their ranges summed up, and those that differ are named`() {
        var comparison = Comparison(nodes: ["n1", "n2", "n4"], hashed: true)
        comparison.agree(table, TableFingerprint(rows: 5, hash: "9223372036854775807"), younger: 0)
        comparison.agree(table, TableFingerprint(rows: 2, hash: "9223372036854775807"), younger: 3)
        comparison.remark(other, "n2: a part")
        comparison.agree(other, TableFingerprint(rows: 3, hash: "-7"), younger: 0)
        #expect(
            comparison.text == """
                2 replicated tables are equal on n1, n2 and n4, with everybody writing:
                  app.t  7 rows  hash 18446744073709551614  (3 more changed each time they were looked at)
                  app.u  3 rows  hash -7  (n2: a part)
                """)
        comparison.differ(other, (1...25).map { "app.u, id > \($0): n2 has other values" })
        #expect(comparison.differences.count == 21)
        #expect(comparison.differences.last == "app.u: and 5 more stretches in which they differ")
        #expect(comparison.text.hasPrefix("1 replicated table is equal on n1, n2 and n4, with everybody writing:\n  app.t"))
    }

    @Test func `a table that is gone, or that is only sampled, is told`() {
        var comparison = Comparison(nodes: ["n1", "n2"], hashed: false)
        comparison.agree(table, TableFingerprint(rows: 5, hash: "0"), younger: 0)
        comparison.sample(table, "a sample of about 1 TB, seed 7")
        comparison.leave(other, because: "dropped meanwhile")
        #expect((comparison.notCompared, comparison.sampled) == (1, 1))
        #expect(
            comparison.text == """
                1 replicated table is equal on n1 and n2, with everybody writing:
                  app.t  5 rows  (a sample of about 1 TB, seed 7)
                1 table was not compared:
                  app.u  dropped meanwhile
                """)
    }

    @Test func `a table that is asked for in whole and in part is named once`() {
        func part(_ name: String, _ columns: [String]) -> TablePart {
            TablePart(
                of: ReplicatedTable(relation: RelationName(schema: "app", name: name), isPartitioned: false, columns: ["a", "b"], key: [], memberships: [], bytes: 0),
                columns: columns)
        }
        #expect(TableLooks.named([part("t", ["a", "b"]), part("t", ["a"])]) == "app.t")
        #expect(TableLooks.named(["t", "u", "t", "v", "w", "w"].map { part($0, ["a"]) }) == "app.t, app.u, app.v and 1 more")
    }
}
