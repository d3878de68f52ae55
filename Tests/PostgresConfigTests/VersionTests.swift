import PostgresConfig
import Testing

@Suite("Versions") struct VersionTests {
    @Test(
        "are read from PG_VERSION, program output and server_version_num",
        arguments: [
            ("15", "15"), ("9.6", "9.6"), ("15.18", "15"), ("9.6.24", "9.6"), ("18beta1", "18"), ("10.23", "10"),
        ])
    func text(text: String, expected: String) {
        #expect(MajorVersion(text)?.description == expected)
    }

    @Test("of nothing are nothing", arguments: ["", "x", "9", ".5", "-1"])
    func invalid(text: String) {
        #expect(MajorVersion(text) == nil)
    }

    @Test("server_version_num", arguments: [(150018, "15"), (90624, "9.6"), (100001, "10"), (90100, "9.1")])
    func number(number: Int, expected: String) {
        #expect(MajorVersion(serverVersionNumber: number).description == expected)
    }

    @Test(
        "the table of differences",
        arguments: [
            ("9.3", "pg_xlog", false, false, true), ("9.6", "pg_xlog", true, false, true), ("10", "pg_wal", true, true, true),
            ("11", "pg_wal", true, true, true), ("12", "pg_wal", true, true, false), ("18", "pg_wal", true, true, false),
        ])
    func features(version: String, wal: String, fileSettings: Bool, hbaRules: Bool, recoveryConf: Bool) throws {
        let features = ServerFeatures(try #require(MajorVersion(version)))
        #expect(features.walDirectory == wal)
        #expect(features.hasFileSettingsView == fileSettings)
        #expect(features.hasHBARulesView == hbaRules)
        #expect((features.standbyMarker == .recoveryConf) == recoveryConf)
    }

    @Test(
        "what sessions, slots and positions a server shows",
        arguments: [
            ("9.1", []), ("9.2", ["state"]), ("9.4", ["state", "xid", "slots"]),
            ("9.5", ["state", "xid", "slots", "slot reader", "origins", "promotion"]),
            (
                "9.6",
                [
                    "state", "xid", "slots", "slot reader", "origins", "slot flush", "slots reserve", "blocking", "receiver", "flush", "control", "build",
                    "promotion",
                ]
            ),
            (
                "10",
                [
                    "state", "xid", "slots", "slot reader", "origins", "slot flush", "slots reserve", "blocking", "receiver", "flush", "control", "build",
                    "promotion", "backend type", "subscriptions",
                ]
            ),
            (
                "13",
                [
                    "state", "xid", "slots", "slot reader", "origins", "slot flush", "slots reserve", "blocking", "receiver", "flush", "control", "build",
                    "promotion", "backend type", "subscriptions", "slot WAL",
                ]
            ),
        ])
    func activity(version: String, expected: [String]) throws {
        let features = ServerFeatures(try #require(MajorVersion(version)))
        let table = [
            ("state", features.activityHasState), ("xid", features.activityHasTransactionIDs), ("slots", features.slots.exist),
            ("slot reader", features.slots.haveReader), ("origins", features.hasReplicationOrigins), ("slot flush", features.slots.haveConfirmedFlush),
            ("slots reserve", features.slots.reserveAtOnce), ("blocking", features.hasBlockingPIDs), ("receiver", features.hasWALReceiverView),
            ("flush", features.hasFlushPosition), ("control", features.hasControlFunctions), ("build", features.hasBuildView),
            ("promotion", features.seesPromotionAtOnce), ("backend type", features.activityHasBackendType), ("subscriptions", features.hasSubscriptions),
            ("slot WAL", features.slots.haveWALStatus),
        ]
        #expect(table.filter(\.1).map(\.0) == expected)
    }

    @Test("a standby's minima")
    func minima() throws {
        #expect(
            ServerFeatures(.postgres(15)).hotStandbyMinima
                == ["max_connections", "max_prepared_transactions", "max_locks_per_transaction", "max_worker_processes", "max_wal_senders"])
        #expect(!ServerFeatures(.postgres(11)).hotStandbyMinima.contains("max_wal_senders"))
    }
}

@Suite("The table of settings") struct SettingHistoryTests {
    @Test("eras follow each other, and every version in it is one")
    func isSound() {
        for history in SettingHistory.all {
            #expect(!history.eras.isEmpty)
            #expect(history.eras.allSatisfy { $0.since >= MajorVersion.postgres(18) || $0.since.number >= 901 }, "\(history)")
            #expect(zip(history.eras, history.eras.dropFirst()).allSatisfy { $0.since < $1.since }, "\(history)")
            if let gone = history.goneSince, let last = history.eras.last { #expect(gone > last.since) }
        }
        let names = SettingHistory.all.flatMap { Set($0.eras.map(\.name)) }
        #expect(Set(names).count == names.count)
    }

    @Test(
        "names",
        arguments: [
            ("wal_keep_size", "12", "wal_keep_segments"), ("wal_keep_segments", "13", "wal_keep_size"), ("trigger_file", "12", "promote_trigger_file"),
            ("trigger_file", "16", nil), ("unix_socket_directories", "9.2", "unix_socket_directory"), ("wal_sender_timeout", "9.1", "replication_timeout"),
            ("primary_slot_name", "9.3", nil), ("max_active_replication_origins", "17", nil), ("work_mem", "9.1", "work_mem"), ("standby_mode", "12", nil),
        ])
    func names(name: String, version: String, expected: String?) throws {
        #expect(ServerFeatures(try #require(MajorVersion(version))).settingName(name) == expected)
    }

    @Test(
        "what a reload is enough for",
        arguments: [
            ("restore_command", "13", false), ("restore_command", "14", true), ("primary_conninfo", "12", false), ("primary_conninfo", "13", true),
            ("archive_cleanup_command", "11", false), ("wal_level", "18", false), ("wal_keep_segments", "9.1", true),
        ])
    func reach(name: String, version: String, expected: Bool) throws {
        #expect(ServerFeatures(try #require(MajorVersion(version))).isReloadable(name) == expected)
    }

    @Test("is what the servers say of themselves", arguments: Programs.judges.map(\.bin))
    func judged(bin: String) throws {
        let version = try #require(MajorVersion(try Programs.run(["\(bin)/postgres", "--version"]).split(separator: " ")[2]))
        let running = try ScratchServer(settings: "", bin: bin)
        defer { #expect(throws: Never.self) { try running.stop() } }
        struct Row: Decodable { var name: String, context: String, boot_val: String? }
        let rows: [Row] = try running.json("SELECT json_agg(json_build_object('name', name, 'context', context, 'boot_val', boot_val)) FROM pg_settings")
        let server = Dictionary(rows.map { ($0.name, $0) }) { first, _ in first }
        for history in SettingHistory.all {
            let era = history.era(in: version)
            for name in Set(history.eras.map(\.name)) where name != era?.name { #expect(server[name] == nil, "\(name) in \(version)") }
            guard let era else { continue }
            let row = try #require(server[era.name], "\(era.name) in \(version)")
            #expect((row.context == "postmaster") == (era.reach == .restart), "\(row)")
            if let expected = era.defaultValue { #expect(row.boot_val == expected, "\(row)") }
        }
        // Options and functions.
        let help = try Programs.run(["\(bin)/pg_basebackup", "--help"])
        let features = ServerFeatures(version)
        for option in features.baseBackupWALOptions + (features.baseBackupSlotOptions("s") ?? []) {
            #expect(help.contains(option.prefix { $0 != "=" }), "\(option)")
        }
        let names = ServerFeatures.WALFunction.allCases.map(features.functionName) + (features.hasPromoteFunction ? ["pg_promote"] : [])
        let found: [String] = try running.json("SELECT coalesce(json_agg(DISTINCT proname), '[]') FROM pg_proc WHERE proname IN ('\(names.joined(separator: "','"))')")
        #expect(Set(found) == Set(names))
        let minima: Int = try running.json(
            "SELECT count(*) FROM pg_settings WHERE context = 'postmaster' AND name IN ('\(features.hotStandbyMinima.joined(separator: "','"))')")
        #expect(minima == features.hotStandbyMinima.count)
    }
}
