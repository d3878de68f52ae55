public import EventLoop
public import PostgresClient
import PostgresConfig

/// What a server has to do with replication, of one moment: what it is, how far it is, who streams from it and from whom it streams.
public struct ReplicationLook: Sendable, Hashable {
    public var recovery: RecoveryState
    /// The timeline that it writes or replays; `nil` on a standby before 9.6, and on one that has replayed nothing yet.
    public var timeline: UInt32?
    /// The number that all copies of one `initdb` share; `nil` before 9.6.
    public var systemIdentifier: String?
    /// What it has written; `nil` on a standby.
    public var writtenLSN: LSN?
    public var senders: [StreamingStandby]
    public var slots: [ReplicationSlot]
    /// As `pg_settings` has them, numbers in the setting's base unit; those of ``settingNames`` that the server has.
    public var settings: [String: String]
    /// By what a standby receives: what its settings say (from 12), else its receiver (from 9.6); before, only its files say it. Without a secret.
    public var conninfo: Conninfo?
    public var preparedTransactions: [PreparedTransaction]
    /// The file that the archiver has failed to archive and not archived since; `nil` where all is well (from 9.4).
    public var failingArchive: String?

    /// Settings that replication rests on.
    public static let settingNames = [
        "synchronous_standby_names", "primary_slot_name", "restore_command", "archive_mode", "max_wal_senders", "max_replication_slots", "hot_standby",
        "wal_log_hints", "data_checksums", "wal_level", "max_connections", "max_prepared_transactions", "max_locks_per_transaction", "max_worker_processes",
        "server_version_num", "cluster_name",
    ]

    public init(
        recovery: RecoveryState, timeline: UInt32? = nil, systemIdentifier: String? = nil, writtenLSN: LSN? = nil, senders: [StreamingStandby] = [],
        slots: [ReplicationSlot] = [], settings: [String: String] = [:], conninfo: Conninfo? = nil, preparedTransactions: [PreparedTransaction] = [], failingArchive: String? = nil
    ) {
        (self.recovery, self.timeline, self.systemIdentifier, self.writtenLSN) = (recovery, timeline, systemIdentifier, writtenLSN)
        (self.senders, self.slots, self.settings, self.conninfo) = (senders, slots, settings, conninfo)
        (self.preparedTransactions, self.failingArchive) = (preparedTransactions, failingArchive)
    }

    /// The furthest it has: written, or received or replayed.
    public var reachedLSN: LSN? { writtenLSN ?? [recovery.receivedLSN, recovery.replayedLSN].compactMap(\.self).max() }

    // The control file has the timeline of the last checkpoint: behind after a promotion, until the next one.
    static func identity(_ features: ServerFeatures) -> SQL {
        let writing: SQL = "('x' || substr(\(wal: .fileName, features)(\(wal: .currentInsert, features)()), 1, 8))::bit(32)::bigint"
        guard features.hasControlFunctions else {
            return """
                SELECT CASE WHEN NOT pg_is_in_recovery() THEN \(writing) END AS timeline, NULL::text AS system, \
                CASE WHEN NOT pg_is_in_recovery() THEN \(wal: .current, features)() END AS written
                """
        }
        return """
            SELECT CASE WHEN pg_is_in_recovery() THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver), \
            (SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT timeline_id FROM pg_control_checkpoint()))::bigint \
            ELSE \(writing) END AS timeline, \
            (SELECT system_identifier::text FROM pg_control_system()) AS system, CASE WHEN NOT pg_is_in_recovery() THEN \(wal: .current, features)() END AS written
            """
    }

    static func upstream(_ features: ServerFeatures) -> SQL {
        let receiver: SQL = features.hasWALReceiverView ? "(SELECT conninfo FROM pg_stat_wal_receiver)" : "NULL::text"
        let setting: SQL = features.standbyMarker == .signalFile ? "nullif(current_setting('primary_conninfo'), '')" : "NULL::text"
        // What the receiver says has every option that libpq knows, and no password.
        return "SELECT coalesce(\(setting), \(receiver)) AS conninfo"
    }

    static func archiver(_ features: ServerFeatures) -> SQL {
        guard features.slots.exist else { return "SELECT NULL::text AS failing" }
        return """
            SELECT last_failed_wal AS failing FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off' AND last_failed_time IS NOT NULL \
            AND (last_archived_time IS NULL OR last_archived_time < last_failed_time)
            """
    }
}

extension ServerSession {
    /// All of it, asked for at once.
    /// - Throws: `UnexpectedAnswer`, what a look throws.
    public func replication(deadline: Deadline) async throws -> ReplicationLook {
        let statements =
            [
                RecoveryState.read(features), ReplicationLook.identity(features), StreamingStandby.all(features), ServerSettings.read(ReplicationLook.settingNames),
                ReplicationLook.upstream(features), PreparedTransaction.all(), ReplicationLook.archiver(features),
            ] + (features.slots.exist ? [ReplicationSlot.all(features)] : [])
        let answers = try await connection.look(together: statements, deadline: deadline)
        let identity = try answers[1].one()
        let timeline: Int64? = try identity.optional("timeline")
        let conninfo = try answers[4].one().optional("conninfo", as: String.self).map { try Conninfo(ofServer: $0).withoutSecrets }
        return ReplicationLook(
            recovery: try RecoveryState(row: try answers[0].one()), timeline: timeline.map { UInt32(truncatingIfNeeded: $0) }, systemIdentifier: try identity.optional("system"),
            writtenLSN: try identity.optional("written"), senders: try answers[2].map(StreamingStandby.init(row:)),
            slots: answers.count > 7 ? try answers[7].map(ReplicationSlot.init(row:)) : [],
            settings: try answers[3].reduce(into: [:]) { $0[try $1.get("name")] = try $1.get("setting", as: String.self) },
            conninfo: conninfo, preparedTransactions: try answers[5].map(PreparedTransaction.init(row:)),
            failingArchive: try answers[6].first?.optional("failing"))
    }

    /// Has the server write a checkpoint at once, and waits for it.
    public func checkpoint(deadline: Deadline) async throws { try await query("CHECKPOINT", deadline) }
}
