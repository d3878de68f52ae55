import PostgresConfig
import Report
import Testing

@Suite("A standby's configuration, by version") struct StandbyConfigurationTests {
    typealias File = StandbyConfiguration.File
    typealias Change = StandbyConfiguration.Change

    static let standby = StandbyConfiguration(
        primaryConninfo: "host=n1 user=repl passfile=/x/.pgpass", primarySlotName: "n4", restoreCommand: "archive-get %f \"%p\"",
        archiveCleanupCommand: "pg_archivecleanup /a %r")

    static func features(_ version: String) throws -> ServerFeatures { ServerFeatures(try #require(MajorVersion(version))) }
    static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
    static func text(_ change: Change?) -> String? { change?.after.map { String(decoding: $0, as: UTF8.self) } }

    @Test("from 12: the mark first, then the settings", arguments: ["12", "15", "18"])
    func signalFile(version: String) throws {
        let changes = try Self.standby.changes(for: Self.features(version), from: [.autoConf: Self.bytes("work_mem = '1MB'\n")])
        #expect(changes.map(\.file) == [.standbySignal, .autoConf])
        #expect(changes[0].after == [])
        #expect(
            Self.text(changes[1]) == """
                work_mem = '1MB'
                primary_conninfo = 'host=n1 user=repl passfile=/x/.pgpass'
                primary_slot_name = 'n4'
                restore_command = 'archive-get %f "%p"'
                archive_cleanup_command = 'pg_archivecleanup /a %r'

                """)
    }

    @Test("until 11: one file, which follows every timeline", arguments: ["9.4", "9.6", "11"])
    func recoveryConf(version: String) throws {
        let changes = try Self.standby.changes(for: Self.features(version), from: [.autoConf: Self.bytes("work_mem = '1MB'\n")])
        #expect(changes.map(\.file) == [.recoveryConf])
        #expect(
            Self.text(changes[0]) == """
                standby_mode = 'on'
                recovery_target_timeline = 'latest'
                primary_conninfo = 'host=n1 user=repl passfile=/x/.pgpass'
                primary_slot_name = 'n4'
                restore_command = 'archive-get %f "%p"'
                archive_cleanup_command = 'pg_archivecleanup /a %r'

                """)
    }

    @Test("done twice is done once", arguments: ["9.4", "11", "12", "18"])
    func twice(version: String) throws {
        let features = try Self.features(version)
        var files: [File: [UInt8]] = [:]
        for change in try Self.standby.changes(for: features, from: files) { files[change.file] = change.after }
        #expect(try Self.standby.changes(for: features, from: files).isEmpty)
        #expect(StandbyConfiguration.leftovers(for: features, in: files).isEmpty)
    }

    @Test(
        "what another version or another time has left is found and goes",
        arguments: [
            ("15", ["recovery.conf", "recovery.signal", "recovery.done", "recovery_target_time in postgresql.auto.conf", "standby_mode in postgresql.auto.conf"]),
            (
                "11",
                [
                    "standby.signal", "recovery.signal", "recovery.done", "recovery_target_time in postgresql.auto.conf",
                    "standby_mode in postgresql.auto.conf", "recovery_target_xid in recovery.conf",
                ]
            ),
        ])
    func leftovers(version: String, expected: [String]) throws {
        let features = try Self.features(version)
        var files: [File: [UInt8]] = [
            .recoveryConf: Self.bytes("recovery_target_xid = '7'\nrestore_command = 'mine'\n"), .recoverySignal: [], .recoveryDone: Self.bytes("x"),
            .autoConf: Self.bytes("work_mem = '1MB'\nrecovery_target_time = '2026-01-01'\nRECOVERY_TARGET_ACTION = pause\nstandby_mode = 'on'\n"),
        ]
        if version == "11" { files[.standbySignal] = [] }
        let found = StandbyConfiguration.leftovers(for: features, in: files)
        #expect(found.map { String("\($0)".prefix { $0 != ":" }) } == expected)
        for change in try StandbyConfiguration().changes(for: features, from: files) { files[change.file] = change.after }
        #expect(StandbyConfiguration.leftovers(for: features, in: files).isEmpty)
        #expect(files[.autoConf] == Self.bytes("work_mem = '1MB'\nRECOVERY_TARGET_ACTION = pause\n"))
        #expect(Set(files.keys) == (version == "11" ? [.recoveryConf, .autoConf] : [.standbySignal, .autoConf]))
        if version == "11" { #expect(files[.recoveryConf] == Self.bytes("restore_command = 'mine'\nstandby_mode = 'on'\nrecovery_target_timeline = 'latest'\n")) }
    }

    @Test(
        "a trigger file is called as the version calls it, and refused where there is none",
        arguments: [
            ("11", "trigger_file"), ("12", "promote_trigger_file"), ("15", "promote_trigger_file"), ("16", nil),
        ])
    func triggerFile(version: String, expected: String?) throws {
        let standby = StandbyConfiguration(triggerFile: "/x")
        guard let expected else {
            let error = try #require(throws: UnusableSetting.self) { try standby.changes(for: Self.features(version), from: [:]) }
            #expect(error.description == "trigger_file = '/x' cannot be used: PostgreSQL 16 has no such setting\n  HINT: correct trigger_file first")
            return
        }
        #expect(try standby.settings(for: Self.features(version)).map(\.name) == [expected])
    }

    @Test("slots are not known before 9.4, passwords nowhere")
    func refused() throws {
        #expect(throws: UnusableSetting.self) { try StandbyConfiguration(primarySlotName: "n4").settings(for: Self.features("9.3")) }
        for conninfo in ["host=n1 password=s3cret", "password = 's3cret'", "postgresql://u:s3cret@n1/", "postgres://n1/?password=s3cret"] {
            let error = try #require(throws: UnusableSetting.self, "\(conninfo)") {
                try StandbyConfiguration(primaryConninfo: conninfo).settings(for: Self.features("15"))
            }
            #expect(!error.description.contains("s3cret"))
        }
        #expect(try StandbyConfiguration(primaryConninfo: "host=n1 passfile=/x").settings(for: Self.features("15")).count == 1)
        #expect(try StandbyConfiguration(primaryConninfo: "postgresql://u@n1/").settings(for: Self.features("15")).count == 1)
    }

