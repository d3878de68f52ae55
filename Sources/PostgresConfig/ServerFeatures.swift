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
    /// Whether `postgresql.auto.conf` is read (from 9.4).
    public let readsAutoConf: Bool
    /// Whether a standby takes connections unless told otherwise (`hot_standby`, from 10).
    public let isHotStandbyByDefault: Bool
    /// Whether a standby that streams follows its upstream onto another timeline (from 9.3); before, only by an archive.
    public let streamsAcrossTimelines: Bool
    /// Whether a connection string can name a password file (from 10); before, it is that of the OS user.
    public let conninfoTakesPassfile: Bool
    /// Whether there is `pg_hba_file_rules` (from 10).
    public let hasHBARulesView: Bool
    /// Whether `pg_hba.conf` may include other files, and its view names them (from 16).
    public let hasHBAIncludes: Bool
    /// Whether `postgres -C` reads the configuration files and says what it made of them (from 9.2).
    public let canCheckFiles: Bool
    /// Whether `postgres -C` of a setting that is worked out begins a start (from 15).
    public let canBeginStart: Bool
    /// What is decided when the programs are built, and must be the same for a data directory as for the programs that start it: `postgres -C` says it
    /// (from 9.2); the size of WAL segments until 10.
    public let buildSettings: [String]
    /// Whether a standby that has lost its primary sees at once that it is promoted (from 9.5); before, it may sleep for five seconds first.
    public let seesPromotionAtOnce: Bool
    /// Whether `postmaster.pid` says `ready` in its eighth line (from 10).
    public let pidFileHasStatus: Bool
    /// Whether the views of sessions and senders have `pid`, `query` and `state` (from 9.2); before, `procpid` and `current_query`.
    public let activityHasState: Bool
    /// Whether `pg_stat_activity` has `backend_xid` and `backend_xmin` (from 9.4).
    public let activityHasTransactionIDs: Bool
    /// Whether `pg_stat_activity` has `backend_type`, and rows for processes that are no sessions (from 10).
    public let activityHasBackendType: Bool
    /// Whether there is `pg_blocking_pids()` (from 9.6).
    public let hasBlockingPIDs: Bool
    /// What `pg_replication_slots` has.
    public let slots: SlotFeatures
    /// Whether there are replication origins (from 9.5).
    public let hasReplicationOrigins: Bool
    /// Whether there is `pg_stat_wal_receiver` (from 9.6).
    public let hasWALReceiverView: Bool
    /// Whether there is a function for what is flushed (from 9.6).
    public let hasFlushPosition: Bool
    /// Whether there are `pg_control_system()` and its like (from 9.6).
    public let hasControlFunctions: Bool
    /// Whether `pg_stat_activity` says what a session waits for (from 9.6).
    public let hasWaitEvents: Bool
    /// Whether there is `pg_logical_emit_message()` (from 9.6).
    public let hasLogicalMessages: Bool
    /// Whether there is the view `pg_config` (from 9.6).
    public let hasBuildView: Bool
    /// Whether there is `pg_subscription` (from 10).
    public let hasSubscriptions: Bool
    /// Whether there is `pg_waldump` (from 10); what 9.3 had before writes it otherwise.
    public let hasWALDump: Bool
    /// Whether there is `pg_tablespace_location()`; before 9.2 the catalog says it.
    public let hasTablespaceLocation: Bool

    /// What a server knows of replication slots.
    public struct SlotFeatures: Sendable, Hashable {
        /// Whether there are any (from 9.4).
        public let exist: Bool
        /// Whether one may be a session's own (from 10).
        public let areTemporary: Bool
        /// Whether the view says who reads one (from 9.5).
        public let haveReader: Bool
        /// Whether the view says what a logical one's reader has confirmed (from 9.6).
        public let haveConfirmedFlush: Bool
        /// Whether a physical one can hold WAL from the moment it is made (from 9.6).
        public let reserveAtOnce: Bool
        /// Whether the view says what has become of the WAL that one holds (from 13).
        public let haveWALStatus: Bool

        init(_ version: MajorVersion) {
            exist = version.number >= 904
            areTemporary = version >= .postgres(10)
            haveReader = version.number >= 905
            haveConfirmedFlush = version.number >= 906
            reserveAtOnce = version.number >= 906
            haveWALStatus = version >= .postgres(13)
        }
    }

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
        readsAutoConf = version.number >= 904
        isHotStandbyByDefault = isAtLeast10
        streamsAcrossTimelines = version.number >= 903
        conninfoTakesPassfile = isAtLeast10
        hasHBARulesView = isAtLeast10
        hasHBAIncludes = version >= .postgres(16)
        canCheckFiles = version.number >= 902
        canBeginStart = version >= .postgres(15)
        buildSettings = canCheckFiles ? ["block_size", "wal_block_size", "segment_size"] + (version >= .postgres(11) ? [] : ["wal_segment_size"]) : []
        seesPromotionAtOnce = version.number >= 905
        pidFileHasStatus = isAtLeast10
        activityHasState = version.number >= 902
        activityHasTransactionIDs = version.number >= 904
        activityHasBackendType = isAtLeast10
        slots = SlotFeatures(version)
        hasReplicationOrigins = version.number >= 905
        let isAtLeast96 = version.number >= 906
        hasBlockingPIDs = isAtLeast96
        hasWALReceiverView = isAtLeast96
        hasFlushPosition = isAtLeast96
        hasControlFunctions = isAtLeast96
        hasWaitEvents = isAtLeast96
        hasLogicalMessages = isAtLeast96
        hasBuildView = isAtLeast96
        hasSubscriptions = isAtLeast10
        hasWALDump = isAtLeast10
        hasTablespaceLocation = version.number >= 902
    }

    /// The directory of the write-ahead log in a data directory.
    public var walDirectory: String { walNaming == .wal ? "pg_wal" : "pg_xlog" }

    // MARK: Functions

    /// A function of the server whose name holds the write-ahead log's.
    public enum WALFunction: Sendable, Hashable, CaseIterable {
        case current, currentInsert, lastReceive, lastReplay, switchFile, pauseReplay, resumeReplay, isReplayPaused
        /// What is on disk; where ``hasFlushPosition`` says so.
        case currentFlush
        /// The file that holds a position.
        case fileName
        /// Bytes between two positions (from 9.2).
        case difference
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
        case .currentFlush: isWAL ? "pg_current_wal_flush_lsn" : "pg_current_xlog_flush_location"
        case .fileName: isWAL ? "pg_walfile_name" : "pg_xlogfile_name"
        case .difference: isWAL ? "pg_wal_lsn_diff" : "pg_xlog_location_diff"
        }
    }

    /// A column of `pg_stat_replication`.
    public enum StandbyColumn: String, Sendable, Hashable, CaseIterable {
        case sent, write, flush, replay
    }

    public func columnName(_ column: StandbyColumn) -> String { column.rawValue + (walNaming == .wal ? "_lsn" : "_location") }

    /// Whether a standby can be promoted by `pg_promote()` (from 12).
    public var hasPromoteFunction: Bool { version >= .postgres(12) }

    // MARK: Options of programs

    /// What `pg_basebackup` can be told.
    public struct BaseBackupFeatures: Sendable, Hashable {
        /// Whether it takes a connection string (from 9.3).
        public let takesConninfo: Bool
        /// Whether it makes a standby of the copy (from 9.3).
        public let marksStandby: Bool
        /// Whether tablespaces can go elsewhere, and the rate be limited (from 9.4).
        public let mapsTablespaces: Bool
        /// The option that names the directory of the log; `nil` where there is none (before 9.4).
        public let walDirectoryOption: String?
        /// Whether the server can compress what it sends (from 15).
        public let compressesOnServer: Bool
        /// Whether a copy brings a list of its files, which comes last, and which `pg_verifybackup` compares it with (from 13).
        public let hasManifest: Bool

        init(_ version: MajorVersion) {
            takesConninfo = version.number >= 903
            marksStandby = version.number >= 903
            mapsTablespaces = version.number >= 904
            walDirectoryOption = version.number < 904 ? nil : version >= .postgres(10) ? "--waldir" : "--xlogdir"
            compressesOnServer = version >= .postgres(15)
            hasManifest = version >= .postgres(13)
        }
    }

    public var baseBackup: BaseBackupFeatures { BaseBackupFeatures(version) }

    /// Whether passwords can be kept as SCRAM verifiers (from 10); before, MD5 alone.
    public var hasSCRAM: Bool { version >= .postgres(10) }

    /// The `wal_level` of a server that standbys read; above it there is `logical`.
    public var standbyWALLevel: String { version.number >= 906 ? "replica" : "hot_standby" }

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

    /// What `pg_rewind` can do.
    public struct RewindFeatures: Sendable, Hashable {
        /// Whether there is one (from 9.5).
        public let exists: Bool
        /// Whether it recovers a server that crashed by itself (from 13).
        public let recovers: Bool
        /// Whether it fetches WAL that is gone by the target's `restore_command` (from 13).
        public let restoresWAL: Bool
        /// Whether it can be told of a `postgresql.conf` outside of the data directory (from 15).
        public let takesConfigFile: Bool

        init(_ version: MajorVersion) {
            exists = version.number >= 905
            recovers = version >= .postgres(13)
            restoresWAL = version >= .postgres(13)
            takesConfigFile = version >= .postgres(15)
        }
    }

    public var rewind: RewindFeatures { RewindFeatures(version) }

    /// Whether `pg_ctl promote` can wait until the server takes writes (from 10); before, poll.
    public var promoteCanWait: Bool { version >= .postgres(10) }
}
