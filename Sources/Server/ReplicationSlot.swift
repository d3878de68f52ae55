public import EventLoop
public import PostgresClient
import PostgresConfig

/// A replication slot, as `pg_replication_slots` has it.
public struct ReplicationSlot: Sendable, Hashable {
    public var name: SlotName
    /// The output plugin of a logical slot; `nil` for a physical one.
    public var plugin: String?
    public var database: String?
    public var isActive: Bool
    /// The process that reads it, if one does; unknown before 9.5.
    public var activePID: Int?
    public var restartLSN: LSN?
    /// `nil` while a logical slot is still being created: it holds nothing yet, whoever promotes then loses rows. Unknown before 9.6.
    public var confirmedFlushLSN: LSN?
    /// `reserved`, `extended`, `unreserved` or `lost`; unknown before 13.
    public var walStatus: String?
    /// Bytes of WAL kept for it; `nil` on a standby, and where nothing is kept.
    public var retainedBytes: Int64?

    public init(
        name: SlotName, plugin: String?, database: String?, activePID: Int?, restartLSN: LSN?, confirmedFlushLSN: LSN?, walStatus: String?,
        retainedBytes: Int64?
    ) {
        (self.name, self.plugin, self.database) = (name, plugin, database)
        (isActive, self.activePID) = (activePID != nil, activePID)
        (self.restartLSN, self.confirmedFlushLSN) = (restartLSN, confirmedFlushLSN)
        (self.walStatus, self.retainedBytes) = (walStatus, retainedBytes)
    }

    private static func slots(where condition: SQL, _ features: ServerFeatures) -> SQL {
        let reader: SQL = features.slots.haveReader ? "active_pid" : "NULL::int AS active_pid"
        let flush: SQL = features.slots.haveConfirmedFlush ? "confirmed_flush_lsn" : "NULL::pg_lsn AS confirmed_flush_lsn"
        let status: SQL = features.slots.haveWALStatus ? "wal_status" : "NULL::text AS wal_status"
        return """
            SELECT slot_name, plugin, database, active, \(reader), restart_lsn, \(flush), \(status), \
            CASE WHEN NOT pg_is_in_recovery() THEN \(wal: .difference, features)(\(wal: .current, features)(), restart_lsn)::bigint END AS retained \
            FROM pg_replication_slots\(condition) ORDER BY slot_name
            """
    }

    static func all(_ features: ServerFeatures) -> SQL { slots(where: "", features) }
    static func named(_ name: SlotName, _ features: ServerFeatures) -> SQL { slots(where: " WHERE slot_name = \(name)", features) }

    /// - Returns: the statement for a slot that holds WAL from now on, where the version can do that at once; else from its first reader on.
    static func createPhysical(_ name: SlotName, _ features: ServerFeatures) -> SQL {
        "SELECT \(made: features) FROM pg_create_physical_replication_slot(\(name)\(features.slots.reserveAtOnce ? ", true" : "" as SQL))"
    }

    static func drop(_ name: SlotName) -> SQL {
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = \(name)"
    }

    init(row: Row) throws {
        name = try row.get("slot_name")
        plugin = try row.optional("plugin")
        database = try row.optional("database")
        isActive = try row.get("active")
        activePID = try row.optional("active_pid")
        restartLSN = try row.optional("restart_lsn")
        confirmedFlushLSN = try row.optional("confirmed_flush_lsn")
        walStatus = try row.optional("wal_status")
        retainedBytes = try row.optional("retained")
    }
}

extension ServerSession {
    /// Every slot of the instance; none before 9.4.
    public func slots(deadline: Deadline) async throws -> [ReplicationSlot] {
        guard features.slots.exist else { return [] }
        return try await look(ReplicationSlot.all(features), deadline).map(ReplicationSlot.init(row:))
    }

    /// The slot called `name`, if there is one.
    public func slot(_ name: SlotName, deadline: Deadline) async throws -> ReplicationSlot? {
        guard features.slots.exist else { return nil }
        return try await look(ReplicationSlot.named(name, features), deadline).first.map(ReplicationSlot.init(row:))
    }

    /// The slot called `name`, if there is one. One that a lost session is still making is waited for.
    /// - Throws: `DeadlineExceeded`, which names the process that makes it.
    public func finishedSlot(_ name: SlotName, deadline: Deadline) async throws -> ReplicationSlot? {
        try await wait(for: "slot \(name) on \(self.name) to be made or given up by the session that makes it", until: deadline) {
            guard let slot = try await slot(name, deadline: deadline.forLook) else { return .found(nil) }
            let isUnfinished = features.slots.haveConfirmedFlush && slot.plugin != nil && slot.confirmedFlushLSN == nil && slot.isActive
            return isUnfinished ? .notYet("pid \(slot.activePID ?? 0) is making it") : .found(slot)
        }
    }

    /// Creates a physical slot, for a standby. It holds WAL from now on; before 9.6 only from its first reader on.
    /// - Returns: the LSN from which it holds WAL, where it does already.
    /// - Throws: ``ServerError/cannotHaveSlots(node:version:)`` before 9.4; a server error where there is one of that name.
    @discardableResult
    public func createPhysicalSlot(_ slot: SlotName, deadline: Deadline) async throws -> LSN? {
        try requireSlots()
        return try await query(ReplicationSlot.createPhysical(slot, features), deadline).one().optional("lsn")
    }

    /// Drops a slot, waiting first until nobody reads it; one that is not there is no error.
    /// - Returns: whether there was such a slot.
    /// - Throws: `DeadlineExceeded`, which names the process that reads it.
    @discardableResult
    public func dropSlot(_ slot: SlotName, deadline: Deadline) async throws -> Bool {
        try await wait(for: "slot \(slot) on \(name) to be free to drop", until: deadline) {
            guard let found = try await self.slot(slot, deadline: deadline.forLook) else { return .found(false) }
            if found.isActive { return .notYet(found.activePID.map { "pid \($0) reads it" } ?? "a process reads it") }
            do {
                return .found(try await !query(ReplicationSlot.drop(slot), deadline.forLook).isEmpty)
            } catch let error as PostgresError where error.code == objectInUse {
                return .notYet("a process reads it")
            } catch let error as PostgresError where error.code == undefinedObject {
                return .found(false)
            }
        }
    }

    /// As ``dropSlot(_:deadline:)``, of a reader that is stopped for good.
    ///
    /// A sender whose receiver has lost power ends with wal_sender_timeout, a minute unless it was changed. One that is terminated before wants to
    /// say so to its receiver, and then waits a quarter of an hour for the network: it is terminated when it has not ended by itself.
    @discardableResult
    public func dropSlotOfStoppedReader(_ slot: SlotName) async throws -> Bool {
        do {
            return try await dropSlot(slot, deadline: .after(.seconds(100)))
        } catch is DeadlineExceeded {
            if let reader = try await self.slot(slot, deadline: .after(.seconds(20)))?.activePID { try await terminate(reader, deadline: .after(.seconds(20))) }
            return try await dropSlot(slot, deadline: .after(.seconds(20)))
        }
    }

    func requireSlots() throws {
        guard features.slots.exist else { throw ServerError.cannotHaveSlots(node: name, version: features.version) }
    }
}

extension SQL.Interpolation {
    /// The column that says where a new slot begins.
    mutating func appendInterpolation(made features: ServerFeatures) {
        appendInterpolation(features.walNaming == .wal ? "lsn" : "xlog_position AS lsn" as SQL)
    }
}

/// SQLSTATEs. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
private let objectInUse = "55006"
private let undefinedObject = "42704"
