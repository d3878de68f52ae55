import Server
import Testing

@testable import Procedures
@testable import Spock

@Suite("What the source gives on of what it gets")
struct SourceGivesAllTablesTests {
    private static func table(_ name: String, in sets: [ReplicationSetName]) -> ReplicatedTable {
        ReplicatedTable(
            relation: RelationName(schema: "app", name: name), isPartitioned: false, columns: ["a"], key: [],
            memberships: sets.map { ReplicatedTable.Membership(set: $0, columns: nil, rowFilter: nil) }, bytes: 0)
    }

    @Test func `a table that the source gets and has in no set that others read is found, and none else`() throws {
        let regional: ReplicationSetName = "regional", usual: ReplicationSetName = "default"
        let peer = [Self.table("both", in: [usual]), Self.table("lacking", in: [usual]), Self.table("unread", in: [regional]), Self.table("elsewhere", in: [usual])]
        let source = [Self.table("both", in: [usual]), Self.table("lacking", in: []), Self.table("elsewhere", in: [regional])]
        #expect(SourceGivesAllTables.missing(of: peer, read: [usual], from: source, given: [usual]).map(\.description) == ["app.elsewhere", "app.lacking"])
    }
}
