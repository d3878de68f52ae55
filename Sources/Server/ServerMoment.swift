public import EventLoop
import PostgresClient

/// A moment on one server's clock, in microseconds since 1970.
public struct ServerMoment: Sendable, Hashable, Codable, Comparable {
    public let microseconds: Int64

    public init(microseconds: Int64) { self.microseconds = microseconds }

    public static func < (left: ServerMoment, right: ServerMoment) -> Bool { left.microseconds < right.microseconds }

    // After a crash of one of its processes all others begin anew, and the postmaster is the same.
    /// From 10 on.
    static func started() -> SQL {
        """
        SELECT (extract(epoch FROM greatest(pg_postmaster_start_time(), (SELECT max(backend_start) FROM pg_stat_activity \
        WHERE backend_type = 'checkpointer'))) * 1000000)::bigint AS moment
        """
    }

    /// From 10 on.
    static func began(timeline: UInt32) -> SQL {
        """
        SELECT (extract(epoch FROM (pg_stat_file('pg_wal/' || lpad(upper(to_hex(\(Int64(timeline))::bigint)), 8, '0') || '.history')).modification) \
        * 1000000)::bigint AS moment
        """
    }
}

extension ServerSession {
    /// When the server was started, or has recovered from a crash since: another moment after each. From 10 on.
    public func started(deadline: Deadline) async throws -> ServerMoment { try await moment(ServerMoment.started(), deadline) }

    /// When the server was promoted to `timeline`, by the file of its history.
    public func began(timeline: UInt32, deadline: Deadline) async throws -> ServerMoment { try await moment(ServerMoment.began(timeline: timeline), deadline) }

    private func moment(_ sql: SQL, _ deadline: Deadline) async throws -> ServerMoment {
        ServerMoment(microseconds: try await look(sql, deadline).one().get("moment"))
    }
}
