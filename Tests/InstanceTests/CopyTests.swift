import EventLoop
import PostgresClient
import PostgresConfig
import RemoteHost
import Report
import Scratch
import Testing

@testable import Instance

@Suite("A copy of a real server", .serialized) struct CopyTests {
    static let open = HBAFile(
        only: [
            HBARule(.host, databases: [.all, .replication], users: [.named("postgres")], from: .sameHost, method: "trust")
        ], comment: "for the test", for: HBAServer(.postgres(15)))

    /// Reads what the copy holds and does the edits that make a standby of it.
    static func configure(_ target: Instance, as copyOf: Instance, _ area: ScratchArea) async throws {
        let connection = try await copyOf.connect()
        let source = try await copyOf.settings(through: connection, deadline: soon)
        await connection.close()
        let files = try await target.configurationFiles(deadline: soon)
        var content: [HostPath: [UInt8]] = [:]
        for path in CloneConfiguration.paths(of: files) { content[path] = try await area.host.read(path, as: "postgres", deadline: soon) }
        let clone = CloneConfiguration(
            source: source, features: target.features,
            target: .init(files: files, port: target.port, listenAddresses: "127.0.0.1", content: content), withoutLibraries: ["pg_stat_statements"],
            primaryConninfo: Conninfo(["host": "127.0.0.1", "port": "\(copyOf.port)", "user": "postgres", "application_name": target.node]))
        for edit in try clone.edits(hba: open) { try await edit.apply(on: area.host, as: "postgres", deadline: soon) }
    }

    static func caughtUp(_ standby: Instance, with primary: Instance) async throws {
        let lsn = try await primary.ask("SELECT pg_current_wal_insert_lsn()::text")
        try await wait(for: "\(standby.node) to replay \(lsn)", until: soon) {
            let answer = try await standby.ask("SELECT (pg_last_wal_replay_lsn() >= \(lsn)::pg_lsn)::text")
            return answer == "true" ? .found(()) : .notYet(answer)
        }
    }

    @Test("is a standby, and once promoted says where it left the timeline")
    func promote() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let n1 = try await area.cluster(
            "n1",
            settings: """
                include 'own.conf'
                include '\(area.directory)/elsewhere.conf'
                archive_mode = on
                archive_command = 'exit 1'
                shared_preload_libraries = 'auto_explain, pg_stat_statements'
                recovery_target_action = promote

                """)
        try await area.append("work_mem = 6MB\n", to: n1.dataDirectory / "own.conf")
        try await area.append("max_connections = 37\ntemp_buffers = 5MB\n", to: area.directory / "elsewhere.conf")
        try await n1.start(deadline: soon)
        let notAStandby = await #expect(throws: InstanceError.self) { try await n1.promote(deadline: soon) }
        #expect(notAStandby?.description.contains("not in standby mode") == true)

        let data = area.directory / "n2"
        try await area.copy(of: n1, to: data)
        // Nothing outside of the data directory is on the new host.
        try await area.host.remove(area.directory / "elsewhere.conf", as: "postgres", deadline: soon)
        let port = try freePort()
        let n2 = try await area.find(InstanceAddress(node: "n2", port: port, dataDirectory: data))
        try await area.append("max_connections = 37\ntemp_buffers = 5MB\n", to: area.directory / "elsewhere.conf")
        try await Self.configure(n2, as: n1, area)
        try await area.host.remove(area.directory / "elsewhere.conf", as: "postgres", deadline: soon)

        try await n2.start(deadline: soon)
        #expect(try await n2.ask("SELECT pg_is_in_recovery()::text") == "true")
        for (name, expected) in [
            ("max_connections", "37"), ("temp_buffers", "5MB"), ("work_mem", "6MB"), ("archive_mode", "off"), ("port", "\(port)"),
            ("shared_preload_libraries", "auto_explain"), ("recovery_target_action", "pause"),
        ] {
            #expect(try await n2.ask("SELECT current_setting(\(name))") == expected)
        }
        #expect(try await n2.controlData(deadline: soon).systemIdentifier == n1.controlData(deadline: soon).systemIdentifier)

