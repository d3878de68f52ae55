public import EventLoop
public import PostgresClient
import PostgresConfig

/// Who keeps a session waiting: one that creates a logical slot, or wants a lock.
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

    /// Before 9.6 no server says who waits for whom.
    static func of(_ pid: Int) -> SQL {
        """
        SELECT b.pid, coalesce(a.usename, '') AS role, coalesce(a.datname, '') AS database, coalesce(a.application_name, '') AS application, \
        coalesce(a.state, '') AS state FROM (SELECT DISTINCT unnest(pg_blocking_pids(\(pid))) AS pid) b \
        LEFT JOIN pg_stat_activity a ON a.pid = b.pid ORDER BY b.pid
        """
    }
}

extension ReplicationSlot {
    static func createLogical(_ name: SlotName, plugin: String, _ features: ServerFeatures) -> SQL {
        "SELECT \(made: features) FROM pg_create_logical_replication_slot(\(name), \(plugin))"
    }
}

extension ServerSession {
    /// Creates logical slots, one after the other in one round trip. Each waits for every transaction open at that moment, in any database of
    /// the instance.
    /// - Parameters:
    ///   - plugin: the output plugin.
    ///   - watcher: another session on the same server, which sees who is waited for.
    ///   - next: a statement that is sent along, to be run when the slots are there; where none is to be made it is not run.
    /// - Returns: the LSN from which each slot has changes to give, and the answer to `next`.
    /// - Throws: ``ServerError/slotCreationBlocked(node:slot:blockers:budget:)`` at the deadline; the server takes the unfinished slot away.
    public func createLogicalSlots(
        _ slots: [SlotName], plugin: String, watcher: ServerSession, then next: SQL? = nil, deadline: Deadline
    ) async throws -> (begins: [SlotName: LSN], next: Rows?) {
        guard let slot = slots.first else { return ([:], nil) }
        try requireSlots()
        let pid = await backendPID
        return try await withThrowingTaskGroup(of: SlotProgress.self) { group in
            group.addTask {
                do {
                    let creating = slots.map { ReplicationSlot.createLogical($0, plugin: plugin, features) }
                    let answers = try await connection.query(together: creating + [next].compactMap(\.self), deadline: deadline)
                    let begins = try zip(slots, answers).map { ($0, try $1.one().get("lsn", as: LSN.self)) }
                    return .created(Dictionary(begins) { first, _ in first }, next == nil ? nil : answers.last)
                } catch  where deadline.hasPassed {
                    return .gaveUp(error)
                }
            }
            group.addTask { .watched(try await watcher.watchBlockers(of: pid, until: deadline)) }
            var blockers: [SlotBlocker] = []
            var failure: (any Error)?
            while let progress = try await group.next() {
                switch progress {
                case .created(let begins, let next):
                    group.cancelAll()
                    return (begins, next)
                case .watched(let seen): blockers = seen
                case .gaveUp(let error): failure = error
                }
            }
            guard blockers.isEmpty, let failure else {
                throw ServerError.slotCreationBlocked(node: name, slot: slot, blockers: blockers, budget: deadline.budget)
            }
            throw failure
        }
    }

    /// Looks who blocks `pid` until the deadline, or until the task is cancelled because the slot is there.
    /// - Returns: those seen in the last look that saw any.
    private func watchBlockers(of pid: Int, until deadline: Deadline) async throws -> [SlotBlocker] {
        guard features.hasBlockingPIDs else { return [] }
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

    /// For whom the process `pid` waits; nobody before 9.6, where no server says it.
    public func blockers(of pid: Int, deadline: Deadline) async throws -> [SlotBlocker] {
        guard features.hasBlockingPIDs else { return [] }
        let rows = try await look(SlotBlocker.of(pid), deadline)
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
}

private enum SlotProgress: Sendable {
    case created([SlotName: LSN], Rows?)
    case watched([SlotBlocker])
    case gaveUp(any Error)
}
