import EventLoop
import PostgresConfig
import RemoteHost
import Scratch
import Testing

@testable import Instance

/// What the mark of a standby does to a stopped cluster.
@Suite("The mark of a standby") struct SealTests {
    private func sealed(_ settings: String, auto: String) async throws -> (auto: String, isSealed: Bool) {
        let area = try await ScratchArea()
        defer { area.end() }
        let node = try await area.cluster("db1"), directory = node.dataDirectory
        try await area.host.write(Array(settings.utf8), to: directory / "postgresql.conf", as: node.user, deadline: soon)
        try await area.host.write(Array(auto.utf8), to: directory / "postgresql.auto.conf", as: node.user, deadline: soon)
        _ = try await node.seal(endingLease: directory / "pggraft.lease", deadline: soon)
        let after = try await area.host.read(directory / "postgresql.auto.conf", as: node.user, deadline: soon) ?? []
        return (String(decoding: after, as: UTF8.self), try await node.isSealed(deadline: soon))
    }

    @Test(arguments: ["recovery_target_time = '2026-01-01'\n", "port = 1\n  recovery_target_xid 7", "recovery_target='immediate' # once\n"])
    func `overrides what ends a recovery, wherever it stands`(_ line: String) async throws {
        for (settings, auto) in [(line, "work_mem = '8MB'"), ("", line)] {
            let seen = try await sealed(settings, auto: auto), file = SettingsFile(Array(seen.auto.utf8))
            #expect(seen.isSealed)
            #expect(seen.auto.hasPrefix(auto))
            for name in ["recovery_target", "recovery_target_lsn", "recovery_target_name", "recovery_target_time", "recovery_target_xid"] { #expect(file.value(of: name) == "") }
        }
    }

    @Test func `says nothing of it where there is nothing`() async throws {
        let settings = "#recovery_target_time = '2026-01-01'\nrecovery_target_time = '' # no more\nrecovery_target_timeline = 'latest'\nrecovery_target_action = 'promote'\n"
        let seen = try await sealed(settings, auto: "work_mem = '8MB'\n")
        #expect(seen.isSealed && seen.auto == "work_mem = '8MB'\n")
    }
}
