public import EventLoop
public import PostgresClient
import PostgresConfig
import Report

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

    /// Returns a row as soon as every one of `targets` is passed, and none after about `time`.
    static func wait(for targets: [OriginName: LSN], _ time: Duration) -> SQL {
        let sorted = targets.sorted { $0.key < $1.key }, origins = sorted.map(\.key), positions = sorted.map(\.value.description)
        // What does not depend on the row would be looked at once.
        return """
            SELECT n AS looks FROM generate_series(1, \(Int(time / ReplicationOrigin.pause))) n WHERE CASE WHEN NOT EXISTS (\
            SELECT FROM unnest(\(origins)::text[], \(positions)::pg_lsn[]) AS target(origin, lsn) WHERE n > 0 AND NOT coalesce(pg_replication_origin_progress(\
            (SELECT o.roname FROM pg_replication_origin o WHERE o.roname = target.origin), false) >= target.lsn, false)) \
            THEN true ELSE pg_sleep(\(ReplicationOrigin.pause.wholeMicroseconds)::float8 / 1000000) IS NULL END LIMIT 1
            """
    }

    /// Between two looks of the server itself.
    static let pause = Duration.milliseconds(5)

    static func drop(_ names: [OriginName]) -> SQL {
        "SELECT roname, pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = ANY (\(names)::text[])"
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
        return try await look(ReplicationOrigin.all(), deadline).map(ReplicationOrigin.init(row:))
    }

    /// The last position applied from the remote node of `origin`; `nil` where there is no such origin, or nothing was applied.
    public func originProgress(_ origin: OriginName, deadline: Deadline) async throws -> LSN? {
        try await look(ReplicationOrigin.progress(of: origin), deadline).first?.optional("remote_lsn")
    }

    /// A position of a remote node that an origin must pass.
    public struct Target: Sendable, Hashable {
        public var origin: OriginName
        public var lsn: LSN
        /// The remote node, as errors name it.
        public var provider: String

        public init(_ origin: OriginName, _ lsn: LSN, of provider: String) { (self.origin, self.lsn, self.provider) = (origin, lsn, provider) }
    }

    /// Waits until every origin has passed its target: one round trip as long as that takes less than two seconds, the server does the waiting.
    /// - Parameter next: a statement that is sent along, to be run then.
    /// - Returns: where each stands then, and the position up to which this server has written: a standby that has replayed that has them all.
    /// - Throws: `DeadlineExceeded`, which says which one stands where and how far it is behind.
    @discardableResult
    public func waitApplied(_ targets: [Target], then next: SQL? = nil, deadline: Deadline) async throws -> (applied: [OriginName: LSN], written: LSN) {
        let wanted = Dictionary(targets.map { ($0.origin, $0.lsn) }, uniquingKeysWith: max)
        let what = targets.map { "\($0.provider) up to \($0.lsn)" }.joined(separator: ", ")
        return try await wait(for: "\(name) to apply \(what)", until: deadline, every: .zero) {
            let time = min(.seconds(2), max(ReplicationOrigin.pause, deadline.remaining))
            let answers = try await connection.query(
                together: [ReplicationOrigin.wait(for: wanted, time), ReplicationOrigin.all(), WALPosition.of(.currentInsert, features)] + [next].compactMap(\.self),
                deadline: deadline.forLook)
            let origins = try answers[1].map(ReplicationOrigin.init(row:))
            let applied = wanted.keys.reduce(into: [OriginName: LSN]()) { applied, name in applied[name] = origins.first { $0.name == name }?.remoteLSN }
            if !answers[0].isEmpty { return .found((applied, try answers[2].one().get("lsn"))) }
            let behind = targets.filter { (applied[$0.origin] ?? .zero) < $0.lsn }
            return .notYet(
                behind.map { target in
                    guard let lsn = applied[target.origin] else { return "origin \(target.origin) on \(name) has applied nothing" }
                    return (targets.count > 1 ? "\(target.provider): " : "") + "applied up to \(lsn), \(target.lsn.bytes(since: lsn)) bytes behind"
                }.joined(separator: "; "))
        }
    }

    /// Waits until `origin` has passed `target`.
    /// - Parameter provider: the remote node, as errors name it.
    /// - Returns: where it stands then.
    /// - Throws: as ``waitApplied(_:deadline:)``.
    @discardableResult
    public func waitApplied(_ origin: OriginName, to target: LSN, of provider: String, deadline: Deadline) async throws -> LSN {
        try await waitApplied([Target(origin, target, of: provider)], deadline: deadline).applied[origin] ?? target
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
