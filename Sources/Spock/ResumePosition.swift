public import PostgresClient
public import Server

extension [ReplicationOrigin] {
    /// Where a node that was promoted with these origins goes on reading from a peer: nothing before it is missing there, and
    /// nothing after it is there.
    ///
    /// A row without a name bears the *node id* of the remote node: Spock stamps its commits with that. It was replayed from the commit
    /// records, and is exact. The named one is that of the last checkpoint. Neither can be ahead of what was applied, and the peer's
    /// slot has nothing from before `slotLSN` to give.
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
