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
}
