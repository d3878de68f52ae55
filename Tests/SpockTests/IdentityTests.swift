import EventLoop
import PostgresClient
import Server
import Testing

@testable import Spock

/// What is taken off a clone, on a node that stands in for one.
@Suite(.enabled(if: TestMesh.binaries != nil, "PGGRAFT_SPOCK_BINDIR names no PostgreSQL with Spock"), .serialized)
struct IdentityTests {
    @Test func `dependents keep the extension, and the schema stays with what users gave it`() async throws {
        let mesh = try await TestMesh(servers: 1)
        let n1 = try await mesh.session(0)
        let version = try #require(try await n1.extensionVersion(deadline: soon))
        try await n1.run("CREATE VIEW public.who AS SELECT node_name FROM spock.node")
        try await n1.run("CREATE TABLE public.d (v int DEFAULT spock.spock_version_num())")
        #expect(try await n1.extensionDependents(deadline: soon) == ["default value for column v of table public.d", "view public.who"])
        let held = await #expect(throws: SpockError.self) { try await n1.dropExtension(deadline: soon) }
        guard case .extensionHasDependents("n1", ["default value for column v of table public.d", "view public.who"]) = held else {
            Issue.record("\(String(describing: held))")
            return
        }
        try await n1.run("DROP VIEW public.who")
        try await n1.run("DROP TABLE public.d")

        try await n1.run("CREATE TABLE spock.mine (a int)")
        try await n1.run("GRANT USAGE ON SCHEMA spock TO pg_monitor")
        try await n1.run("SELECT pg_replication_origin_create('spk_app_n2_sub_n2_n1')")
        try await n1.dropExtension(deadline: soon)
        try await n1.dropExtension(deadline: soon)
        #expect(try await n1.server.dropOrigins(["spk_app_n2_sub_n2_n1", "never_there"], deadline: soon) == ["spk_app_n2_sub_n2_n1"])
        #expect(try await n1.server.origins(deadline: soon).isEmpty)
        let bare = try await n1.state(deadline: soon)
        #expect(bare.extensionVersion == nil && bare.nodes.isEmpty && bare.local == nil)
        try await n1.run("CREATE EXTENSION spock")
        let other = await #expect(throws: SpockError.self) {
            try await n1.createNode("n9", dsn: mesh.dsn(0), withExtension: SpockVersion(major: 4), deadline: soon)
        }
        #expect(try await n1.state(deadline: soon).local == nil)
        guard case .extensionVersion("n1", version, SpockVersion(major: 4)) = other else {
            Issue.record("\(String(describing: other))")
            return
        }
        #expect(try await n1.run("SELECT has_schema_privilege('pg_monitor', 'spock', 'USAGE') AND to_regclass('spock.mine') IS NOT NULL AS kept").one().get("kept"))
        try await n1.createNode("n9", dsn: mesh.dsn(0), withExtension: version, deadline: soon)
        #expect(try await n1.state(deadline: soon).local?.name == "n9")
    }

    @Test func `a physical copy is read, and its identity taken off it, without Spock being loaded`() async throws {
        let mesh = try await TestMesh(servers: 2)
        let sessions = try await mesh.sessions()
        try await mesh.join([0, 1], sessions, tables: ["CREATE TABLE public.t (id int PRIMARY KEY)"])
        for session in sessions { try await session.run("SELECT spock.repset_add_table('default', 'public.t', row_filter := 'id > 3')") }
        let source = try await sessions[0].state(deadline: soon)

        let clone = try await mesh.clone(0)
        let state = try await clone.state(deadline: soon)
        #expect(!state.isLoaded && state.statuses.isEmpty)
        #expect(state.extensionVersion == source.extensionVersion)
        #expect(state.local == source.local)
        #expect(state.subscriptions == source.subscriptions)
        #expect(state.replicationSets == source.replicationSets)
        #expect(state.slots.isEmpty)
        let carried = state.origins.compactMap(\.name)
        #expect(carried == source.origins.compactMap(\.name))
        #expect(MeshChecks.versions(MeshView([state])) == [.notLoaded("n1")])

        try await clone.dropExtension(deadline: soon)
        #expect(try await clone.server.dropOrigins(carried, deadline: soon) == carried)
        let bare = try await clone.state(deadline: soon)
        #expect(bare.extensionVersion == nil && bare.local == nil && bare.origins.allSatisfy { $0.name == nil })
        #expect(try await sessions[0].subscriptionStatuses(deadline: soon).values.allSatisfy { $0 == .replicating })
    }

    @Test func `a table that Spock would not take again is found beforehand`() async throws {
        let mesh = try await TestMesh(servers: 1)
        let n1 = try await mesh.session(0)
        let tables = ["keyless", "full", "nothing", "deferred", "renamed", "rekeyed", "good", "inserts"]
        for table in tables {
            try await n1.run("CREATE TABLE public.\(identifier: table) (id int NOT NULL CONSTRAINT \(identifier: table + "_key") PRIMARY KEY, v int NOT NULL, w int)")
        }
        try await n1.createNode("n1", dsn: mesh.dsn(0), deadline: soon)
        for table in tables.dropLast() {
            let columns: [String]? = table.hasPrefix("re") ? ["id", "w"] : nil
            let relation = RelationName(schema: "public", name: table)
            try await n1.run(ReplicationSet.add(.init(relation: relation, columns: columns), to: "default"))
        }
        try await n1.run(ReplicationSet.add(.init(relation: RelationName(schema: "public", name: "inserts")), to: "default_insert_only"))
        for statement: SQL in [
            "ALTER TABLE public.keyless DROP CONSTRAINT keyless_key", "ALTER TABLE public.inserts DROP CONSTRAINT inserts_key",
            "ALTER TABLE public.full REPLICA IDENTITY FULL", "ALTER TABLE public.nothing REPLICA IDENTITY NOTHING",
            "ALTER TABLE public.deferred DROP CONSTRAINT deferred_key, ADD PRIMARY KEY (id) DEFERRABLE",
            "ALTER TABLE public.renamed RENAME w TO x",
            "ALTER TABLE public.rekeyed DROP CONSTRAINT rekeyed_key, ADD PRIMARY KEY (v)",
        ] { try await n1.run(statement) }

        let refused = try await n1.refusedTables(deadline: soon)
        #expect(
            refused.map(\.description) == [
                "public.deferred in default has no primary key, or another replica identity",
                "public.full in default has no primary key, or another replica identity",
                "public.keyless in default has no primary key, or another replica identity",
                "public.nothing in default has no primary key, or another replica identity",
                "public.rekeyed in default has a column list that does not fit its columns any more",
                "public.renamed in default has a column list that does not fit its columns any more",
            ])
        #expect(MeshChecks.tables(of: "n1", in: MeshView([try await n1.state(deadline: soon)])) == [.tablesRefused("n1", refused)])
        // And Spock does refuse each of them.
        for set in try await n1.captureReplicationSets(deadline: soon) {
            for table in set.tables {
                try await n1.run(ReplicationSet.remove(table.relation, from: set.name))
                if refused.contains(where: { $0.relation == table.relation }) {
                    await #expect(throws: PostgresError.self) { try await n1.run(ReplicationSet.add(table, to: set.name)) }
                } else {
                    try await n1.run(ReplicationSet.add(table, to: set.name))
                }
            }
        }
    }

    @Test func `partitions, actions and filters of replication sets come back as they were`() async throws {
        let mesh = try await TestMesh(servers: 1)
        let n1 = try await mesh.session(0)
        for statement: SQL in [
            "CREATE SCHEMA \"Sales\"",
            "CREATE FUNCTION \"Sales\".wanted(int) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 3'",
            "CREATE TABLE \"Sales\".p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id)",
            "CREATE TABLE \"Sales\".p1 PARTITION OF \"Sales\".p FOR VALUES FROM (0) TO (10)",
            "CREATE TABLE \"Sales\".p2 PARTITION OF \"Sales\".p FOR VALUES FROM (10) TO (20)",
            "CREATE TABLE \"Sales\".q (id int PRIMARY KEY, \"a,b\" text, \"c\"\"d\" text)",
        ] { try await n1.run(statement) }
        try await n1.createNode("n1", dsn: mesh.dsn(0), deadline: soon)
        for statement: SQL in [
            // The stand-in takes no partitioned table.
            try await n1.isRealSpock() ? "SELECT spock.repset_add_table('default', '\"Sales\".p', include_partitions := false)" : "SELECT",
            "SELECT spock.repset_add_table('default', '\"Sales\".p2')",
            "SELECT spock.repset_add_table('default', '\"Sales\".q', columns := ARRAY['id', 'a,b', 'c\"d'], row_filter := '\"Sales\".wanted(id) AND \"a,b\" <> ''it''''s''')",
            "SELECT spock.repset_alter('default_insert_only', replicate_truncate := false)",
            "SELECT spock.repset_drop('ddl_sql')",
        ] { try await n1.run(statement) }
        let captured = try await n1.captureReplicationSets(deadline: soon)
        #expect(captured.first { $0.name == "default" }?.tables.map(\.relation.name) == (try await n1.isRealSpock() ? ["p", "p2", "q"] : ["p2", "q"]))
        #expect(captured.first { $0.name == "default" }?.tables.last?.columns == ["id", "a,b", "c\"d"])

        // A backend remembers where Spock's catalogs were, so the next one is asked.
        try await n1.run("SELECT spock.node_drop('n1')")
        try await n1.dropExtension(deadline: soon)
        await n1.connection.close()
        let n2 = try await mesh.session(0)
        try await n2.createNode("n2", dsn: mesh.dsn(0), withExtension: try await n2.defaultVersion(), deadline: soon)
        try await n2.recreateReplicationSets(captured, deadline: soon)
        #expect(try await n2.captureReplicationSets(deadline: soon) == captured)

        let twice = captured + [ReplicationSet(name: "never", tables: [.init(relation: RelationName(schema: "Sales", name: "nowhere"))])]
        await #expect(throws: PostgresError.self) { try await n2.recreateReplicationSets(twice, deadline: soon) }
        #expect(try await n2.captureReplicationSets(deadline: soon) == captured)
    }
}

extension SpockSession {
    fileprivate func defaultVersion() async throws -> SpockVersion {
        try await run("SELECT default_version FROM pg_available_extensions WHERE name = 'spock'").one().get("default_version")
    }
}
