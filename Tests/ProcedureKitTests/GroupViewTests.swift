import Instance
import PostgresClient
import PostgresConfig
import ProcedureKit
import Report
import Server
import Testing

/// What follows from a look at a group, without one.
@Suite("A look at a primary and its standbys") struct GroupViewTests {
    private func lsn(_ position: UInt64) -> LSN { LSN(position: position) }

    private func primary(_ name: String, at written: UInt64 = 1000, timeline: UInt32 = 1, senders: [StreamingStandby] = [], slots: [ReplicationSlot] = []) -> GroupView.Node {
        node(name, ReplicationLook(recovery: RecoveryState(isInRecovery: false), timeline: timeline, writtenLSN: lsn(written), senders: senders, slots: slots))
    }

    private func standby(
        _ name: String, of upstream: String, received: UInt64 = 1000, replayed: UInt64? = nil, timeline: UInt32 = 1, application: String? = nil, slot: String? = nil,
        streams: Bool = true
    ) -> GroupView.Node {
        var conninfo = Conninfo(["host": "10.0.0.\(upstream.dropFirst(2))", "port": "5432", "user": "replicator"])
        conninfo["application_name"] = application ?? name
        return node(
            name,
            ReplicationLook(
                recovery: RecoveryState(
                    isInRecovery: true, receivedLSN: lsn(received), replayedLSN: lsn(replayed ?? received), isReceiving: streams, isStreaming: streams), timeline: timeline,
                settings: ["primary_slot_name": slot ?? ""], conninfo: conninfo))
    }

    private func node(_ name: String, _ look: ReplicationLook) -> GroupView.Node { GroupView.Node(name: name, address: "10.0.0.\(name.dropFirst(2))", state: .serving(look)) }

    private func sender(_ name: String, pid: Int = 1, state: String = "streaming") -> StreamingStandby { StreamingStandby(pid: pid, application: name, state: state) }

    private func unreachable(_ name: String) -> GroupView.Node {
        GroupView.Node(name: name, address: "10.0.0.\(name.dropFirst(2))", state: .unreachable(Problem("\(name): no route to host")))
    }

    private func problem(_ work: () throws -> Void) -> Problem? {
        do {
            try work()
            return nil
        } catch {
            return error as? Problem
        }
    }

    @Test func `knows the one primary, and refuses two and none with what to do`() throws {
        #expect(try GroupView([standby("db1", of: "db2"), primary("db2")]).primary().name == "db2")
        let two = problem { _ = try GroupView([primary("db1", at: 0x3000148), primary("db2", at: 0x3000200, timeline: 2)]).primary() }
        #expect(two?.fact == "db1 and db2 are both primaries: db1 on timeline 1 at 0/3000148; db2 on timeline 2 at 0/3000200")
        #expect(two?.hint?.contains("procedure: rejoin") == true)
        let none = problem { _ = try GroupView([standby("db1", of: "db3"), unreachable("db2")]).primary() }
        #expect(none?.fact == "no primary among db1 and db2: db1 is a standby; db2 cannot be reached: db2: no route to host")
    }

    @Test func `knows who streams from whom, through a cascade`() {
        let view = GroupView([primary("db1", senders: [sender("db2"), sender("db3")]), standby("db2", of: "db1"), standby("db3", of: "db1"), standby("db4", of: "db2")])
        #expect(view["db4"].flatMap { view.upstream(of: $0)?.name } == "db2")
        #expect(view["db1"].map { view.standbys(of: $0).map(\.name) } == ["db2", "db3"])
        #expect(view["db2"].map { view.standbys(of: $0).map(\.name) } == ["db4"])
        #expect(view["db1"].flatMap { view.upstream(of: $0) } == nil)
    }

    @Test func `finds the upstream by the walsender where the address is another name`() {
        var look = standby("db2", of: "db1").look
        look?.conninfo?["host"] = "db1.example.net"
        let renamed = look.map { node("db2", $0) } ?? unreachable("db2")
        #expect(GroupView([primary("db1", senders: [sender("db2")]), renamed]).upstream(of: renamed)?.name == "db1")
        #expect(GroupView([primary("db1"), renamed]).upstream(of: renamed) == nil)
    }

    /// As it streams by a list of hosts.
    private func standby(_ name: String, by hosts: String, port: String? = nil) -> GroupView.Node {
        var look = standby(name, of: "db1").look
        look?.conninfo?["host"] = hosts
        look?.conninfo?["port"] = port
        return look.map { node(name, $0) } ?? unreachable(name)
    }

