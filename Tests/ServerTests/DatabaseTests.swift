import EventLoop
import Instance
import PostgresClient
import RemoteHost
import Scratch
import Testing

@testable import Server

@Suite("Databases and what a copy brings along", .serialized) struct DatabaseTests {
    @Test(arguments: ScratchArea.versions)
    func `databases have sizes, neighbours and a limit of connections`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("limited")
        let session = try await pair.session(database: "limited")
        let sizes = try await session.databaseSizes(deadline: soon)
        #expect(try #require(sizes["limited"]) > 1_000_000)
        #expect(sizes["template0"] != nil)
        let databases = try await session.databases(deadline: soon)
        #expect(databases.filter(\.isOwn).map(\.name) == ["limited"])
        #expect(databases.first { $0.name == "postgres" }.map { $0.takesConnections && !$0.isTemplate } == true)
        #expect(databases.first { $0.name == "template0" }.map { !$0.takesConnections && $0.isTemplate } == true)

        try await session.run("CREATE ROLE visitor LOGIN")
        try await session.limitConnections(to: 0, deadline: soon)
        let refused = await #expect(throws: PostgresError.self) { _ = try await pair.client(database: "limited", user: "visitor") }
        #expect(refused?.code == "53300")
        // So already: nothing is to be written, where nothing may be.
        try await session.run("SET default_transaction_read_only = on")
        try await session.limitConnections(to: 0, deadline: soon)
        await #expect(throws: PostgresError.self) { try await session.limitConnections(to: -1, deadline: soon) }
        try await session.run("SET default_transaction_read_only = off")
        try await session.limitConnections(to: -1, deadline: soon)
        await (try await pair.client(database: "limited", user: "visitor")).close()
        await session.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `tablespaces, subscriptions and the copying role are found`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        let session = try await pair.session()
        let bare = try await session.copySource(replicatingAs: "copier", deadline: soon)
        #expect(bare == CopySource(subscriptions: [], mayReplicate: nil))
        // It would be made at the same place on the standby of this host.
        try await session.run("SET allow_in_place_tablespaces = on")
        try await session.run("CREATE TABLESPACE \"Fast disk\" LOCATION ''")
        let spaces = try await session.tablespaces(deadline: soon)
        #expect(spaces.map(\.name) == ["Fast disk"])
        #expect(spaces.map(\.location) == spaces.map { "pg_tblspc/\($0.oid)" })
        try await session.run("CREATE SUBSCRIPTION legacy CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)")
        try await session.run("CREATE ROLE copier LOGIN")
        #expect(
            try await session.copySource(replicatingAs: "copier", deadline: soon)
                == CopySource(subscriptions: ["legacy (database postgres)"], mayReplicate: false))
        #expect(try await session.databases(deadline: soon).first { $0.name == "postgres" }?.subscriptions == ["legacy"])
        try await session.run("ALTER ROLE copier REPLICATION")
        #expect(try await session.copySource(replicatingAs: "copier", deadline: soon).mayReplicate == true)
        try await session.run("DROP SUBSCRIPTION legacy")
        try await session.run("DROP TABLESPACE \"Fast disk\"")
        try await session.run("DROP ROLE copier")
        let identifier = try await session.systemIdentifier(deadline: soon)
        #expect(identifier == (try await pair.primary.controlData(deadline: soon).systemIdentifier.number))
        await session.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `sequences that are behind are set to where those of another database stand`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        var sessions: [ServerSession] = []
        for database in ["counted", "uncounted"] {
            try await pair.database(database)
            let session = try await pair.session(database: database)
            try await session.run(
                """
                DO $$ BEGIN CREATE SCHEMA "Shop"; CREATE SCHEMA own; CREATE TABLE "Shop".orders (id bigint GENERATED ALWAYS AS IDENTITY); CREATE SEQUENCE "Shop"."it's";
                CREATE SEQUENCE "Shop".down INCREMENT -1; CREATE SEQUENCE "Shop".untouched START 7; CREATE SEQUENCE own.ours;
                FOR n IN 1..250 LOOP EXECUTE 'CREATE SEQUENCE "Shop".s' || n; END LOOP; END $$
                """)
            sessions.append(session)
        }
        let (source, new) = (sessions[0], sessions[1])
        try await source.run(
            "SELECT setval('\"Shop\".orders_id_seq', 4711), setval('\"Shop\".\"it''s\"', 12, false), setval('\"Shop\".down', -40), setval('own.ours', 9), setval('\"Shop\".s9', 3)")
        try await source.run("CREATE SEQUENCE \"Shop\".only_here")
        try await new.run("SELECT setval('\"Shop\".s9', 4), nextval('\"Shop\".s250')")
        #expect(try await new.bringSequences(to: source, except: ["own"], deadline: soon) == (254, 3))
        func stand(_ sequence: String) async throws -> String {
            let row = try await new.run("SELECT last_value || ' ' || is_called AS stand FROM \(identifier: "Shop").\(identifier: sequence)").one()
            return try row.get("stand")
        }
        #expect(try await stand("orders_id_seq") == "4711 true")
        #expect(try await stand("it's") == "12 false")
        #expect(try await stand("down") == "-40 true")
        #expect(try await stand("untouched") == "7 false")
        #expect(try await stand("s9") == "4 true")
        #expect(try await stand("s250") == "1 true")
        #expect(try await new.bringSequences(to: source, except: ["own"], deadline: soon) == (254, 0))
        for session in sessions { await session.connection.close() }
    }

    @Test(arguments: ScratchArea.versions)
    func `what a database has besides tables is found`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("rich")
        let session = try await pair.session(database: "rich")
        #expect(try await session.extras(deadline: soon) == DatabaseExtras())
        try await session.run("CREATE ROLE rich_reader")
        try await session.run("ALTER DATABASE rich SET work_mem = '5MB'")
        try await session.run("ALTER ROLE rich_reader IN DATABASE rich SET search_path = a, b")
        try await session.run("SELECT lo_create(0)")
        try await session.run("CREATE MATERIALIZED VIEW public.sums AS SELECT 1 AS one")
        try await session.run("CREATE MATERIALIZED VIEW public.void AS SELECT 1 AS one WITH NO DATA")
        let extras = try await session.extras(deadline: soon)
        #expect(extras == DatabaseExtras(settings: ["search_path of rich_reader", "work_mem"], largeObjects: 1, materializedViews: ["public.sums"]))
        #expect(
            extras.kinds(of: "rich").map(\.found) == [
                "2 settings of the database (search_path of rich_reader, work_mem)", "1 large object", "the contents of a materialized view (public.sums)",
            ])
        #expect(DatabaseExtras().kinds(of: "rich").isEmpty)
        await session.connection.close()
    }

    @Test(arguments: ScratchArea.versions)
    func `what users have in public besides tables is found, and what is an extension's is not`(binaries: String) async throws {
        let pair = try await TestPair.of(binaries)
        try await pair.database("furnished")
        let session = try await pair.session(database: "furnished")
        try await session.run("CREATE FUNCTION public.of_extension() RETURNS integer LANGUAGE sql AS 'SELECT 1'")
        try await session.run("ALTER EXTENSION plpgsql ADD FUNCTION public.of_extension()")
        try await session.run("CREATE TABLE public.numbered (id serial, other int GENERATED ALWAYS AS IDENTITY)")
        #expect(try await session.othersInPublic(atMost: 9, deadline: soon) == [])
        for statement: SQL in [
            "CREATE VIEW public.seen AS SELECT 1 AS one", "CREATE MATERIALIZED VIEW public.kept AS SELECT 1 AS one", "CREATE SEQUENCE public.count",
            "CREATE FUNCTION public.total(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'", "CREATE TYPE public.mood AS ENUM ('glad')",
            "CREATE TYPE public.pair AS (a int, b int)", "CREATE TYPE public.span AS RANGE (subtype = int)",
            "CREATE SCHEMA mine", "CREATE VIEW mine.seen AS SELECT 1 AS one",
        ] { try await session.run(statement) }
        let others = [
            "sequence public.count", "materialized view public.kept", "view public.seen", "function public.total(integer)", "type public.mood", "type public.pair",
            "type public.span",
        ]
        #expect(try await session.othersInPublic(atMost: 9, deadline: soon) == others)
        #expect(try await session.othersInPublic(atMost: 2, deadline: soon) == Array(others.prefix(2)))
        try await session.removeContents(except: ["mine"], keeping: ["plpgsql"], deadline: soon)
        #expect(try await session.othersInPublic(atMost: 9, deadline: soon) == [])
        #expect(try await session.ownContents(deadline: soon).tables.isEmpty)
        #expect(try await session.run("SELECT to_regclass('mine.seen') IS NOT NULL AS there").one().get("there", as: Bool.self))
        await session.connection.close()
    }
}
