import EventLoop
import PostgresClient
import Server
import Testing

@testable import Spock

@Suite struct MeshChecksTests {
    static let ids: [NodeName: NodeID] = ["n1": 49708, "n2": 26863, "n3": 311, "n4": 4711]
    static let new = NewNode(name: "n4", id: 4711, source: "n1")

    static func node(_ name: NodeName) -> SpockNode { SpockNode(id: ids[name] ?? 0, name: name, dsn: Conninfo(["host": name.rawValue])) }

    /// A node of a healthy mesh of three.
    static func state(_ name: NodeName) -> SpockNodeState {
        let peers = (["n1", "n2", "n3"] as [NodeName]).filter { $0 != name }
        let subscriptions = peers.enumerated().map { index, peer in
            Subscription(
                id: UInt32(index), name: SubscriptionName(stringLiteral: "sub_\(peer)_\(name)"), provider: peer, subscriber: name,
                providerDSN: Conninfo(["host": peer.rawValue]), isEnabled: true, slot: SlotName(stringLiteral: "spk_app_\(peer)_sub_\(peer)_\(name)"), settings: .init())
        }
        return SpockNodeState(
            database: "app", extensionVersion: SpockVersion("5.0.11"), libraryVersion: SpockVersion("5.0.11"), isSuperuser: true, isInRecovery: false,
            local: node(name), nodes: (["n1", "n2", "n3"] as [NodeName]).map(node), subscriptions: subscriptions,
            statuses: Dictionary(uniqueKeysWithValues: subscriptions.map { ($0.name, .replicating) }),
            replicationSets: ["default", "default_insert_only", "ddl_sql"].map { ReplicationSet(name: $0) }, refusedTables: [],
            settings: [
                "spock.readonly": "off", "max_replication_slots": "10", "max_wal_senders": "10", "max_worker_processes": "16",
            ],
            readOnlyOverrides: [], exceptionCount: 0,
            origins: subscriptions.enumerated().map { ReplicationOrigin(localID: UInt32($0.offset + 1), name: $0.element.origin, remoteLSN: nil) },
            slots: peers.map { slot(SlotName(stringLiteral: "spk_app_\(name)_sub_\(name)_\($0)")) }, preparedTransactions: [], extensionDependents: [],
            usage: .init(walSenders: 2, backgroundWorkers: 6), otherDatabases: [.init(name: "postgres", spock: .absent)])
    }

    static func slot(_ name: SlotName, activePID: Int? = 12) -> ReplicationSlot {
        ReplicationSlot(
            name: name, plugin: "spock_output", database: "app", activePID: activePID, restartLSN: .zero, confirmedFlushLSN: .zero,
            walStatus: "reserved", retainedBytes: 0)
    }

    static func mesh(_ change: (inout [NodeName: SpockNodeState]) -> Void = { _ in }) -> MeshView {
        var states = Dictionary(uniqueKeysWithValues: (["n1", "n2", "n3"] as [NodeName]).map { ($0, state($0)) })
        change(&states)
        return MeshView(Array(states.values))
    }

    static func facts(_ mode: MeshChecks.Handover = .live, _ change: (inout [NodeName: SpockNodeState]) -> Void) -> [String] {
        MeshChecks.all(of: mesh(change), adding: new, mode: mode).map(\.fact)
    }

    @Test func `a healthy mesh has no finding`() {
        #expect(MeshChecks.all(of: MeshChecksTests.mesh(), adding: MeshChecksTests.new, mode: .live) == [])
        #expect(MeshChecks.all(of: MeshChecksTests.mesh(), adding: MeshChecksTests.new, mode: .readOnly) == [])
    }

