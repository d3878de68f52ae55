public import EventLoop
import PostgresClient
import PostgresConfig
import Report

/// What an advisory lock is known by: 64 bits made of a text, here and not on the server, where the function for it came with 11.
public struct AdvisoryLockKey: Sendable, Hashable {
    public let number: Int64

    public init(_ text: String) { number = Int64(bitPattern: fnv1a(text.utf8)) }

    /// How `pg_locks` shows the number.
    var halves: (high: UInt32, low: UInt32) {
        let bits = UInt64(bitPattern: number)
        return (UInt32(truncatingIfNeeded: bits >> 32), UInt32(truncatingIfNeeded: bits))
    }

    static func take(_ key: AdvisoryLockKey) -> SQL { "SELECT pg_try_advisory_lock(\(key.number)) AS taken" }

    static func holder(of key: AdvisoryLockKey, _ features: ServerFeatures) -> SQL {
        let pid = Activity(features: features).pid
        return """
            SELECT \(pid) AS pid, coalesce(a.application_name, '') AS application, date_trunc('second', a.backend_start)::text AS since \
            FROM pg_stat_activity a JOIN pg_locks l ON l.pid = \(pid) WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
            AND l.classid = \(key.halves.high) AND l.objid = \(key.halves.low) \
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
    }
}

/// Who has an advisory lock.
public struct AdvisoryLockHolder: Sendable, Hashable {
    public var pid: Int
    /// What the session says of itself.
    public var application: String
    /// Since when its session is there, as the server writes it: `2026-11-21 07:12:03+00`.
    public var since: String
}

extension ServerSession {
    /// Takes the lock for this session, unless another one has it; it is gone with the session. In this database only.
    /// - Returns: whether it was taken.
    public func tryAdvisoryLock(_ key: AdvisoryLockKey, deadline: Deadline) async throws -> Bool {
        try await query(AdvisoryLockKey.take(key), deadline).one().get("taken")
    }

    /// Who has the lock; `nil` where nobody has it.
    public func holder(of key: AdvisoryLockKey, deadline: Deadline) async throws -> AdvisoryLockHolder? {
        try await look(AdvisoryLockKey.holder(of: key, features), deadline).first.map {
            AdvisoryLockHolder(pid: try $0.get("pid"), application: try $0.get("application"), since: try $0.get("since"))
        }
    }
}
