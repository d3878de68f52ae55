public import EventLoop
public import PostgresClient
import PostgresConfig

/// How far one node has applied another, as `pg_replication_origin_status` has it.
public struct ReplicationOrigin: Sendable, Hashable, Codable {
    /// The number commit records bear; that of a row without a name was made up by who applied.
    public var localID: UInt32
    public var name: OriginName?
    /// `nil` where nothing has been applied yet.
    public var remoteLSN: LSN?

    public init(localID: UInt32, name: OriginName?, remoteLSN: LSN?) {
        self.localID = localID
        self.name = name
        self.remoteLSN = remoteLSN
    }

    static func all() -> SQL {
        """
        SELECT coalesce(o.roident, s.local_id) AS local_id, o.roname, nullif(s.remote_lsn, '0/0') AS remote_lsn \
        FROM pg_replication_origin o FULL JOIN pg_replication_origin_status s ON s.local_id = o.roident ORDER BY 1
        """
    }

    static func progress(of name: OriginName) -> SQL {
        """
        SELECT s.remote_lsn FROM pg_replication_origin o LEFT JOIN pg_replication_origin_status s ON s.local_id = o.roident \
        WHERE o.roname = \(name)
        """
    }

    static func drop(_ names: [OriginName]) -> SQL {
        "SELECT roname, pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = ANY (\(names)::text[])"
    }

    /// The statement that has an origin go on at `lsn`, for a transaction that makes its subscription.
    public static func advance(_ name: OriginName, to lsn: LSN) -> SQL {
        "SELECT pg_replication_origin_advance(\(name), \(lsn)::pg_lsn)"
    }

    init(row: Row) throws {
        localID = try row.get("local_id")
        name = try row.optional("roname")
        remoteLSN = try row.optional("remote_lsn")
    }
}

extension ServerSession {
    /// Every origin of the instance, named or not; none before 9.5.
    public func origins(deadline: Deadline) async throws -> [ReplicationOrigin] {
        guard features.hasReplicationOrigins else { return [] }
        return try await query(ReplicationOrigin.all(), deadline).map(ReplicationOrigin.init(row:))
    }

    /// The last position applied from the remote node of `origin`; `nil` where there is no such origin, or nothing was applied.
    public func originProgress(_ origin: OriginName, deadline: Deadline) async throws -> LSN? {
        try await query(ReplicationOrigin.progress(of: origin), deadline).first?.optional("remote_lsn")
    }

    /// Waits until `origin` has passed `target`.
    /// - Parameter provider: the remote node, as errors name it.
    /// - Throws: `DeadlineExceeded`, which says where it stands and how far it is behind.
    @discardableResult
    public func waitApplied(_ origin: OriginName, to target: LSN, of provider: String, deadline: Deadline) async throws -> LSN {
        try await wait(for: "\(name) to apply \(provider) up to \(target)", until: deadline, every: .milliseconds(10)) {
            guard let applied = try await originProgress(origin, deadline: deadline.forLook) else {
                return .notYet("origin \(origin) on \(name) has applied nothing")
            }
            return applied >= target ? .found(applied) : .notYet("applied up to \(applied), \(target.bytes(since: applied)) bytes behind")
        }
    }

    /// Waits until `origin` has passed `target`, for as long as it moves: with each transaction of the provider that is applied.
    /// - Parameter tell: takes the line that says that it does not.
    /// - Throws: `Stalled`.
    @discardableResult
    public func waitApplied(
        _ origin: OriginName, to target: LSN, of provider: String, with patience: Patience, why: () async throws -> Obstacle?, tell: (String) -> Void
    ) async throws -> LSN {
        try await wait(for: "\(name) to apply \(provider) up to \(target)", with: patience, every: .milliseconds(10), why: why, tell: tell) { () -> MovingLook<LSN, LSN?> in
            let applied = try await originProgress(origin, deadline: .after(.seconds(20)))
            if let applied, applied >= target { return .found(applied) }
            return .notYet(applied.map { "applied up to \($0), \(target.bytes(since: $0)) bytes behind" } ?? "it has applied nothing", applied)
        }
    }

    /// Drops the named origins; those that are not there are passed over.
    /// - Returns: the origins that were dropped.
    /// - Throws: a server error where a worker still uses one.
    @discardableResult
    public func dropOrigins(_ names: [OriginName], deadline: Deadline) async throws -> [OriginName] {
        try await query(ReplicationOrigin.drop(names), deadline).map { try $0.get("roname") }
    }
}
