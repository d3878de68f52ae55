/// What differs between major versions, in one table: procedures ask here and never compare versions.
public struct ServerFeatures: Sendable, Hashable {
    /// Where a server is told to be a standby.
    public enum StandbyMarker: Sendable, Hashable {
        /// `recovery.conf` with `standby_mode = 'on'`, and the recovery settings in it (until 11).
        case recoveryConf
        /// An empty `standby.signal`; the recovery settings are ordinary ones (from 12).
        case signalFile
    }

    /// How the write-ahead log is called, in directories and functions.
    public enum WALNaming: Sendable, Hashable {
        /// `pg_xlog`, `pg_current_xlog_location()` (until 9.6).
        case xlog
        /// `pg_wal`, `pg_current_wal_lsn()` (from 10).
        case wal
    }

    public let version: MajorVersion
    public let standbyMarker: StandbyMarker
    public let walNaming: WALNaming
    /// Settings that a standby needs at least as high as its primary, or recovery stops.
    public let hotStandbyMinima: [String]
    /// Whether there are `pg_file_settings` and `pg_settings.pending_restart` (from 9.5).
    public let hasFileSettingsView: Bool
    /// Whether there is `pg_hba_file_rules` (from 10).
    public let hasHBARulesView: Bool
    /// Whether `pg_hba.conf` may include other files, and its view names them (from 16).
    public let hasHBAIncludes: Bool
    /// Whether `postgres -C` reads the configuration files and says what it made of them (from 9.2).
    public let canCheckFiles: Bool
    /// Whether `postmaster.pid` says `ready` in its eighth line (from 10).
    public let pidFileHasStatus: Bool

    public init(_ version: MajorVersion) {
        self.version = version
        let isAtLeast10 = version >= .postgres(10)
        let isAtLeast12 = version >= .postgres(12)
        standbyMarker = isAtLeast12 ? .signalFile : .recoveryConf
        walNaming = isAtLeast10 ? .wal : .xlog
        hotStandbyMinima =
            ["max_connections", "max_prepared_transactions", "max_locks_per_transaction"]
            + (version.number >= 904 ? ["max_worker_processes"] : [])
            + (isAtLeast12 ? ["max_wal_senders"] : [])
        hasFileSettingsView = version.number >= 905
        hasHBARulesView = isAtLeast10
        hasHBAIncludes = version >= .postgres(16)
        canCheckFiles = version.number >= 902
        pidFileHasStatus = isAtLeast10
    }

    /// The directory of the write-ahead log in a data directory.
    public var walDirectory: String { walNaming == .wal ? "pg_wal" : "pg_xlog" }

    // MARK: Functions

    /// A function of the server whose name holds the write-ahead log's.
    public enum WALFunction: Sendable, Hashable, CaseIterable {
        case current, currentInsert, lastReceive, lastReplay, switchFile, pauseReplay, resumeReplay, isReplayPaused
    }

    public func functionName(_ function: WALFunction) -> String {
        let isWAL = walNaming == .wal
        return switch function {
        case .current: isWAL ? "pg_current_wal_lsn" : "pg_current_xlog_location"
        case .currentInsert: isWAL ? "pg_current_wal_insert_lsn" : "pg_current_xlog_insert_location"
        case .lastReceive: isWAL ? "pg_last_wal_receive_lsn" : "pg_last_xlog_receive_location"
        case .lastReplay: isWAL ? "pg_last_wal_replay_lsn" : "pg_last_xlog_replay_location"
        case .switchFile: isWAL ? "pg_switch_wal" : "pg_switch_xlog"
        case .pauseReplay: isWAL ? "pg_wal_replay_pause" : "pg_xlog_replay_pause"
        case .resumeReplay: isWAL ? "pg_wal_replay_resume" : "pg_xlog_replay_resume"
        case .isReplayPaused: isWAL ? "pg_is_wal_replay_paused" : "pg_is_xlog_replay_paused"
        }
    }

    /// Whether a standby can be promoted by `pg_promote()` (from 12).
    public var hasPromoteFunction: Bool { version >= .postgres(12) }

    // MARK: Options of programs

    /// What has `pg_basebackup` bring the log that the copy needs.
    public var baseBackupWALOptions: [String] {
        switch version.number {
        case ..<902: ["-x"]
        case ..<1000: ["--xlog-method=stream"]
        default: ["--wal-method=stream"]
        }
    }

    /// What has `pg_basebackup` stream through a slot; `nil` where it cannot (before 9.6).
    public func baseBackupSlotOptions(_ slot: String) -> [String]? { version.number >= 906 ? ["--slot=\(slot)"] : nil }

    /// Whether `pg_ctl promote` can wait until the server takes writes (from 10); before, poll.
    public var promoteCanWait: Bool { version >= .postgres(10) }
}
