import EventLoop
import PostgresClient
import Server
import Testing

@testable import Spock

/// The operations on a running mesh of three nodes, and a fourth server that joins it.
@Suite(.enabled(if: TestMesh.binaries != nil, "PGGRAFT_SPOCK_BINDIR names no PostgreSQL with Spock"), .serialized)
struct MeshTests {
    static let tables: [SQL] = [
        "CREATE TABLE public.items (id int PRIMARY KEY, name text, price numeric, seen timestamptz DEFAULT now(), blob bytea, secret text)",
        "CREATE TABLE public.\"Odd Name\" (\"the Key\" int PRIMARY KEY, f float8)",
        "CREATE SEQUENCE public.numbers",
    ]

    @Test func `a mesh is read, checked, drained and joined by a fourth node`() async throws {
        let mesh = try await TestMesh(servers: 4)
        let sessions = try await mesh.sessions()
        let (n1, n2, n4) = (sessions[0], sessions[1], sessions[3])
        try await mesh.join([0, 1, 2], sessions, tables: MeshTests.tables)
        for index in 0..<3 {
            try await sessions[index].run("SELECT spock.repset_create('extra', replicate_truncate := false)")
            try await sessions[index].run("SELECT spock.repset_add_table('default', 'public.items', columns := '{id,name,price,seen,blob}')")
            try await sessions[index].run("SELECT spock.repset_add_table('extra', 'public.\"Odd Name\"', row_filter := '\"the Key\" > 0')")
            try await sessions[index].run("SELECT spock.repset_add_seq('default', 'public.numbers')")
            for other in 0..<3 where other != index {
                try await sessions[index].run("SELECT spock.sub_add_repset(\(TestMesh.subscription(from: other, to: index)), 'extra')")
            }
        }
        for index in 0..<3 {
            let names = (0..<3).filter { $0 != index }.map { TestMesh.subscription(from: $0, to: index) }
            try await sessions[index].waitReplicating(names)
        }

        // What the catalogs say.
        var states: [SpockNodeState] = []
        for index in 0..<3 {
            states.append(try await sessions[index].state(connectingTo: { try await mesh.connect(index, database: $0) }, deadline: soon))
        }
        let view = MeshView(states)
        #expect(view.names == ["n1", "n2", "n3"])
        #expect(view.subscriptions.count == 6)
        #expect(view.subscriptionPattern?.description == "sub_{provider}_{subscriber}")
        #expect(states[0].isLoaded && states[0].isSuperuser && !states[0].isInRecovery)
        #expect(states[0].version == states[1].version)
        #expect(states[0].otherDatabases.map(\.name) == ["postgres", "template1"])
        #expect(states[0].otherDatabases.allSatisfy { $0.spock == .absent && $0.carried == CopiedDatabase(database: $0.name) })
        #expect(states[0].carried?.node == "n1" && states[0].carried?.replicators.first == "spock")
        #expect(states[0].local?.dsn == mesh.dsn(0))
        let new = NewNode(name: "n4", id: try await n1.nodeID(of: "n4", deadline: soon), source: "n1")
        #expect(MeshChecks.all(of: view, adding: new, mode: .live) == [])
        for node in states[0].nodes { #expect(try await n4.nodeID(of: node.name, deadline: soon) == node.id) }
        #expect(MeshChecks.identity(of: NewNode(name: "n2", id: 1, source: "n1"), in: view) == [.nameTaken("n2", on: ["n1", "n2", "n3"])])

        // Sets, captured and made again.
        let captured = try await n1.captureReplicationSets(deadline: soon)
        #expect(captured.map(\.name) == ["ddl_sql", "default", "default_insert_only", "extra"])
        #expect(captured[1].tables == [.init(relation: RelationName(schema: "public", name: "items"), columns: ["id", "name", "price", "seen", "blob"])])
        #expect(captured[1].sequences == [RelationName(schema: "public", name: "numbers")])
        #expect(captured[3].tables.first?.rowFilter == "(\"the Key\" > 0)")
        #expect(captured[3].actions == .init(truncate: false))
        for table in MeshTests.tables { try await n4.run(table) }
        try await n4.createNode("n4", dsn: mesh.dsn(3), location: "here", info: "{\"tiebreaker\": 4}", deadline: soon)
        try await n4.recreateReplicationSets(captured, deadline: soon)
        try await n4.recreateReplicationSets(captured, deadline: soon)
        #expect(try await n4.captureReplicationSets(deadline: soon) == captured)

        // Slots on the providers, subscriptions both ways.
        var toNew: [NewSubscription] = []
        for index in 0..<3 {
            let provider = TestMesh.name(index), watcher = try await mesh.session(index)
            let name = try #require(view.subscriptionPattern?.name(provider: provider, subscriber: "n4"))
            let slot = try await n4.generateSlotName(database: "app", provider: provider, subscription: name, deadline: soon)
            let lsn = try #require(try await sessions[index].createSlots([slot], watcher: watcher.server, deadline: soon)[slot])
            #expect(try await sessions[index].server.slot(slot, deadline: soon)?.confirmedFlushLSN == lsn)
            try await sessions[index].run("INSERT INTO public.items (id, name, price, blob) VALUES (\(index), 'item', 1.50, '\\xff00')")
            let settings = try #require(view.subscription(provider: "n1", subscriber: "n2")).settings
            toNew.append(NewSubscription(name: name, providerDSN: mesh.dsn(index), settings: settings, slot: slot, resumeLSN: lsn))
        }
        try await n4.createSubscriptions(toNew, deadline: soon)
        try await n4.waitReplicating(toNew.map(\.name))
        for subscription in try await n4.subscriptions(deadline: soon) {
            #expect(subscription.settings.replicationSets.contains("extra"))
            #expect(subscription.isEnabled)
        }
        for index in 0..<3 {
            let name = TestMesh.subscription(from: 3, to: index)
            let slot = try await sessions[index].generateSlotName(database: "app", provider: "n4", subscription: name, deadline: soon)
            _ = try await n4.createSlots([slot], watcher: try await mesh.session(3).server, deadline: soon)
            try await sessions[index].createSubscriptions(
                [NewSubscription(name: name, providerDSN: mesh.dsn(3), settings: toNew[0].settings, slot: slot)], deadline: soon)
            try await sessions[index].waitReplicating([name])
        }

        // A canary from everywhere, heard everywhere, gone everywhere.
        let setsBefore = try await n1.captureReplicationSets(deadline: soon)
        for session in sessions { try await session.createCanary(deadline: soon) }
        for session in sessions { try await session.createCanary(deadline: soon) }
        #expect(try await n1.captureReplicationSets(deadline: soon) == setsBefore, "it belongs to no node's sets")
        #expect(try await n1.replicatedTables(deadline: soon).filter { !$0.memberships.isEmpty }.allSatisfy { $0.relation != Canary.table })
        for (index, session) in sessions.enumerated() { try await session.singCanary(node: TestMesh.name(index), run: "r1", deadline: soon) }
        for session in sessions { try await session.hearCanary(from: ["n1", "n2", "n3", "n4"], run: "r1", deadline: soon) }
        for session in sessions { try await session.dropCanary(deadline: soon) }
        for session in sessions { try await session.dropCanary(deadline: soon) }
        for session in sessions {
            #expect(try await session.run("SELECT to_regnamespace('pggraft') IS NULL AS gone").one().get("gone"))
        }

        // Drained, and equal.
        let drained = try await drain(try await directions(sessions), deadline: soon).directions
        #expect(drained.count == 12)
        #expect(drained.allSatisfy { $0.applied >= $0.lsn })
        let items = try #require(try await n1.replicatedTables(deadline: soon).first { $0.relation.name == "items" })
        #expect(items.columns == ["blob", "id", "name", "price", "secret", "seen"])
        #expect(items.memberships.map(\.set) == ["default"])
        #expect(items.key == [KeyColumn(name: "id", type: "integer")])
        var looks: Set<TableLook> = []
        let (moment, isTracked) = try await n1.commitMoment(deadline: soon)
        #expect(isTracked)
        for session in sessions {
            let part = TablePart(of: items, columns: ["blob", "id", "name", "price", "seen"])
            looks.formUnion(try await session.fingerprints(of: [part, part], before: moment, deadline: soon))
        }
        #expect(looks.count == 1)
        guard case .seen(let fingerprint, younger: 0)? = looks.first else { throw UnexpectedAnswer(text: "\(looks)") }
        #expect(fingerprint.rows == 3)
        for session in sessions { #expect(try await session.exceptionCount(deadline: soon) == 0) }

        // And out again: the fourth leaves nothing behind.
        for index in 0..<3 { try await sessions[index].dropSubscription(TestMesh.subscription(from: 3, to: index), deadline: soon) }
        for subscription in toNew { try await n4.dropSubscription(subscription.name, deadline: soon) }
        try await n4.run("SELECT spock.node_drop('n4')")
        for index in 0..<3 {
            let state = try await sessions[index].state(deadline: soon)
            #expect(state.nodes.map(\.name) == ["n1", "n2", "n3"])
            #expect(state.slots.count == 2)
            #expect(state.origins.filter { $0.name != nil }.count == 2)
        }
        #expect(try await n2.state(deadline: soon).subscriptions.count == 2)
    }

    private func directions(_ sessions: [SpockSession]) async throws -> [Direction] {
        var directions: [Direction] = []
        let byName = Dictionary(uniqueKeysWithValues: sessions.map { ($0.name, $0) })
        for subscriber in sessions {
            for subscription in try await subscriber.subscriptions(deadline: soon) {
                let provider = try #require(byName[subscription.provider.rawValue])
                directions.append(Direction(provider: provider, subscriber: subscriber, origin: subscription.origin))
            }
        }
        return directions
    }
}
