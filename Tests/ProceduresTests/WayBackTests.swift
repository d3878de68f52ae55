import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Run
import Server
import Testing

@testable import Instance
@testable import Procedures

/// What follows from a control file, and from a look at a group, without a server.
@Suite("The way back of an old primary, and who takes its place") struct WayBackTests {
    private func way(_ data: ControlData, _ history: String = "1\t0/3000100\tno recovery target specified\n", version: MajorVersion = .postgres(15), system: String? = "7")
        -> WayBack
    {
        WayBack(of: data, to: 2, TimelineHistory(history), system: system, ServerFeatures(version))
    }

    @Test func `one that was shut down before the switch just follows`() throws {
        #expect(way(try controlData("shut down")) == .follows)
        #expect(way(try controlData("shut down", hints: "off")) == .follows)
        #expect(way(try controlData("shut down in recovery", minimum: "0/3000100")) == .follows)
    }

    @Test func `one that has written beyond it, or has crashed, is rewound`() throws {
        #expect(way(try controlData("shut down", checkpoint: "0/3000100")) == .rewinds)
        #expect(way(try controlData("in production")) == .rewinds)
        #expect(way(try controlData("shut down in recovery", minimum: "0/3000108")) == .rewinds)
        #expect(way(try controlData("in production", checksums: 1, hints: "off")) == .rewinds)
    }

