import EventLoop
import Instance
import PostgresClient
import RemoteHost
import Scratch
import Server
import Testing

@testable import ProcedureKit

@Suite("A lease") struct LeaseTests {
    private let setting = ClosingSetting("archive_cleanup_command", closingValues: ["closed"]) { _, _ in .init(value: "closed", inForce: "closed") }

    @Test func `opens the node when it was not renewed, and leaves it alone once another one was begun`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1"), lease = Lease(instance: n1, setting: setting)
        try await n1.start(deadline: soon)
        let session = try await ServerSession.open(try await n1.connect(), deadline: soon), before = try await session.alteredSetting(setting.name, deadline: soon)

        try await n1.host.require(lease.start(time: .seconds(1), restoring: before), deadline: soon)
        let first = try await watchdog(n1)
        #expect(try await isAlive(first, n1))
        try await session.alterSystem(setting.name, to: "closed", deadline: soon)
        try await wait(for: "the watchdog to open n1", until: soon) {
            let now = try await session.alteredSetting(setting.name, deadline: soon)
            return now == before ? .found(()) : .notYet(now.inForce)
        }

        // It goes on looking for a while: a statement that waited may have closed the node again.
        try await n1.host.require(lease.start(time: .seconds(600), restoring: before), deadline: soon)
        #expect(try await !isAlive(first, n1))
        try await session.alterSystem(setting.name, to: "closed", deadline: soon)
        try await n1.host.require(lease.renew(beat: 1), deadline: soon)
        #expect(try await session.alteredSetting(setting.name, deadline: soon) == AlteredSetting(inForce: "closed", altered: "closed"))

        let second = try await watchdog(n1)
        try await n1.host.require(lease.openNow(restoring: before), deadline: soon)
        try await wait(for: "the watchdog to go", until: soon) { try await isAlive(second, n1) ? .notYet("it is there") : .found(()) }
        let left = try #require(try await n1.host.listDirectory(n1.dataDirectory, as: n1.user, deadline: soon)).filter { $0.contains("pggraft") }
        #expect(left == [])
        try await wait(for: "n1 to be open", until: soon) {
            let now = try await session.alteredSetting(setting.name, deadline: soon)
            return now == before ? .found(()) : .notYet(now.inForce)
        }
        try await n1.stop(mode: .immediate, deadline: soon)
    }

    @Test func `starts a server again whose stop waits for an archive command that does not come back`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster("n1", settings: "archive_mode = on\narchive_command = 'sleep 1000'\n"), lease = Lease(instance: n1, setting: setting, revives: true)
        try await n1.start(deadline: soon)
        let session = try await ServerSession.open(try await n1.connect(), deadline: soon), before = try await session.alteredSetting(setting.name, deadline: soon)
        _ = try await session.connection.query("SELECT pg_switch_wal()::text, txid_current()::text", deadline: soon)
        let first = try await n1.postmaster(deadline: soon).pid

        try await n1.host.require(lease.start(time: .seconds(2), restoring: before), deadline: soon)
        await #expect(throws: (any Error).self) { try await n1.stop(mode: .fast, deadline: .after(.seconds(1))) }
        #expect(try await n1.postmaster(deadline: soon).phase == .stopping)
        try await wait(for: "the watchdog to have started n1 again", until: soon) {
            let status = try await n1.status(deadline: soon)
            return status.postmaster?.phase == .ready && status.postmaster?.pid != first ? .found(()) : .notYet("\(status)")
        }
        try await n1.stop(mode: .immediate, deadline: soon)
    }

    private func watchdog(_ node: Instance) async throws -> String {
        let file = try #require(try await node.host.read(node.dataDirectory / "pggraft.lease", as: node.user, deadline: soon))
        return try #require(String(decoding: file, as: UTF8.self).split(whereSeparator: \.isWhitespace).last.map(String.init))
    }

    private func isAlive(_ pid: String, _ node: Instance) async throws -> Bool {
        try await node.host.run(.script(#"grep -qsF pggraft.lease "/proc/$1/cmdline""#, pid), deadline: soon).succeeded
    }
}

private var soon: Deadline { .after(.seconds(60)) }
