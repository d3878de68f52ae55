import Instance
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Server
import Testing

@testable import ProcedureKit

/// What a follower is told, from its files as texts.
@Suite("A follower, and what its files say") struct FollowerTests {
    private let follower = Follower(
        name: "db1", upstream: "db2", conninfo: Conninfo(["host": "10.0.0.2", "user": "replicator", "password": "a secret", "sslpassword": "another"]), slot: "db1")

    private func tree(main: String, auto: String) -> SettingsTree {
        SettingsTree(
            configFile: "/etc/pg/postgresql.conf", dataDirectory: "/data",
            snapshot: FileSnapshot(files: ["/etc/pg/postgresql.conf": Array(main.utf8), "/data/postgresql.auto.conf": Array(auto.utf8)]), version: .postgres(15))
    }

    private func edited(main: String, auto: String) throws -> String? {
        let edits = try follower.edits(
            ServerFeatures(.postgres(15)), in: try HostPath(checking: "/data"), from: [.autoConf: Array(auto.utf8), .standbySignal: []],
            overriding: RecoveryTarget.underAutoConf(tree(main: main, auto: auto)))
        return edits.first { $0.path.path == "/data/postgresql.auto.conf" }?.after.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func `what a recovery has left in its files ends no recovery any more, written once`() throws {
        let main = "recovery_target_time = '2026-01-01'\nRecovery_target_action = promote\nrecovery_target_inclusive = on\nport = 5432\n"
        let auto = try #require(try edited(main: main, auto: "recovery_target_action = 'shutdown'\nrecovery_target_xid = '7'\n"))
        let file = SettingsFile(Array(auto.utf8))
        #expect(file.value(of: "recovery_target_time") == "")
        #expect(file.value(of: "recovery_target_action") == "pause")
        #expect(file.value(of: "recovery_target_xid") == nil && file.value(of: "recovery_target_inclusive") == nil)
        #expect(RecoveryTarget.inForce(tree(main: main, auto: auto)).isEmpty)
        #expect(try edited(main: main, auto: auto) == nil)
    }

    @Test func `where nothing is left nothing is overridden`() throws {
        let auto = try #require(try edited(main: "recovery_target_timeline = 'latest'\n#recovery_target = ''\n", auto: ""))
        #expect(!auto.contains("recovery_target"))
    }

    @Test func `it is told no secret`() throws {
        #expect(follower.conninfo.connectionString == "host=10.0.0.2 user=replicator")
        #expect(try edited(main: "", auto: "")?.contains("another") == false)
    }

    @Test func `a password is not written into a file that others read`() throws {
        let file = try HostPath(checking: "/var/lib/postgresql/.pgpass")
        #expect(FollowerAdmission.refusal(of: file, mode: nil, on: "db1") == nil)
        #expect(FollowerAdmission.refusal(of: file, mode: 0o600, on: "db1") == nil)
        let refusal = FollowerAdmission.refusal(of: file, mode: 0o644, on: "db1")
        #expect(refusal?.fact == "db1: others may read /var/lib/postgresql/.pgpass, and it is not used therefore")
        #expect(refusal?.hint == "chmod 0600 /var/lib/postgresql/.pgpass")
    }
}
