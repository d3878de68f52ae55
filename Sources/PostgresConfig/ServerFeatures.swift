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
    /// Whether `postmaster.pid` says `ready` in its eighth line (from 10).
    public let pidFileHasStatus: Bool

    public init(_ version: MajorVersion) {
        self.version = version
        let isAtLeast10 = version >= .postgres(10)
        let isAtLeast12 = version >= .postgres(12)
        standbyMarker = isAtLeast12 ? .signalFile : .recoveryConf
        walNaming = isAtLeast10 ? .wal : .xlog
        hotStandbyMinima = ["max_connections", "max_prepared_transactions", "max_locks_per_transaction"]
            + (version.number >= 904 ? ["max_worker_processes"] : [])
            + (isAtLeast12 ? ["max_wal_senders"] : [])
        hasFileSettingsView = version.number >= 905
        hasHBARulesView = isAtLeast10
        pidFileHasStatus = isAtLeast10
    }

    /// The directory of the write-ahead log in a data directory.
    public var walDirectory: String { walNaming == .wal ? "pg_wal" : "pg_xlog" }
}
