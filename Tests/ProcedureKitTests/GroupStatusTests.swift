import PostgresClient
import ProcedureKit
import Report
import Server
import Testing

@Suite("The status of a primary and its standbys") struct GroupStatusTests {
    private static func primary(_ name: String = "db1", list: String = "", senders: [StreamingStandby] = [], slots: [ReplicationSlot] = [], failing: String? = nil)
        -> GroupView.Node
    {
        GroupView.Node(
            name: name, address: "10.0.0.\(name.last ?? "0")",
            state: .serving(
                ReplicationLook(
                    recovery: RecoveryState(isInRecovery: false), timeline: 2, writtenLSN: LSN(position: 0x5000), senders: senders, slots: slots,
                    settings: ["synchronous_standby_names": list, "server_version_num": "150018"], failingArchive: failing)))
    }

    private static func standby(_ name: String, streams: Bool = true, timeline: UInt32 = 2, slot: String? = nil) throws -> GroupView.Node {
        GroupView.Node(
            name: name, address: "10.0.0.\(name.last ?? "0")",
            state: .serving(
                ReplicationLook(
                    recovery: RecoveryState(isInRecovery: true, replayedLSN: LSN(position: 0x4000), isReceiving: streams, isStreaming: streams), timeline: timeline,
                    settings: ["primary_slot_name": slot ?? ""], conninfo: try Conninfo(parsing: "host=10.0.0.1 application_name=\(name)"))))
    }

    private static func slot(_ name: String, readBy pid: Int?) throws -> ReplicationSlot {
        ReplicationSlot(
            name: try #require(SlotName(rawValue: name)), plugin: nil, database: nil, activePID: pid, restartLSN: nil, confirmedFlushLSN: nil, walStatus: nil, retainedBytes: 4096)
    }

    @Test func `says who is what, how far behind, and what is kept for it; nothing is wrong`() throws {
        let view = GroupView([
            Self.primary(list: "FIRST 1 (db2)", senders: [StreamingStandby(pid: 7, application: "db2", sync: .sync)], slots: [try Self.slot("db2", readBy: 7)]),
            try Self.standby("db2", slot: "db2"),
        ])
        let status = GroupStatus(view)
        #expect(status.problems == [] && status.hanging == nil)
        #expect(status.lines.map(\.role) == [.primary, .standby])
        let line = try #require(status.lines.last)
        #expect(line.upstream == "db1" && line.lag == 0x1000 && line.sync == "sync" && line.slot == "db2" && line.retained == 4096 && line.isStreaming)
    }

    static let wrong: [(what: String, view: @Sendable () throws -> GroupView, words: [String])] = [
        ("two primaries", { GroupView([primary("db1"), primary("db2")]) }, ["db1 and db2 are both primaries"]),
        ("none", { GroupView([try standby("db2", streams: false)]) }, ["no primary among db2", "db2 does not stream"]),
        ("silent", { GroupView([primary(), GroupView.Node(name: "db2", address: "10.0.0.2", state: .unreachable(Problem("no route")))]) }, ["db2 cannot be reached: no route"]),
        ("hanging", { GroupView([primary(list: "ANY 1 (db2, db3)")]) }, ["db1: commits wait for ANY 1 (db2, db3), and so many of them are not there"]),
        (
            "another timeline",
            { GroupView([primary(senders: [StreamingStandby(pid: 7, application: "db2")]), try standby("db2", timeline: 1)]) }, ["db2 is on timeline 1, the primary on 2"]
        ),
        ("an orphan slot", { GroupView([primary(slots: [try slot("old", readBy: nil)])]) }, ["db1: nobody reads the slot old, for which it keeps 4 KB"]),
        ("an archive that fails", { GroupView([primary(failing: "000000010000000000000003")]) }, ["archive_command has failed for 000000010000000000000003"]),
    ]

    @Test(arguments: wrong.indices)
    func `tells what is wrong`(index: Int) throws {
        let (_, view, words) = Self.wrong[index], facts = GroupStatus(try view()).problems.map(\.fact)
        #expect(facts.count == words.count, "\(facts)")
        for (fact, words) in zip(facts, words) { #expect(fact.contains(words), "\(fact)") }
    }

    @Test func `commits hang from when they were first seen to, and not before they are seen twice`() {
        var clock = HangingCommits()
        let begin = ContinuousClock.now, one = WaitingCommit(pid: 1, begun: "a"), two = WaitingCommit(pid: 1, begun: "b")
        #expect(clock.look(isUnsatisfied: false, waiting: [one], at: begin) == nil)
        #expect(clock.look(isUnsatisfied: false, waiting: [two], at: begin + .seconds(5)) == nil, "another commit of the same session")
        #expect(clock.look(isUnsatisfied: false, waiting: [two], at: begin + .seconds(10)) == .seconds(5))
        #expect(clock.look(isUnsatisfied: false, waiting: [], at: begin + .seconds(15)) == nil)
        #expect(clock.look(isUnsatisfied: true, waiting: [], at: begin + .seconds(20)) == .zero)
        #expect(clock.look(isUnsatisfied: true, waiting: [one], at: begin + .seconds(30)) == .seconds(10))
        #expect(clock.look(isUnsatisfied: false, waiting: [], at: begin + .seconds(40)) == nil)
    }
}
