import PostgresClient
import ProcedureKit
import RemoteHost
import Report
import Run
import Server
import Testing

@testable import PgBackRest
@testable import Procedures
@testable import Spock

/// What undo does about each state it may find.
@Suite("Taking back")
struct UndoTests {
    @Test(arguments: ["5.0.11", "6.0.0"])
    func `every mode that closes a node is known as the run's own`(version: String) throws {
        let mode = ReadOnlyMode.closingClients(on: try #require(SpockVersion(version)))
        #expect(ClosingSetting.spockReadOnly.name == "spock.readonly")
        #expect(ClosingSetting.spockReadOnly.closingValues.contains(mode.rawValue))
        #expect(ClosingSetting.spockReadOnly.closingValues == ["user", "local"])
    }

    private static func slot(plugin: String? = "spock_output", database: String? = "app", at position: String? = "0/100") -> ReplicationSlot {
        ReplicationSlot(
            name: "spk_app_n2_sub_n2_n4", plugin: plugin, database: database, activePID: nil, restartLSN: nil,
            confirmedFlushLSN: position.flatMap { LSN($0) }, walStatus: nil, retainedBytes: nil)
    }

    @Test(
        arguments: [
            (slot: slot(), begin: "0/100", subscribed: false, reader: nil, change: nil),
            (slot: slot(at: "0/200"), begin: "0/100", subscribed: true, reader: "sub_n2_n4", change: nil),
            (slot: slot(at: nil), begin: nil, subscribed: false, reader: "pggraft", change: nil),
            (slot: slot(at: "0/200"), begin: nil, subscribed: false, reader: nil, change: nil),
            (slot: slot(at: "0/200"), begin: "0/100", subscribed: false, reader: nil, change: "it stands at 0/200, and this run's was left at 0/100"),
            (slot: slot(at: "0/80"), begin: "0/100", subscribed: true, reader: nil, change: "it stands at 0/80, before 0/100 where this run's began"),
            (slot: slot(plugin: "pgoutput"), begin: "0/100", subscribed: true, reader: nil, change: "its plugin is pgoutput"),
            (slot: slot(plugin: nil, database: nil), begin: "0/100", subscribed: true, reader: nil, change: "it is a physical slot"),
            (slot: slot(database: "other"), begin: "0/100", subscribed: true, reader: nil, change: "it is of database other"),
            (slot: slot(), begin: "0/100", subscribed: true, reader: "pg_recvlogical", change: "it is read by 'pg_recvlogical'"),
        ] as [(slot: ReplicationSlot, begin: String?, subscribed: Bool, reader: String?, change: String?)])
    func `a slot is the run's own unless something shows that it is another`(
        _ row: (slot: ReplicationSlot, begin: String?, subscribed: Bool, reader: String?, change: String?)
    ) {
        let mine = MadeSlot(
            database: "app", begin: row.begin.flatMap { LSN($0) }, mayHaveBeenRead: row.subscribed, readers: ["pggraft", "sub_n2_n4"])
        #expect(mine.change(in: row.slot, reader: row.reader) == row.change)
    }

    private static func subscription(_ change: (inout Subscription) -> Void = { _ in }) throws -> Subscription {
        var found = Subscription(
            id: 1, name: "sub_n4_n1", provider: "n4", subscriber: "n1", providerDSN: try Conninfo(parsing: "host=n4"), isEnabled: true,
            slot: "spk_app_n4_sub_n4_n1", settings: Subscription.Settings(replicationSets: ["default", "ddl_sql"]))
        change(&found)
        return found
    }

    static func changes() throws -> [(found: Subscription, change: String?)] {
        [
            (try subscription(), nil),
            (try subscription { $0.settings.replicationSets.reverse() }, nil),
            (try subscription { $0.isEnabled = false }, nil),
            (try subscription { $0.provider = "n2" }, "it reads n2, not n4"),
            (try subscription { $0.slot = "another" }, "slot another, not spk_app_n4_sub_n4_n1"),
            (try subscription { $0.settings.replicationSets = ["default"] }, "replication sets {default}, not {ddl_sql,default}"),
            (
                try subscription {
                    $0.settings.forwardOrigins = ["all"]
                    $0.settings.applyDelay = .seconds(60)
                }, "forwarded origins {all}, not {}; apply delay 60 s, not 0 ms"
            ),
        ]
    }

    @Test(arguments: try changes())
    func `a subscription is as it was made by its provider, slot and settings, disabled or not`(_ row: (found: Subscription, change: String?)) {
        let made = MadeSubscription(
            subscriber: "n1", name: "sub_n4_n1", provider: "n4", slot: "spk_app_n4_sub_n4_n1",
            settings: Subscription.Settings(replicationSets: ["default", "ddl_sql"]))
        #expect(made.change(in: row.found) == row.change)
    }
}