    @Test func `where that cannot be, only a new copy helps`() throws {
        func why(_ way: WayBack) -> String { if case .needsCopy(let why) = way { why } else { "\(way)" } }
        #expect(why(way(try controlData("in production", hints: "off"))).contains("wal_log_hints = off"))
        #expect(why(way(try controlData("in production"), version: .postgres(12))).contains("it has crashed (in production)"))
        #expect(way(try controlData("shut down", checkpoint: "0/4000000"), version: .postgres(12)) == .rewinds)
        #expect(why(way(try controlData("shut down", timeline: 5))).contains("its timeline 5 is not in the history"))
        let old = try #require(MajorVersion("9.3")), older = try #require(MajorVersion("9.2"))
        #expect(
            why(way(try controlData("in production"), version: old)).contains(
                "it has crashed (in production), and may have written what the primary has not; PostgreSQL 9.3 has no pg_rewind"))
        #expect(
            why(way(try controlData("shut down", checkpoint: "0/4000000"), version: old)).contains(
                "its last checkpoint is at 0/4000000, and timeline 1 ends for the primary at 0/3000100")
        )
        #expect(way(try controlData("shut down"), version: old) == .follows)
        #expect(why(way(try controlData("shut down"), version: older)).contains("does not stream across the end of a timeline"))
    }

    private func own(_ data: ControlData, history: String? = nil) -> WayBack {
        WayBack(
            of: data, to: 2, TimelineHistory("1\t0/3000100\tno recovery target specified\n"), own: history.flatMap { TimelineHistory($0) }, system: "7",
            ServerFeatures(.postgres(15)))
    }

    @Test func `a standby of the primary itself just follows, whatever became of its host`() throws {
        for state in ["shut down in recovery", "in archive recovery"] {
            #expect(own(try controlData(state, timeline: 2, minimum: "0/4000000")) == .follows)
            #expect(own(try controlData(state, timeline: 2, minimum: "0/4000000"), history: "1\t0/3000100\tno recovery target specified\n") == .follows)
        }
        // Of an older timeline it may have replayed what is no part of the primary's.
        #expect(way(try controlData("in archive recovery", minimum: "0/3000108")) == .rewinds)
    }

    @Test func `one that was a primary on a timeline of the same number needs a copy`() throws {
        func why(_ way: WayBack) -> String { if case .needsCopy(let why) = way { why } else { "\(way)" } }
        for state in ["shut down", "in production", "shutting down", "in crash recovery"] {
            #expect(why(own(try controlData(state, timeline: 2, checkpoint: "0/4000000"))).contains("it was a primary itself on timeline 2, which is the primary's (\(state))"))
        }
        #expect(why(own(try controlData("shut down in recovery", timeline: 2), history: "1\t0/3000180\tno recovery target specified\n")).contains("behind 0/3000180 of timeline 1"))
        let first = WayBack(of: try controlData("shut down"), to: 1, nil, system: "7", ServerFeatures(.postgres(15)))
        #expect(why(first).contains("it was a primary itself on timeline 1"))
    }

    @Test func `that pg_rewind has nothing to take off says nothing of what it would follow by`() throws {
        #expect(own(try controlData("shut down in recovery", timeline: 2)).obstacleUnrewound == nil)
        #expect(way(try controlData("shut down")).obstacleUnrewound == nil)
        #expect(own(try controlData("shut down", timeline: 2)).obstacleUnrewound?.hasPrefix("pg_rewind says that no rewind is required, and it was a primary itself") == true)
        #expect(way(try controlData("shut down", checkpoint: "0/4000000")).obstacleUnrewound != nil)
    }

    @Test func `what ends a recovery is told before a switchover, and refused where its mark does not override it`() {
        let file = "/etc/pg/postgresql.conf", lines = "recovery_target_time = '2026-01-01'\nrecovery_target_action = 'promote'\nrecovery_target_xid = ''\n"
        let tree = SettingsTree(configFile: file, dataDirectory: "/data", snapshot: FileSnapshot(files: [file: Array(lines.utf8)]), version: .postgres(15))
        let refused = NothingEndsRecovery.findings(tree, on: "db1") { _ in false }
        #expect(refused.map(\.found) == ["recovery_target_time = '2026-01-01' (/etc/pg/postgresql.conf:1): as a standby it would stop there, or promote itself"])
        guard case .notMet(let hint) = refused[0].verdict else { return #expect(Bool(false), "it is not refused") }
        #expect(hint?.hasSuffix("pggraft conf reset db1 recovery_target_time") == true)
        guard case .note = NothingEndsRecovery.findings(tree, on: "db1", isOverridden: { _ in true })[0].verdict else { return #expect(Bool(false), "it is no note") }
    }

    @Test func `the directory of another cluster is none that comes back`() throws {
        guard case .isForeign(let why) = way(try controlData("shut down"), system: "8") else { return #expect(Bool(false), "it is taken for its own") }
        #expect(why.contains("its system identifier is 7, and the primary's 8"))
    }

    private func standby(_ name: String, received: UInt64, timeline: UInt32 = 1, of upstream: String = "10.0.0.1") -> GroupView.Node {
        GroupView.Node(
            name: name, address: "10.0.0.\(name.dropFirst(2))",
            state: .serving(
                ReplicationLook(
                    recovery: RecoveryState(isInRecovery: true, receivedLSN: LSN(position: received), replayedLSN: LSN(position: 1)), timeline: timeline,
                    settings: ["primary_slot_name": name], conninfo: Conninfo(["host": upstream, "user": "replicator", "application_name": name]))))
    }

    private var lost: GroupView.Node { GroupView.Node(name: "db1", address: "10.0.0.1", state: .unreachable(Problem("gone"))) }

    @Test func `who has most takes the place of a lost primary, and its other standbys follow`() throws {
        let view = GroupView([lost, standby("db2", received: 100), standby("db3", received: 200), standby("db4", received: 300, of: "10.0.0.2")])
        let succession = try Succession(view, of: "db1", to: nil)
        #expect(succession.new == "db3" && succession.received == LSN(position: 200))
        #expect(succession.followers.map(\.name) == ["db2"])
        #expect(succession.followers[0].conninfo.connectionString == "host=10.0.0.3 user=replicator application_name=db2 port=5432")
        #expect(succession.followers[0].slot == "db2")
        #expect(try Succession(view, of: "db1", to: "db3") == succession)
    }

    @Test func `a standby that has less, or is none, is refused`() {
        let view = GroupView([lost, standby("db2", received: 100), standby("db3", received: 200)])
        func refusal(_ view: GroupView, _ wanted: String?) -> String {
            do { return "\(try Succession(view, of: "db1", to: wanted).new)" } catch { return Problem(explaining: error).fact }
        }
        #expect(refusal(view, "db2") == "db3 has 100 B more than db2: they would be lost")
        #expect(refusal(GroupView([lost]), nil).hasPrefix("no standby of db1 can be asked"))
        #expect(refusal(GroupView([lost, standby("db2", received: 500), standby("db3", received: 1, timeline: 2)]), "db2").contains("they would be lost"))
    }
}
