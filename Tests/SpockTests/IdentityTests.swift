import EventLoop
import PostgresClient
import Testing

@testable import Spock

/// What is taken off a clone, on a node that stands in for one.
@Suite(.enabled(if: TestMesh.binaries != nil, "PGGRAFT_SPOCK_BINDIR names no PostgreSQL with Spock"), .serialized)
struct IdentityTests {
    @Test func `dependents and foreign objects keep the extension, and the schema goes with it`() async throws {
        let mesh = try await TestMesh(servers: 1)
        let n1 = try await mesh.session(0)
        let version = try #require(try await n1.extensionVersion(deadline: soon))
        try await n1.run("CREATE VIEW public.who AS SELECT node_name FROM spock.node")
        try await n1.run("CREATE TABLE public.d (v int DEFAULT spock.spock_version_num())")
        #expect(try await n1.extensionDependents(deadline: soon) == ["default value for column v of table public.d", "view public.who"])
        await #expect(throws: SpockError.self) { try await n1.dropExtension(deadline: soon) }
        try await n1.run("DROP VIEW public.who")
        try await n1.run("DROP TABLE public.d")

        try await n1.run("CREATE TABLE spock.mine (a int)")
        let error = await #expect(throws: SpockError.self) { try await n1.dropExtension(deadline: soon) }
        guard case .schemaNotEmpty(_, let objects) = error else { Issue.record("\(String(describing: error))"); return }
        #expect(objects == ["table spock.mine"])
        #expect(try await n1.extensionVersion(deadline: soon) == version)
        try await n1.run("DROP TABLE spock.mine")

        try await n1.run("SELECT pg_replication_origin_create('spk_app_n2_sub_n2_n1')")
        try await n1.dropExtension(deadline: soon)
        try await n1.dropExtension(deadline: soon)
        #expect(try await n1.dropOrigins(["spk_app_n2_sub_n2_n1", "never_there"], deadline: soon) == ["spk_app_n2_sub_n2_n1"])
        #expect(try await n1.origins(deadline: soon).isEmpty)
        let bare = try await n1.state(deadline: soon)
        #expect(bare.extensionVersion == nil && bare.nodes.isEmpty && bare.local == nil)
        try await n1.createExtension(version, deadline: soon)
        try await n1.createExtension(version, deadline: soon)
        await #expect(throws: SpockError.self) { try await n1.createExtension(SpockVersion(major: 4), deadline: soon) }
        try await n1.createNode("n9", dsn: mesh.dsn(0), deadline: soon)
        #expect(try await n1.state(deadline: soon).local?.name == "n9")
    }

    @Test func `a promoted clone is read, and its identity taken off it, without Spock being loaded`() async throws {
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
        #expect(try await clone.dropOrigins(carried, deadline: soon) == carried)
        let bare = try await clone.state(deadline: soon)
        #expect(bare.extensionVersion == nil && bare.local == nil && bare.origins.allSatisfy { $0.name == nil })
        #expect(try await sessions[0].subscriptionStatuses(deadline: soon).values.allSatisfy { $0 == .replicating })
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
        try await n1.dropNode("n1", deadline: soon)
        try await n1.dropExtension(deadline: soon)
        await n1.connection.close()
        let n2 = try await mesh.session(0)
        try await n2.createExtension(try await n2.defaultVersion(), deadline: soon)
        try await n2.createNode("n2", dsn: mesh.dsn(0), deadline: soon)
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