    @Test func `for the logical way the new node's own server is held against the limits, and a node that is alone is a mesh`() {
        var new = MeshChecksTests.new
        new.state = MeshChecksTests.state("n4")
        #expect(MeshChecks.all(of: MeshChecksTests.mesh(), adding: new, mode: .logical) == [])
        new.state?.settings["max_replication_slots"] = "4"
        let facts = MeshChecks.all(of: MeshChecksTests.mesh(), adding: new, mode: .logical).map(\.fact)
        #expect(facts.count == 2 && facts.allSatisfy { $0.contains("n4") && $0.contains("max_replication_slots") }, "\(facts)")
        #expect(facts.contains { $0.contains("3 slots there + 1 for each of 3 nodes") } && facts.contains { $0.contains("2 for each of 3 nodes") }, "\(facts)")
        var alone = MeshChecksTests.state("n1")
        (alone.subscriptions, alone.statuses, alone.slots, alone.nodes) = ([], [:], [], [MeshChecksTests.node("n1")])
        new.state?.settings["max_replication_slots"] = "10"
        #expect(MeshChecks.all(of: MeshView([alone]), adding: new, mode: .logical) == [])
        #expect(!MeshChecks.all(of: MeshView([alone]), adding: MeshChecksTests.new, mode: .live).isEmpty)
    }

