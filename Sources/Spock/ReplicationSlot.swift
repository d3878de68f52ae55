public import EventLoop
public import PostgresClient

/// A replication slot, as `pg_replication_slots` has it.
public struct ReplicationSlot: Sendable, Hashable {
    public var name: SlotName
    /// `spock_output` for Spock's; `nil` for a physical slot.
    public var plugin: String?
    public var database: String?
    /// The process that reads it, if one does.
    public var activePID: Int?
    public var restartLSN: LSN?
    /// `nil` while a logical slot is still being created: it holds nothing yet, whoever promotes then loses rows.
    public var confirmedFlushLSN: LSN?
    /// `reserved`, `extended`, `unreserved` or `lost`.
    public var walStatus: String?
    /// Bytes of WAL kept for it; `nil` on a standby, and where nothing is kept.
    public var retainedBytes: Int64?

    public var isActive: Bool { activePID != nil }

    static let outputPlugin = "spock_output"

    private static func slots(where condition: SQL) -> SQL {
        """
        SELECT slot_name, plugin, database, active_pid, restart_lsn, confirmed_flush_lsn, wal_status, \
        CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END AS retained \
        FROM pg_replication_slots\(condition) ORDER BY slot_name
        """
    }

    static func all() -> SQL { slots(where: "") }
    static func named(_ name: SlotName) -> SQL { slots(where: " WHERE slot_name = \(name)") }

    /// The name Spock will look for: only the server knows it.
    static func generateName(database: String, provider: NodeName, subscription: SubscriptionName) -> SQL {
        "SELECT spock.spock_gen_slot_name(\(database), \(provider), \(subscription)) AS slot_name"
    }

    static func create(_ name: SlotName) -> SQL {
        "SELECT lsn FROM pg_create_logical_replication_slot(\(name), \(outputPlugin))"
    }

    static func drop(_ name: SlotName) -> SQL {
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = \(name)"
    }

    static func blockers(of pid: Int) -> SQL {
        """
        SELECT b.pid, coalesce(a.usename, '') AS role, coalesce(a.datname, '') AS database, coalesce(a.application_name, '') AS application, \
        coalesce(a.state, '') AS state FROM (SELECT DISTINCT unnest(pg_blocking_pids(\(pid))) AS pid) b \
        LEFT JOIN pg_stat_activity a ON a.pid = b.pid ORDER BY b.pid
        """
    }
}

extension ReplicationSlot {
    init(row: Row) throws {
        name = try row.get("slot_name")
        plugin = try row.optional("plugin")
        database = try row.optional("database")
        activePID = try row.optional("active_pid")
        restartLSN = try row.optional("restart_lsn")
        confirmedFlushLSN = try row.optional("confirmed_flush_lsn")
        walStatus = try row.optional("wal_status")
        retainedBytes = try row.optional("retained")
    }
}

/// Who keeps a slot from being created.
public enum SlotBlocker: Sendable, Hashable, CustomStringConvertible {
    case session(pid: Int, role: String, database: String, application: String, state: String)
    case prepared(PreparedTransaction)

    public var description: String {
        switch self {
        case .session(let pid, let role, let database, let application, let state):
            "pid \(pid) (\(role), database \(database)\(application.isEmpty ? "" : ", \(application)"), \(state))"
        case .prepared(let transaction): "prepared transaction \(transaction)"
        }
    }
}

extension SpockSession {
    /// The name of the slot, on `provider`, of a subscription in `database` of the subscriber.
    public func generateSlotName(
        database: String, provider: NodeName, subscription: SubscriptionName, deadline: Deadline
    ) async throws -> SlotName {
        try await query(ReplicationSlot.generateName(database: database, provider: provider, subscription: subscription), deadline)
            .one().get("slot_name")
    }

    /// Every slot of the instance.
    public func slots(deadline: Deadline) async throws -> [ReplicationSlot] {
        try await query(ReplicationSlot.all(), deadline).map(ReplicationSlot.init(row:))
    }

    /// The slot called `name`, if there is one.
    public func slot(_ name: SlotName, deadline: Deadline) async throws -> ReplicationSlot? {
        try await query(ReplicationSlot.named(name), deadline).first.map(ReplicationSlot.init(row:))
    }

