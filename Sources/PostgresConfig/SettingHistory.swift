/// A setting of the procedures whose name, default, place or reach is not the same in every version from 9.1 to 18.
///
/// ```swift
/// SettingHistory.of("wal_keep_size")?.name(in: .postgres(12))                  // wal_keep_segments
/// SettingHistory.of("primary_conninfo")?.era(in: .postgres(11))?.place         // .recoveryConf
/// ```
public struct SettingHistory: Sendable, Hashable {
    public enum Place: Sendable, Hashable {
        /// `recovery.conf`, which makes the server a standby by being there (until 11).
        case recoveryConf
        /// The ordinary configuration files.
        case settings
    }

    /// What it takes to bring a new value into force.
    public enum Reach: Sendable, Hashable { case restart, reload }

    /// The time from one major version on, until the next era of the same setting.
    public struct Era: Sendable, Hashable {
        public let since: MajorVersion
        public let name: String
        /// As `pg_settings.boot_val` has it, in the setting's base unit; `nil` where the build decides.
        public let defaultValue: String?
        public let place: Place
        public let reach: Reach
    }

    /// Oldest first, without gaps: a setting that is gone stays gone.
    public let eras: [Era]
    /// The first version that does not know it any more.
    public let goneSince: MajorVersion?

    /// What it is called in the newest version that knows it.
    public var name: String { eras.last?.name ?? "" }

    /// What holds in `version`; `nil` where there is no such setting, yet or any more.
    public func era(in version: MajorVersion) -> Era? {
        if let goneSince, version >= goneSince { return nil }
        return eras.last { $0.since <= version }
    }

    public func name(in version: MajorVersion) -> String? { era(in: version)?.name }

    /// The history of the setting that was called `name` in any version.
    public static func of(_ name: String) -> SettingHistory? {
        all.first { history in history.eras.contains { isSameSetting($0.name, name) } }
    }
}

extension SettingHistory {
    private init(_ eras: [Era], until gone: String? = nil) {
        self.eras = eras
        goneSince = gone.map { .of($0) }
    }

    private static func since(
        _ version: String, _ name: String, _ defaultValue: String?, _ reach: Reach = .restart, in place: Place = .settings
    ) -> Era {
        Era(since: .of(version), name: name, defaultValue: defaultValue, place: place, reach: reach)
    }

    private static func recovery(since version: String, _ name: String, _ defaultValue: String = "") -> Era {
        since(version, name, defaultValue, .restart, in: .recoveryConf)
    }

    /// Sources: the release notes of each major version, the servers' own `pg_settings`.
    public static let all: [SettingHistory] = [
        // Being a standby.
        SettingHistory([recovery(since: "9.1", "standby_mode", "off")], until: "12"),
        SettingHistory([
            recovery(since: "9.1", "primary_conninfo"), since("12", "primary_conninfo", ""), since("13", "primary_conninfo", "", .reload),
        ]),
        SettingHistory([
            recovery(since: "9.4", "primary_slot_name"), since("12", "primary_slot_name", ""), since("13", "primary_slot_name", "", .reload),
        ]),
        SettingHistory([
            recovery(since: "9.1", "restore_command"), since("12", "restore_command", ""), since("14", "restore_command", "", .reload),
        ]),
        SettingHistory([recovery(since: "9.1", "archive_cleanup_command"), since("12", "archive_cleanup_command", "", .reload)]),
        SettingHistory([recovery(since: "9.1", "recovery_end_command"), since("12", "recovery_end_command", "", .reload)]),
        // Until 11 a standby stays on the timeline of its backup unless it is told to follow.
        SettingHistory([recovery(since: "9.1", "recovery_target_timeline"), since("12", "recovery_target_timeline", "latest")]),
        SettingHistory([recovery(since: "9.4", "recovery_min_apply_delay", "0"), since("12", "recovery_min_apply_delay", "0", .reload)]),
        SettingHistory([recovery(since: "9.1", "trigger_file"), since("12", "promote_trigger_file", "", .reload)], until: "16"),
        SettingHistory([since("9.1", "hot_standby", "off"), since("10", "hot_standby", "on")]),
        // Feeding one.
        SettingHistory([since("9.1", "wal_level", "minimal"), since("10", "wal_level", "replica")]),
        SettingHistory([since("9.1", "max_wal_senders", "0"), since("10", "max_wal_senders", "10")]),
        SettingHistory([since("9.4", "max_replication_slots", "0"), since("10", "max_replication_slots", "10")]),
        // Until 17 the origins count against max_replication_slots.
        SettingHistory([since("18", "max_active_replication_origins", "10")]),
        SettingHistory([since("9.4", "max_worker_processes", "8")]),
        SettingHistory([since("10", "max_logical_replication_workers", "4")]),
        SettingHistory([since("9.1", "wal_keep_segments", "0", .reload), since("13", "wal_keep_size", "0", .reload)]),
        SettingHistory([since("13", "max_slot_wal_keep_size", "-1", .reload)]),
        SettingHistory([since("18", "idle_replication_slot_timeout", "0", .reload)]),
        SettingHistory([since("9.1", "replication_timeout", "60000", .reload), since("9.3", "wal_sender_timeout", "60000", .reload)]),
        SettingHistory([since("9.3", "wal_receiver_timeout", "60000", .reload)]),
        SettingHistory([since("9.1", "checkpoint_segments", "3", .reload), since("9.5", "max_wal_size", "64", .reload), since("10", "max_wal_size", "1024", .reload)]),
        SettingHistory([since("9.4", "wal_log_hints", "off")]),
        SettingHistory([since("9.5", "track_commit_timestamp", "off")]),
        // Reaching the server.
        SettingHistory([since("9.1", "unix_socket_directory", nil), since("9.3", "unix_socket_directories", nil)]),
        SettingHistory([
            since("9.1", "password_encryption", "on", .reload), since("10", "password_encryption", "md5", .reload),
            since("14", "password_encryption", "scram-sha-256", .reload),
        ]),
    ]
}

extension MajorVersion {
    /// A version that this source names; a mistake in it is found by the tests of the table.
    fileprivate static func of(_ text: String) -> MajorVersion { MajorVersion(text) ?? .postgres(0) }
}

extension ServerFeatures {
    /// What the setting that was called `name` in any version is called in this one; `nil` where this version has none.
    ///
    /// A setting that is not in the table has one name in all versions.
    public func settingName(_ name: String) -> String? {
        guard let history = SettingHistory.of(name) else { return name }
        return history.name(in: version)
    }

    /// Whether a reload brings a new value of `name` into force; `nil` for a setting that is not in the table.
    public func isReloadable(_ name: String) -> Bool? {
        SettingHistory.of(name)?.era(in: version).map { $0.reach == .reload }
    }

    /// The value of `wal_level` with which a standby can follow.
    public var walLevelForStandbys: String { version >= .postgres(10) || version.number == 906 ? "replica" : "hot_standby" }
}
