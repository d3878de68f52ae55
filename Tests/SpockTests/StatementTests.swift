import EventLoop
import PostgresClient
import Server
import Testing

@testable import Spock

/// What is sent to the servers, word for word.
@Suite struct StatementTests {
    static let settings = Subscription.Settings(
        replicationSets: ["default", "extra"], forwardOrigins: ["all"], applyDelay: .milliseconds(1500), skipSchema: ["a\"b"])
    static let subscription = NewSubscription(
        name: "sub_n1_n4", providerDSN: Conninfo(["host": "n1", "password": "geheim"]), settings: settings,
        slot: "spk_app_n1_sub_n1_n4", resumeLSN: LSN(position: 0x1A0C_E48))
    static let table = RelationName(schema: "Sales", name: "it's")

    @Test func `tables of the schema that Spock leaves out by itself are no tables without a set`() {
        #expect(SpockExamination.tablesInNoSet().description.contains("n.nspname NOT IN ('pg_catalog', 'information_schema', 'spock', 'pgedge_ace',"))
    }

    @Test func `a copy brings structure and data, and follows what its source applies`() {
        let copy = DataCopy(name: "pggraft_copy_n4", providerDSN: Conninfo(["host": "n1", "password": "geheim"]), replicationSets: ["default"], skippedSchemas: ["tools"])
        #expect(
            copy.create().description == """
                SELECT spock.sub_create(subscription_name := $1, provider_dsn := $2, replication_sets := $3::text[], synchronize_structure := true, synchronize_data := true, \
                forward_origins := '{all}'::text[], enabled := true, skip_schema := $4::text[]) AS sub_id  \
                -- $1 = 'pggraft_copy_n4', $2 = 'host=n1 password=‹redacted›', $3 = '{"default"}', $4 = '{"tools"}'
                """)
    }

    @Test func `what is made of a copy moves while an index is built, and while rows are sorted for it`() {
        #expect(
            DataCopy.making().description == """
                SELECT coalesce((SELECT sum(p.blocks_done + p.tuples_done)::bigint FROM pg_stat_progress_create_index p WHERE p.datname = current_database()), 0) AS indexed, \
                coalesce((SELECT sum(size)::bigint FROM pg_ls_tmpdir()), 0) AS sorted
                """)
        let looks = [[0, 0], [8_000, 0], [8_000, 64]].map { DataCopyProgress(phase: .constraints, bytes: 1, tables: [], making: $0) }
        #expect(Set(looks).count == 3)
    }

    @Test(
        arguments: [
            (SpockNode.id(of: "n4"), "SELECT hashname($1::name) & 65535 AS node_id  -- $1 = 'n4'"),
            (
                SpockNode.create("n4", dsn: Conninfo(["host": "n4", "password": "geheim"]), location: "here", country: nil, info: "{}"),
                "SELECT spock.node_create(node_name := $1, dsn := $2, location := $3, country := $4, info := $5::jsonb) AS node_id"
                    + "  -- $1 = 'n4', $2 = 'host=n4 password=‹redacted›', $3 = 'here', $4 = NULL, $5 = '{}'"
            ),
        ] as [(SQL, String)])
    func `nodes`(sql: SQL, text: String) { #expect(sql.description == text) }

    @Test func `a subscription is created disabled, copies nothing, goes on where it is told, and shows no password`() {
        let subscription = StatementTests.subscription
        #expect(
            subscription.create().description == """
                SELECT spock.sub_create(subscription_name := $1, provider_dsn := $2, replication_sets := $3::text[], \
                synchronize_structure := false, synchronize_data := false, forward_origins := $4::text[], \
                apply_delay := $5 * interval '1 microsecond', force_text_transfer := $6, enabled := false, skip_schema := $7::text[]) AS sub_id  \
                -- $1 = 'sub_n1_n4', $2 = 'host=n1 password=‹redacted›', $3 = '{"default","extra"}', $4 = '{"all"}', $5 = '1500000', $6 = 'f', \
                $7 =  E'{"a\\\\"b"}'
                """)
        #expect(subscription.create().parameters[1] == "host=n1 password=geheim")
        #expect(
            subscription.advance()?.description
                == "SELECT pg_replication_origin_advance(sub_slot_name::text, $1::pg_lsn) FROM spock.subscription WHERE sub_name = $2  -- $1 = '0/1A0CE48', $2 = 'sub_n1_n4'")
        #expect(NewSubscription.enable("sub_n1_n4").description == "SELECT spock.sub_enable(subscription_name := $1) AS enabled  -- $1 = 'sub_n1_n4'")
        #expect(NewSubscription.drop("sub_n1_n4").description == "SELECT spock.sub_drop(subscription_name := $1, ifexists := true)  -- $1 = 'sub_n1_n4'")
        var fromTheSlot = subscription
        fromTheSlot.resumeLSN = nil
        #expect(fromTheSlot.advance() == nil)
    }

    @Test(
        arguments: [
            (
                ReplicationSlot.generateName(database: "app", provider: "n1", subscription: "sub_n1_n4"),
                "SELECT spock.spock_gen_slot_name($1, $2, $3) AS slot_name  -- $1 = 'app', $2 = 'n1', $3 = 'sub_n1_n4'"
            ),
            (SpockSession.syncEvent(), "SELECT spock.sync_event() AS lsn"),
            (
                Subscription.wakeSupervisor(by: "sub_n1_n4"),
                """
                SELECT spock.sub_enable(sub_name) FROM spock.subscription WHERE sub_name = $1 AND sub_enabled \
                AND EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'spock supervisor') AND NOT EXISTS (SELECT FROM pg_stat_activity a \
                JOIN pg_database d ON a.backend_type = 'spock manager ' || d.oid WHERE d.datname = current_database())  -- $1 = 'sub_n1_n4'
                """
            ),
            (SpockExtension.isLoaded(), "SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'spock.readonly') AS loaded"),
            (SpockExtension.drop(), "DROP EXTENSION IF EXISTS spock"),
            (SpockExtension.create(SpockVersion(major: 5, minor: 0, patch: 11)), "CREATE EXTENSION IF NOT EXISTS spock WITH VERSION '5.0.11'"),
        ] as [(SQL, String)])
    func `slots, sync events and the extension`(sql: SQL, text: String) { #expect(sql.description == text) }

    private static let keyed = ReplicatedTable(
        relation: StatementTests.table, isPartitioned: false, columns: ["B\"c", "a"],
        key: [KeyColumn(name: "a", type: "integer"), KeyColumn(name: "B\"c", type: "\"Sales\".kind")], memberships: [], bytes: 1 << 40)

    @Test func `a range of a table is hashed over named columns, without its children, as it was committed before a moment`() {
        let part = TablePart(
            of: Self.keyed, columns: ["a"], rowFilter: "(a > 'x$1'::text)", range: KeyRange(after: ["1", "it's"], through: ["7", "x"]))
        #expect(
            TableFingerprint.of(part, before: ServerMoment(microseconds: 1_764_417_600_000_001)).description == """
                SELECT count(*) FILTER (WHERE settled) AS rows, coalesce(sum(hash) FILTER (WHERE settled), 0)::text AS hash, \
                count(*) FILTER (WHERE NOT settled) AS younger FROM (SELECT hashtextextended(ROW("a")::text, 0) AS hash, \
                coalesce(pg_xact_commit_timestamp(xmin) <= to_timestamp('1764417600000001'::float8 / 1000000), true) AS settled FROM ONLY "Sales"."it's" \
                WHERE ("a", "B""c") > ('1'::integer, 'it''s'::"Sales".kind) AND ("a", "B""c") <= ('7'::integer, 'x'::"Sales".kind) AND (a > 'x$1'::text)) r
                """)
        #expect(
            TableFingerprint.of(TablePart(of: Self.keyed, columns: []), before: nil).description == """
                SELECT count(*) FILTER (WHERE settled) AS rows, coalesce(sum(hash) FILTER (WHERE settled), 0)::text AS hash, \
                count(*) FILTER (WHERE NOT settled) AS younger FROM (SELECT hashtextextended(ROW()::text, 0) AS hash, true AS settled FROM ONLY "Sales"."it's") r
                """)
    }

    @Test func `the keys of a table are walked, sampled and listed`() {
        let part = TablePart(of: Self.keyed, columns: ["a"], range: KeyRange(after: ["1", "x"]))
        let key = #"ARRAY["a"::text, "B""c"::text] AS key"#, rows = #" FROM ONLY "Sales"."it's" WHERE ("a", "B""c") > ('1'::integer, 'x'::"Sales".kind)"#
        #expect(TableFingerprint.boundary(of: part, after: 1000).description == #"SELECT \#(key)\#(rows) ORDER BY "a", "B""c" OFFSET $1 LIMIT 1  -- $1 = '999'"#)
        #expect(
            TableFingerprint.each(of: part, before: nil, atMost: 5).description
                == #"SELECT \#(key), hashtextextended(ROW("a")::text, 0)::text AS hash\#(rows) AND true ORDER BY "a", "B""c" LIMIT $1  -- $1 = '5'"#)
        #expect(
            TableFingerprint.sample(of: part, rows: 1000, seed: 7).description == """
                SELECT key FROM (SELECT \(key), row_number() OVER (PARTITION BY (ctid::text::point)[0]) AS place FROM ONLY "Sales"."it's" \
                TABLESAMPLE SYSTEM (0.0007450580596923828) REPEATABLE ($1)) s WHERE place = 1 LIMIT $2  -- $1 = '7', $2 = '1000'
                """)
    }

    @Test(
        "a stretch is told by the key's values",
        arguments: [
            (KeyRange.whole, "all rows"), (KeyRange(after: ["5"]), "id > 5"), (KeyRange(through: ["5"]), "id ≤ 5"),
            (KeyRange(after: ["5"], through: ["70"]), "id > 5 and ≤ 70"),
        ])
    func told(range: KeyRange, text: String) { #expect(range.text(of: [KeyColumn(name: "id", type: "integer")]) == text) }

    @Test func `a stretch of a key of two columns is told, long values cut`() {
        #expect(
            KeyRange(after: ["1", String(repeating: "x", count: 50)]).text(of: Self.keyed.key) == "(a, B\"c) > (1, \(String(repeating: "x", count: 37))...)")
    }

    @Test func `small tables are looked at together, a large one by itself`() {
        func tables(_ sizes: [Int64]) -> [ReplicatedTable] {
            sizes.enumerated().map { index, bytes in
                ReplicatedTable(
                    relation: RelationName(schema: "public", name: "t\(index)"), isPartitioned: false, columns: ["id"], key: [], memberships: [], bytes: bytes)
            }
        }
        func sizes(_ batches: [[ReplicatedTable]]) -> [[Int64]] { batches.map { $0.map(\.bytes) } }
        let (small, large) = (Int64(8192), Int64(1 << 30))
        #expect(sizes(ReplicatedTable.batches(tables([small, small, large, small, 0]))) == [[small, small], [large], [small, 0]])
        #expect(sizes(ReplicatedTable.batches(tables([large, large]))) == [[large], [large]])
        #expect(ReplicatedTable.batches(tables(Array(repeating: 0, count: 250))).map(\.count) == [100, 100, 50])
        #expect(ReplicatedTable.batches([]).isEmpty)
    }

    @Test func `an identity is taken off in one text, without a word to a publisher`() {
        #expect(
            CopiedDatabase.removal(subscriptions: ["it's"]).text == """
                SELECT set_config('session_replication_role', 'replica', true); \
                SELECT extname FROM pg_extension WHERE extname IN ('spock', 'pglogical') ORDER BY 1 DESC; \
                ALTER SUBSCRIPTION "it's" DISABLE; ALTER SUBSCRIPTION "it's" SET (slot_name = NONE); \
                ALTER SUBSCRIPTION "it's" CONNECTION 'host=/nonexistent dbname=none'; DROP SUBSCRIPTION "it's"; \
                DROP EXTENSION IF EXISTS "spock"; DROP EXTENSION IF EXISTS "pglogical"
                """)
    }

    @Test func `no session replicates its DDL`() {
        #expect(SpockSession.settings == [SessionSetting("spock.enable_ddl_replication", "off"), SessionSetting("spock.include_ddl_repset", "off")])
    }
}