    /// Waits until somebody reads each of `names`: on a provider, the proof that its subscriptions are connected.
    /// - Throws: `DeadlineExceeded`, which names those that nobody reads.
    public func waitRead(_ names: [SlotName], deadline: Deadline) async throws {
        let list = names.map(\.rawValue).joined(separator: ", ")
        try await wait(for: "\(list) on \(name) to be read", until: deadline) {
            let read = Set(try await slots(deadline: deadline.forLook).filter(\.isActive).map(\.name))
            let idle = names.filter { !read.contains($0) }
            return idle.isEmpty ? .found(()) : .notYet("nobody reads \(idle.map(\.rawValue).joined(separator: ", "))")
        }
    }

    /// Creates a slot of Spock's output plugin. It waits for every transaction open at this moment, in any database of the instance.
    /// - Parameter watcher: another session on the same server, which sees who is waited for.
    /// - Returns: the LSN from which the slot has changes to give.
    /// - Throws: ``SpockError/slotCreationBlocked(node:slot:blockers:budget:)`` at the deadline; the server takes the unfinished slot away.
    public func createSlot(_ slot: SlotName, watcher: SpockSession, deadline: Deadline) async throws -> LSN {
        let pid = await backendPID
        return try await withThrowingTaskGroup(of: SlotProgress.self) { group in
            group.addTask {
                do {
                    return .created(try await query(ReplicationSlot.create(slot), deadline).one().get("lsn"))
                } catch  where deadline.hasPassed {
                    return .gaveUp(error)
                }
            }
            group.addTask { .watched(try await watcher.watchBlockers(of: pid, until: deadline)) }
            var blockers: [SlotBlocker] = []
            var failure: (any Error)?
            while let progress = try await group.next() {
                switch progress {
                case .created(let lsn):
                    group.cancelAll()
                    return lsn
                case .watched(let seen): blockers = seen
                case .gaveUp(let error): failure = error
                }
            }
            guard blockers.isEmpty, let failure else {
                throw SpockError.slotCreationBlocked(node: name, slot: slot, blockers: blockers, budget: deadline.budget)
            }
            throw failure
        }
    }

    /// Looks who blocks `pid` until the deadline, or until the task is cancelled because the slot is there.
    /// - Returns: those seen in the last look that saw any.
    private func watchBlockers(of pid: Int, until deadline: Deadline) async throws -> [SlotBlocker] {
        var last: [SlotBlocker] = []
        // Ends a little before the deadline, while the one that is blocked still waits.
        let end = deadline.orAfter(max(.zero, deadline.remaining - .milliseconds(100)))
        while !end.hasPassed, !Task.isCancelled {
            let seen = try await blockers(of: pid, deadline: deadline.forLook)
            if !seen.isEmpty { last = seen }
            try await Task.sleep(for: min(.milliseconds(200), max(end.remaining, .milliseconds(1))))
        }
        return last
    }

    func blockers(of pid: Int, deadline: Deadline) async throws -> [SlotBlocker] {
        let rows = try await query(ReplicationSlot.blockers(of: pid), deadline)
        var blockers: [SlotBlocker] = []
        for row in rows {
            let blocker: Int = try row.get("pid")
            if blocker == 0 {
                blockers += try await preparedTransactions(deadline: deadline).map(SlotBlocker.prepared)
            } else {
                blockers.append(
                    .session(
                        pid: blocker, role: try row.get("role"), database: try row.get("database"),
                        application: try row.get("application"), state: try row.get("state")))
            }
        }
        return blockers
    }

    /// Drops a slot, waiting first until nobody reads it; one that is not there is no error.
    /// - Returns: whether there was such a slot.
    /// - Throws: `DeadlineExceeded`, which names the process that reads it.
    @discardableResult
    public func dropSlot(_ slot: SlotName, deadline: Deadline) async throws -> Bool {
        try await wait(for: "slot \(slot) on \(name) to be free to drop", until: deadline) {
            guard let found = try await self.slot(slot, deadline: deadline.forLook) else { return .found(false) }
            if let pid = found.activePID { return .notYet("pid \(pid) reads it") }
            do {
                return .found(try await !query(ReplicationSlot.drop(slot), deadline.forLook).isEmpty)
            } catch let error as PostgresError where error.code == objectInUse {
                return .notYet("a process reads it")
            } catch let error as PostgresError where error.code == undefinedObject {
                return .found(false)
            }
        }
    }
}

private enum SlotProgress: Sendable {
    case created(LSN)
    case watched([SlotBlocker])
    case gaveUp(any Error)
}

/// SQLSTATEs. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
private let objectInUse = "55006"
private let undefinedObject = "42704"