    @Test func `finds the upstream among several hosts, and in another spelling`() {
        let hosts = "10.0.0.1,10.0.0.2", db2 = standby("db2", by: hosts), db3 = standby("db3", by: hosts, port: "5432,5432")
        let lost = GroupView([unreachable("db1"), db2, db3])
        #expect(lost.upstream(of: db2)?.name == "db1" && lost.upstream(of: db3)?.name == "db1")
        #expect(GroupView([primary("db1"), db2, db3]).standbys(of: primary("db1")).map(\.name) == ["db2", "db3"])
        let cascade = standby("db2", of: "db1").look.map { look in
            var look = look
            look.senders = [sender("db3")]
            return node("db2", look)
        }
        #expect(cascade.map { GroupView([primary("db1"), $0, db3]).upstream(of: db3)?.name } == "db2")
        #expect(GroupView([primary("db1"), standby("db3", by: hosts, port: "5433")]).upstream(of: standby("db3", by: hosts, port: "5433")) == nil)

        let six = GroupView.Node(name: "db1", address: "fd00::1", state: .unreachable(Problem("gone"))), spelled = standby("db2", by: "FD00:0::0001", port: "5432")
        #expect(GroupView([six, spelled]).upstream(of: spelled)?.name == "db1")
    }

    @Test func `names who is none of the group, and whose a slot is`() throws {
        let slots = [
            ReplicationSlot(name: "db2", plugin: nil, database: nil, activePID: 7, restartLSN: lsn(900), confirmedFlushLSN: nil, walStatus: "reserved", retainedBytes: 100),
            ReplicationSlot(name: "gone", plugin: nil, database: nil, activePID: nil, restartLSN: lsn(10), confirmedFlushLSN: nil, walStatus: "extended", retainedBytes: 990),
        ]
        let db1 = primary("db1", senders: [sender("walreceiver", pid: 7), sender("pg_basebackup", pid: 8, state: "backup")], slots: slots)
        let view = GroupView([db1, standby("db2", of: "db1", slot: "db2")])
        #expect(view["db2"].flatMap { view.sender(for: $0)?.pid } == 7)
        #expect(view.strangers(on: db1).map(\.pid) == [8])
        #expect(view.user(of: slots[0], on: db1)?.name == "db2")
        #expect(view.user(of: slots[1], on: db1) == nil)
    }

    @Test func `finds who has most: the newest timeline before the furthest position, what was received before what was replayed`() {
        let view = GroupView([
            unreachable("db1"), standby("db2", of: "db1", received: 2000, replayed: 100), standby("db3", of: "db1", received: 1500),
            standby("db4", of: "db1", received: 500, timeline: 2),
        ])
        #expect(view.mostAdvanced(among: ["db2", "db3"])?.name == "db2")
        #expect(view.mostAdvanced(among: ["db2", "db3", "db4"])?.name == "db4")
        #expect(view.mostAdvanced(among: ["db1"]) == nil)
    }

    @Test func `says why a standby cannot take the primary's place`() {
        func obstacle(_ standby: GroupView.Node, _ primary: GroupView.Node? = nil, within limit: Int64 = 500) -> String? {
            let primary = primary ?? self.primary("db1", senders: [sender("db2")])
            return GroupView([primary, standby]).obstacle(to: standby, takingThePlaceOf: primary, within: limit)?.fact
        }
        #expect(obstacle(standby("db2", of: "db1")) == nil)
        #expect(obstacle(standby("db2", of: "db1", received: 900, replayed: 400)) == "db2 is 600 B behind db1, and may be 500 B")
        #expect(obstacle(standby("db2", of: "db1", streams: false)) == "db2 does not stream: on db1 it is in state streaming")
        #expect(obstacle(standby("db2", of: "db1"), primary("db1", senders: [sender("db2", state: "catchup")])) == "db2 does not stream: on db1 it is in state catchup")
        #expect(obstacle(standby("db2", of: "db1", timeline: 1), primary("db1", timeline: 2, senders: [sender("db2")])) == "db2 is on timeline 1, db1 on 2")
        #expect(obstacle(standby("db2", of: "db9", application: "other")) == "db2 streams from 10.0.0.9, not from db1")
        #expect(obstacle(unreachable("db2")) == "db2 is no standby that can be asked: it cannot be reached: db2: no route to host")
    }

    @Test(arguments: [
        ("db2", "db1"), ("FIRST 1 (db2, db3)", "FIRST 1 (db1, db3)"), ("ANY 2 (db3, db2, db4)", "ANY 2 (db3, db1, db4)"), ("FIRST 1 (db3)", "FIRST 1 (db3)"), ("*", "*"), ("", ""),
        ("FIRST 1 (db1, db2)", "FIRST 1 (db1)"),
    ])
    func `carries a list of synchronous standbys over to the new primary`(_ before: String, _ after: String) throws {
        let names = try #require(StandbyNames(before, version: .postgres(15)))
        #expect(names.afterSwitchover(from: "db1", to: "db2").description == after)
    }

    @Test(arguments: [("db2", "db2"), ("DB-2", "db_2"), ("n 1.example", "n_1_example")])
    func `names the slot of a standby`(_ node: String, _ slot: String) { #expect(SlotName(ofStandby: node).rawValue == slot) }
}