    @Test func `different versions are told with their nodes`() {
        #expect(
            MeshChecksTests.facts { $0["n2"]?.libraryVersion = SpockVersion("5.0.10") } == [
                "n2: the library is Spock 5.0.10, the extension in the database still 5.0.11",
                "the nodes have different versions of Spock: n1 5.0.11, n2 5.0.10, n3 5.0.11",
            ])
    }

    @Test func `a subscription that is missing, or down, is told with both its ends`() {
        #expect(
            MeshChecksTests.facts { $0["n2"]?.subscriptions.removeAll { $0.provider == "n3" } } == [
                "n2 does not subscribe to n3", "n3: slot spk_app_n3_sub_n3_n2 belongs to no subscription of the mesh, and is being read",
            ])
        #expect(MeshChecksTests.facts { $0["n2"]?.statuses["sub_n3_n2"] = .down } == ["subscription sub_n3_n2 from n3 to n2 is down"])
        #expect(MeshChecksTests.facts { $0["n2"]?.statuses["sub_n3_n2"] = nil } == ["subscription sub_n3_n2 from n3 to n2 is unknown"])
    }

    @Test func `two subscriptions of one pair are told with their names`() {
        let facts = MeshChecksTests.facts { states in
            guard var second = states["n2"]?.subscriptions.first(where: { $0.provider == "n3" }) else { return }
            second.name = "sub_n3_n2_more"
            states["n2"]?.subscriptions.append(second)
        }
        #expect(facts == ["n2 reads n3 over 2 subscriptions: sub_n3_n2 and sub_n3_n2_more"])
    }

    @Test func `a node nobody looked at is told with those who know it`() {
        let left = MeshChecks.visited(MeshView([MeshChecksTests.state("n1"), MeshChecksTests.state("n2")]))
        #expect(left.map(\.fact) == ["node n3 is known to n1 and n2, but it was not looked at"])
    }

    @Test func `the new node's name and id must be free`() {
        let mesh = MeshChecksTests.mesh { $0["n3"]?.nodes.append(MeshChecksTests.node("n4")) }
        #expect(MeshChecks.identity(of: MeshChecksTests.new, in: mesh).map(\.fact) == ["the node name n4 is taken: n3 knows a node called so"])
        let same = NewNode(name: "n77", id: 26863, source: "n1")
        #expect(MeshChecks.identity(of: same, in: MeshChecksTests.mesh()).map(\.fact) == ["n77 would have the node id 26863, which is that of n2"])
        let elsewhere = MeshChecksTests.mesh { $0["n2"]?.otherDatabases = [.init(name: "crm", spock: .nodes([26864: "x1"]))] }
        #expect(MeshChecks.identity(of: NewNode(name: "n77", id: 26864, source: "n1"), in: elsewhere) == [.idTaken("n77", id: 26864, by: "x1")])
    }

    @Test func `an instance with two meshes stops a live handover, and any where they share a node id`() {
        let one: (inout [NodeName: SpockNodeState]) -> Void = { $0["n1"]?.otherDatabases = [.init(name: "crm", spock: .nodes([6: "x2", 5: "x"]))] }
        let two: (inout [NodeName: SpockNodeState]) -> Void = { $0["n1"]?.otherDatabases = [.init(name: "crm", spock: .nodes([311: "n3", 5: "x"]))] }
        func found(_ change: (inout [NodeName: SpockNodeState]) -> Void, _ mode: MeshChecks.Handover) -> [MeshFinding] {
            MeshChecks.sharedInstances(MeshChecksTests.mesh(change), source: "n1", mode: mode)
        }
        #expect(found(one, .live).map(\.severity) == [.blocker])
        #expect(found(one, .readOnly) == [])
        for mode in [MeshChecks.Handover.live, .readOnly] {
            #expect(found(two, mode).map(\.fact) == ["n1: database crm of the same instance is a Spock node too, with the same node ids 311"])
            #expect(found(two, mode).map(\.severity) == [.blocker])
        }
    }

    @Test func `what the source's databases would bring along is told, and stops the run where it cannot be taken off the copy`() {
        let mesh = MeshChecksTests.mesh { states in
            let crm = CopiedDatabase(
                database: "crm", replicators: ["spock"], node: "xn1", subscriptions: ["legacy"], dependents: ["view public.who"],
                unlogged: [RelationName(schema: "public", name: "cache")])
            states["n1"]?.otherDatabases = [
                .init(name: "crm", spock: .nodes([6: "xn2", 5: "xn1"]), carried: crm), .init(name: "frozen", spock: .closed),
                .init(name: "old", spock: .absent, carried: CopiedDatabase(database: "old", replicators: ["pglogical"], strangers: ["bdr"])),
                .init(name: "shut", spock: .unknown("no entry in pg_hba.conf")),
            ]
            // No copy is made of it.
            let same = states["n1"]?.otherDatabases ?? []
            states["n2"]?.otherDatabases = same
            states["n1"]?.carried = CopiedDatabase(database: "app", replicators: ["spock"], node: "n1", unlogged: [RelationName(schema: "app", name: "session")])
        }
        let found = MeshChecks.all(of: mesh, adding: MeshChecksTests.new, mode: .readOnly)
        #expect(
            found.filter { $0.severity == .blocker }.map(\.fact) == [
                "n1: whether database shut of the same instance has Spock is not known: no entry in pg_hba.conf",
                "n1: in database crm an object depends on the extensions that replicate: view public.who", "n1: database old has the extension bdr",
            ])
        #expect(
            found.filter { $0.severity == .warning }.map(\.fact) == [
                "n1: database frozen takes no connections: whether it has Spock or pglogical is not known",
                "n2: whether database shut of the same instance has Spock is not known: no entry in pg_hba.conf",
                "n1: database crm has Spock node xn1 and subscription legacy too", "n1: database old has extension pglogical too",
                "n1: a table is unlogged in database app: app.session", "n1: a table is unlogged in database crm: public.cache",
            ])
        // The copy recovers with a state for each node that the other mesh reads.
        #expect(MeshLimit.all(of: mesh, adding: MeshChecksTests.new).first { $0.node == "n4" && $0.sum.contains("recovers") }?.needed == 6)
        let needed = MeshLimit.all(
            of: MeshChecksTests.mesh { $0["n1"]?.otherDatabases = [.init(name: "crm", spock: .nodes([1: "a", 2: "b", 3: "c", 4: "d"]))] }, adding: MeshChecksTests.new)
        #expect(needed.first { $0.node == "n4" && $0.sum.contains("recovers") }?.needed == 7)
    }

    @Test func `a role that escapes read-only matters where read-only is used`() {
        let escape: (inout [NodeName: SpockNodeState]) -> Void = { $0["n1"]?.readOnlyOverrides = ["role app database app"] }
        #expect(MeshChecksTests.facts(.live, escape) == [])
        #expect(MeshChecksTests.facts(.readOnly, escape) == ["n1: role app database app has a spock.readonly of its own"])
    }

    @Test func `everything else that stands in the way has its line`() {
        #expect(
            MeshChecksTests.facts { states in
                states["n1"]?.extensionDependents = ["view public.who"]
                states["n1"]?.isSuperuser = false
                states["n1"]?.refusedTables = [.init(relation: .init(schema: "public", name: "t"), set: "default", reason: .identity)]
                states["n2"]?.settings["spock.readonly"] = "user"
                states["n2"]?.preparedTransactions = [.init(identifier: "T1", owner: "app", database: "app", age: .seconds(200))]
                states["n3"]?.replicationSets.removeAll { $0.name == "ddl_sql" }
                states["n3"]?.slots.append(MeshChecksTests.slot("spk_gone", activePID: nil))
                states["n3"]?.exceptionCount = 14
                states["n3"]?.otherDatabases = [.init(name: "crm", spock: .unknown("no entry in pg_hba.conf"))]
            } == [
                "n1: the role is no superuser",
                "n2: spock.readonly is 'user' already",
                "n2: a transaction is prepared: 'T1' (app, database app) since 3 min 20 s",
                "n1: an object depends on the extension spock: view public.who",
                "n1: Spock would not take these tables into their replication sets again: public.t in default has no primary key, or another replica identity",
                "subscription sub_n3_n1 names ddl_sql, which n3 does not have",
                "subscription sub_n3_n2 names ddl_sql, which n3 does not have",
                "n3: slot spk_gone belongs to no subscription of the mesh, and is read by nobody",
                "n3: whether database crm of the same instance has Spock is not known: no entry in pg_hba.conf",
                "n3: spock.exception_log has 14 rows: changes that were discarded before this run",
            ])
    }

    @Test func `subscriptions that differ from the rest are grouped`() {
        #expect(
            MeshChecksTests.facts { $0["n2"]?.subscriptions[1].settings.replicationSets = ["default"] } == [
                "the subscriptions have different settings: sub_n1_n2, sub_n1_n3, sub_n2_n1, sub_n2_n3, sub_n3_n1 | sub_n3_n2"
            ])
    }

    @Test func `the source's subscriptions must agree, those that it provides and those that it reads`() throws {
        let provided = MeshChecks.models(of: MeshChecksTests.new, in: MeshChecksTests.mesh { $0["n2"]?.subscriptions[0].settings.replicationSets = ["default"] })
        #expect(
            provided.map(\.fact) == [
                "the subscriptions between n1 and the new node have no model: sub_n1_n2 and sub_n1_n3 differ in replication sets {default} and {ddl_sql,default,default_insert_only}"
            ])
        #expect(provided.map(\.severity) == [.blocker])
        let read = MeshChecks.models(
            of: MeshChecksTests.new,
            in: MeshChecksTests.mesh {
                $0["n1"]?.subscriptions[1].settings = .init(forwardOrigins: ["all"], applyDelay: .seconds(3), forceTextTransfer: true, skipSchema: ["audit"])
            })
        #expect(
            read.map(\.fact) == [
                "the subscriptions between n1 and the new node have no model: sub_n2_n1 and sub_n3_n1 differ in forwarded origins {} and {all}; apply delay 0 ms and 3 s; skipped schemas {} and {audit}; text transfer as needed and forced"
            ])
        let missing = MeshChecksTests.mesh { $0["n1"]?.subscriptions.removeAll { $0.provider == "n2" } }
        #expect(MeshChecks.models(of: MeshChecksTests.new, in: missing) == [])
        #expect(MeshChecks.models(of: MeshChecksTests.new, in: MeshView([MeshChecksTests.state("n1")])).map(\.severity) == [.blocker])
    }

    @Test func `what passes on what others have written is refused`() {
        let found = MeshChecks.subscriptions(MeshChecksTests.mesh { $0["n2"]?.subscriptions[1].settings.forwardOrigins = ["all"] })
            .filter { $0.severity == .blocker }
        #expect(found.map(\.fact) == ["sub_n3_n2 passes on what other nodes have written (forward_origins)"])
    }

    @Test(arguments: [(3, 30, false), (12, 30, false), (13, 30, true), (60, 300, false)])
    func `a delay that the window is too short for is refused`(delay: Int, window: Int, isRefused: Bool) {
        let mesh = MeshChecksTests.mesh { $0["n2"]?.subscriptions[1].settings.applyDelay = .seconds(delay) }
        let found = MeshChecks.delays(of: mesh, window: .seconds(window))
        #expect(found.map(\.severity) == [isRefused ? .blocker : .warning])
        #expect(found.first?.fact.contains("sub_n3_n2 applies late (apply_delay up to \(delay) s)") ?? false)
        #expect(MeshChecks.delays(of: MeshChecksTests.mesh(), window: .seconds(window)) == [])
    }

    @Test func `superusers are named where the read-only mode does not stop them`() {
        let connected: (inout [NodeName: SpockNodeState]) -> Void = { $0["n2"]?.superuserClients = ["postgres (psql)"] }
        #expect(MeshChecksTests.facts(.readOnly, connected) == [])
        let six = MeshChecks.writable(
            MeshChecksTests.mesh {
                connected(&$0)
                $0["n2"]?.libraryVersion = SpockVersion("6.0.0-beta.1")
            }, mode: .readOnly)
        #expect(six.map(\.fact) == ["n2: superusers are connected, whom the read-only mode of this version does not stop: postgres (psql)"])
        #expect(six.map(\.severity) == [.warning])
    }

    @Test(
        arguments: [
            ("n1", "max_replication_slots", 6, 5, "2 origins there + 1 for n4 + 1 for each of 3 other nodes in a crash recovery"),
            ("n1", "max_wal_senders", 4, 3, "2 senders there + 1 for n4 + 1 to feed the copy"),
            ("n2", "max_wal_senders", 3, 2, "2 senders there + 1 for n4"),
            ("n3", "max_worker_processes", 7, 6, "6 workers there + 1 to apply n4"),
        ] as [(NodeName, String, Int, Int, String)])
    func `each limit is needed to the last`(node: NodeName, setting: String, needed: Int, tooFew: Int, sum: String) {
        func limits(_ value: Int) -> [MeshLimit] {
            MeshLimit.all(of: MeshChecksTests.mesh { $0[node]?.settings[setting] = "\(value)" }, adding: MeshChecksTests.new)
                .filter { $0.node == node && !$0.isSufficient }
        }
        #expect(limits(needed) == [])
        #expect(limits(tooFew) == [MeshLimit(node: node, setting: setting, needed: needed, found: tooFew, sum: sum)])
    }

    @Test func `the copy's limits are those of the source, for all its peers`() {
        let limits = MeshLimit.all(of: MeshChecksTests.mesh(), adding: MeshChecksTests.new).filter { $0.node == "n4" }
        #expect(limits.map(\.setting) == ["max_replication_slots", "max_replication_slots", "max_wal_senders", "max_worker_processes"])
        #expect(limits.map(\.needed) == [3, 6, 3, 8])
        #expect(limits.map(\.found) == [10, 10, 10, 16])
        let finding = MeshFinding.limit(MeshLimit(node: "n4", setting: "max_wal_senders", needed: 3, found: 2, sum: "1 sender for each of 3 peers"))
        #expect(
            finding.description == """
                n4: max_wal_senders is 2, 3 are needed (1 sender for each of 3 peers)
                  HINT: set max_wal_senders to at least 3 and restart n4
                """)
    }
}
