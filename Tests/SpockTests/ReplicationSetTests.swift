import Foundation
import PostgresClient
import Server
import Testing

@testable import Spock

@Suite struct ReplicationSetTests {
    static let t = RelationName(schema: "public", name: "t"), u = RelationName(schema: "public", name: "u"), s = RelationName(schema: "public", name: "s")
    static let empty = [ReplicationSet(name: "default"), ReplicationSet(name: "ddl_sql", actions: .init(update: false, delete: false, truncate: false))]
    static let wanted = [
        ReplicationSet(
            name: "default", actions: .init(truncate: false),
            tables: [.init(relation: t, columns: ["id", "v"], rowFilter: "(id > 5)"), .init(relation: u)], sequences: [s]),
        ReplicationSet(name: "extra", actions: .init(delete: false)),
    ]

    @Test func `what differs is changed, and nothing else`() {
        #expect(ReplicationSet.changes(from: ReplicationSetTests.wanted, to: ReplicationSetTests.wanted) == [])
        #expect(
            ReplicationSet.changes(from: ReplicationSetTests.empty, to: ReplicationSetTests.wanted).map(\.description) == [
                "SELECT spock.repset_drop(set_name := $1)  -- $1 = 'ddl_sql'",
                "SELECT spock.repset_alter(set_name := $1, replicate_insert := $2, replicate_update := $3, replicate_delete := $4, replicate_truncate := $5)"
                    + "  -- $1 = 'default', $2 = 't', $3 = 't', $4 = 't', $5 = 'f'",
                "SELECT spock.repset_add_table(set_name := $1, relation := format('%I.%I', $2::text, $3::text)::regclass, synchronize_data := false, "
                    + "columns := $4::text[], row_filter := $5, include_partitions := false)"
                    + "  -- $1 = 'default', $2 = 'public', $3 = 't', $4 = '{\"id\",\"v\"}', $5 = '(id > 5)'",
                "SELECT spock.repset_add_table(set_name := $1, relation := format('%I.%I', $2::text, $3::text)::regclass, synchronize_data := false, "
                    + "columns := $4::text[], row_filter := $5, include_partitions := false)  -- $1 = 'default', $2 = 'public', $3 = 'u', $4 = NULL, $5 = NULL",
                "SELECT spock.repset_add_seq(set_name := $1, relation := format('%I.%I', $2::text, $3::text)::regclass, synchronize_data := false)"
                    + "  -- $1 = 'default', $2 = 'public', $3 = 's'",
                "SELECT spock.repset_create(set_name := $1, replicate_insert := $2, replicate_update := $3, replicate_delete := $4, replicate_truncate := $5)"
                    + "  -- $1 = 'extra', $2 = 't', $3 = 't', $4 = 'f', $5 = 't'",
            ])
    }

    // 20,000 tables in one transaction: "out of shared memory", on the real Spock.
    @Test func `many tables are put into sets in several transactions, in order`() throws {
        let tables = (0..<612).map { ReplicationSet.Table(relation: RelationName(schema: "many", name: "t\($0)")) }
        let changes = ReplicationSet.changes(from: [ReplicationSet(name: "default")], to: [ReplicationSet(name: "default", tables: tables)])
        let batches = ReplicationSet.batches(changes)
        #expect(batches.map(\.count) == [250, 250, 112])
        #expect(batches.flatMap { $0 } == changes)
        #expect(ReplicationSet.batches([]).isEmpty)
    }

    @Test func `a table whose columns changed is taken out and put in again`() {
        var found = ReplicationSetTests.wanted
        found[0].tables[0].columns = nil
        #expect(
            ReplicationSet.changes(from: found, to: ReplicationSetTests.wanted).map { $0.text.prefix(30) } == [
                "SELECT spock.repset_remove_tab", "SELECT spock.repset_add_table(",
            ])
    }

    @Test func `each difference has its line`() {
        var found = ReplicationSetTests.wanted
        found[0].actions = .init()
        found[0].tables[0].rowFilter = nil
        found[0].tables[1].relation = RelationName(schema: "public", name: "w")
        found[0].sequences = []
        found[1].name = "other"
        #expect(
            ReplicationSet.differences(of: found, from: ReplicationSetTests.wanted) == [
                "replication set extra is missing", "replication set default replicates other actions",
                "public.t in default has other columns or another row filter", "public.u in default is missing",
                "public.w in default is one too many", "sequence public.s in default is missing", "replication set other is one too many",
            ])
        #expect(ReplicationSet.differences(of: found, from: found) == [])
    }

    @Test func `captured sets come back from the journal as they went in`() throws {
        let data = try JSONEncoder().encode(ReplicationSetTests.wanted)
        #expect(try JSONDecoder().decode([ReplicationSet].self, from: data) == ReplicationSetTests.wanted)
    }
}