    @Test("taken away again, the marks last", arguments: ["11", "15"])
    func removal(version: String) throws {
        let features = try Self.features(version), before = Self.bytes("work_mem = '1MB'\n")
        var files: [File: [UInt8]] = [.autoConf: before]
        for change in try Self.standby.changes(for: features, from: files) { files[change.file] = change.after }
        let changes = StandbyConfiguration.removal(for: features, from: files)
        #expect(changes.last?.file == (version == "11" ? .recoveryConf : .standbySignal))
        for change in changes { files[change.file] = change.after }
        #expect(files == [.autoConf: before])
    }

    /// A server that was given everything at once: leftovers, and what makes it a standby. It must start, stay a standby
    /// with these values, and say nothing of a setting it does not know.
    @Test("the real servers start with it and stay standbys", arguments: Programs.judges.map(\.bin))
    func judged(bin: String) throws {
        let version = try #require(MajorVersion(try Programs.run(["\(bin)/postgres", "--version"]).split(separator: " ")[2]))
        var files: [File: [UInt8]] = [
            .recoveryConf: Self.bytes("standby_mode = on\n"), .recoverySignal: [],
            .autoConf: Self.bytes("recovery_target_name = 'never'\nrecovery_target_action = 'promote'\nstandby_mode = 'on'\n"),
        ]
        var standby = Self.standby
        // A program that is not there ends the recovery.
        standby.restoreCommand = "test -z \"%p\""
        for change in try standby.changes(for: ServerFeatures(version), from: files) { files[change.file] = change.after }
        let server = try ScratchServer(settings: "", bin: bin) { directory in
            for (file, content) in files { try Programs.put(content, at: "\(directory)/\(file.rawValue)") }
        }
        defer { #expect(throws: Never.self) { try server.stop() } }
        struct Row: Decodable, Equatable { var standby: Bool, conninfo: String, slot: String, restore: String, target: String, timeline: String }
        let row: Row = try server.json(
            """
            SELECT json_build_object('standby', pg_is_in_recovery(), 'conninfo', current_setting('primary_conninfo'),
                'slot', current_setting('primary_slot_name'), 'restore', current_setting('restore_command'),
                'target', current_setting('recovery_target_name'), 'timeline', current_setting('recovery_target_timeline'))
            """)
        #expect(
            row
                == Row(
                    standby: true, conninfo: "host=n1 user=repl passfile=/x/.pgpass", slot: "n4", restore: "test -z \"%p\"", target: "", timeline: "latest"))
        let errors: Int = try server.json("SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL")
        #expect(errors == 0)
    }

    /// A restored copy, of which only the first changes were made: the server starts, and from the first one on as a standby.
    @Test("killed after any number of the changes, the server starts, and never as a primary once the first is made", arguments: [0, 1, 2, 3, 4])
    func cutOff(count: Int) throws {
        var files: [File: [UInt8]] = [.recoverySignal: [], .recoveryDone: Self.bytes("x"), .autoConf: Self.bytes("recovery_target_timeline = 'current'\n")]
        var standby = Self.standby
        standby.restoreCommand = "test -z \"%p\""
        let changes = try standby.changes(for: ServerFeatures(.postgres(15)), from: files)
        #expect(changes.count == 4)
        #expect(changes.first?.file == .standbySignal)
        // Without a mark it would be an archive recovery, which ends with the archive.
        if count == 0 { files[.recoverySignal] = nil }
        for change in changes.prefix(count) { files[change.file] = change.after }
        let server = try ScratchServer(settings: "") { directory in
            for (file, content) in files { try Programs.put(content, at: "\(directory)/\(file.rawValue)") }
        }
        defer { #expect(throws: Never.self) { try server.stop() } }
        let isStandby: Bool = try server.json("SELECT to_json(pg_is_in_recovery())")
        #expect(isStandby == (count > 0))
    }
}