        let writer = try await n1.connect()
        try await writer.script("CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) AS g", deadline: soon)
        await writer.close()
        try await Self.caughtUp(n2, with: n1)
        let flushed = try #require(LSN(try await n1.ask("SELECT pg_current_wal_lsn()::text")))
        let promotion = try await n2.promote(deadline: soon)
        #expect(promotion.timeline == 2)
        #expect(promotion.previousTimeline == 1)
        #expect(promotion.switchpoint >= flushed)
        #expect(try await n2.ask("SELECT count(*)::text FROM t") == "1000")
        // Asked again, as after a resume, the answer is the same.
        #expect(try await n2.promotion(deadline: soon) == promotion)

        try await n2.stop(deadline: soon)
        try await n1.stop(deadline: soon)
    }

    @Test("under Debian's tools: found, started, reloaded, copied, stopped")
    func debian() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let port = try freePort(), name = "graft-test_\(port)"
        // The area's guard drops what is named here.
        try await area.host.write(Array(name.utf8), to: area.directory / "debian-cluster", as: "postgres", deadline: soon)
        try await area.host.require(
            Command("pg_createcluster", "15", name, "-p", "\(port)", "--start-conf", "manual", "--", "--no-sync", "-A", "trust"), deadline: soon)
        let n1 = try await area.find(InstanceAddress(node: "n1", port: port))
        #expect(n1.manager == .pgCtlCluster(version: "15", cluster: name))
        #expect(n1.dataDirectory.path == "/var/lib/postgresql/15/\(name)")
        var address = InstanceAddress(node: "n1", port: port)
        address.isDebianCluster = true
        #expect(try await area.find(address).manager == n1.manager)
        address.dataDirectory = area.directory
        let unknown = await #expect(throws: InstanceError.self) { try await area.find(address) }
        #expect(unknown?.description.contains("knows no cluster in \(area.directory)") == true, "\(String(describing: unknown))")
        #expect(try await n1.status(deadline: soon) == .stopped(.postgres(15), stalePID: nil))
        let files = try await n1.configurationFiles(deadline: soon)
        #expect(files.hbaFile.path == "/etc/postgresql/15/\(name)/pg_hba.conf")
        try await area.append("max_connections = 41\nfsync = off\ntrack_commit_timestamp = on\nno_such = 1\n", to: files.configFile)

        let error = await #expect(throws: InstanceError.self) { try await n1.start(deadline: soon) }
        #expect(error?.description.contains("unrecognized configuration parameter \"no_such\"") == true, "\(String(describing: error))")
        var config = SettingsFile(try #require(try await area.host.read(files.configFile, as: "postgres", deadline: soon)))
        config.remove("no_such")
        try await area.host.write(config.render(), to: files.configFile, as: "postgres", deadline: soon)
        try await area.host.write(Self.open.render(), to: files.hbaFile, as: "postgres", deadline: soon)

        let first = try await n1.start(deadline: soon)
        #expect(first.phase == .ready)
        let connection = try await n1.connect()
        #expect(try await n1.configurationFiles(through: connection, deadline: soon) == files)
        try await area.append("work_mem = 3MB\n", to: files.configFile)
        #expect(try await n1.reload(expecting: ["work_mem": "3MB"], through: connection, deadline: soon) == ReloadReport(pendingRestart: []))
        await connection.close()
        #expect(try await n1.restart(deadline: soon).pid != first.pid)

        let data = area.directory / "n2"
        try await area.copy(of: n1, to: data)
        let n2 = try await area.find(InstanceAddress(node: "n2", port: try freePort(), dataDirectory: data))
        #expect(n2.manager == .pgCtl)
        try await Self.configure(n2, as: n1, area)
        try await n2.start(deadline: soon)
        for (setting, expected) in [("max_connections", "41"), ("work_mem", "3MB"), ("track_commit_timestamp", "on"), ("fsync", "off")] {
            #expect(try await n2.ask("SELECT current_setting(\(setting))") == expected)
        }
        try await Self.caughtUp(n2, with: n1)
        try await n2.stop(deadline: soon)
        try await n1.stop(deadline: soon)
        #expect(try await n1.status(deadline: soon) == .stopped(.postgres(15), stalePID: nil))
    }
}
