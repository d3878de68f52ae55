public import EventLoop
public import PostgresClient

/// How far one node has applied another, as `pg_replication_origin_status` has it.
public struct ReplicationOrigin: Sendable, Hashable, Codable {
    /// The number commit records bear. A row without a name bears the *node id* of the remote node: Spock stamps its commits with that.
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

    static func advance(_ name: OriginName, to lsn: LSN) -> SQL {
        "SELECT pg_replication_origin_advance(\(name), \(lsn)::pg_lsn)"
    }

    init(row: Row) throws {
        localID = try row.get("local_id")
        name = try row.optional("roname")
        remoteLSN = try row.optional("remote_lsn")
    }
}

extension [ReplicationOrigin] {
    /// Where a node that was promoted with these origins goes on reading from a peer: nothing before it is missing there, and
    /// nothing after it is there.
    ///
    /// The row that bears the peer's node id was replayed from the commit records, and is exact. The named one is that of the
    /// last checkpoint. Neither can be ahead of what was applied, and the peer's slot has nothing from before `slotLSN` to give.
    public func resumePosition(peer: NodeID, origin: OriginName, slotLSN: LSN) -> LSN {
        let rows = filter { $0.name == origin || ($0.name == nil && $0.localID == peer) }
        return rows.compactMap(\.remoteLSN).reduce(slotLSN, Swift.max)
    }
}

/// One peer's position on a new node, with the bounds it must keep before the subscription may be enabled.
public struct ResumePosition: Sendable, Hashable, Codable {
    public var peer: NodeName
    /// The LSN at which the peer's slot for the new node begins.
    public var slotLSN: LSN
    public var lsn: LSN
    /// The source's own origin for this peer, read *after* the promotion; `nil` where the peer is the source itself.
    public var sourceOrigin: LSN?
    /// `pg_current_wal_lsn()` of the peer.
    public var peerLSN: LSN

    public init(peer: NodeName, slotLSN: LSN, lsn: LSN, sourceOrigin: LSN?, peerLSN: LSN) {
        self.peer = peer
        self.slotLSN = slotLSN
        self.lsn = lsn
        self.sourceOrigin = sourceOrigin
        self.peerLSN = peerLSN
    }

    /// - Throws: ``SpockError/resumePositionOutOfBounds(_:)`` unless slot ≤ resume ≤ source's origin, and resume ≤ the peer's own LSN.
    public func check() throws {
        guard slotLSN <= lsn, lsn <= peerLSN, sourceOrigin.map({ lsn <= $0 }) ?? true else {
            throw SpockError.resumePositionOutOfBounds(self)
        }
    }
}

extension SpockSession {
    /// Every origin of the instance, named or not; works where Spock is not loaded.
    public func origins(deadline: Deadline) async throws -> [ReplicationOrigin] {
        try await query(ReplicationOrigin.all(), deadline).map(ReplicationOrigin.init(row:))
    }

    /// The last position applied from the remote node of `origin`; `nil` where there is no such origin, or nothing was applied.
    public func originProgress(_ origin: OriginName, deadline: Deadline) async throws -> LSN? {
        try await query(ReplicationOrigin.progress(of: origin), deadline).first?.optional("remote_lsn")
    }

    /// Drops the named origins; those that are not there are passed over.
    /// - Returns: the origins that were dropped.
    /// - Throws: a server error where a worker still uses one.
    @discardableResult
    public func dropOrigins(_ names: [OriginName], deadline: Deadline) async throws -> [OriginName] {
        try await query(ReplicationOrigin.drop(names), deadline).map { try $0.get("roname") }
    }
}
