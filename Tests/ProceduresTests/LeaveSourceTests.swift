import PostgresClient
import Server
import Testing

@testable import Procedures

@Suite("Leaving the source") struct LeaveSourceTests {
    private static func origin(_ id: UInt32, _ name: OriginName? = nil, at position: UInt64?) -> ReplicationOrigin {
        ReplicationOrigin(localID: id, name: name, remoteLSN: position.map { LSN(position: $0) })
    }

    @Test(
        arguments: [
            // The node's own number, further on than the name.
            ([origin(1, "copy", at: 100), origin(26863, at: 120)], [], 500, 120),
            ([origin(1, "copy", at: 100), origin(26863, at: 80)], [], 500, 100),
            // Nobody's number.
            ([origin(1, "copy", at: 100), origin(77, at: 120)], [], 500, 100),
            // Of a former life: as it was, moved, and in another WAL though it is not remembered.
            ([origin(1, "copy", at: 100), origin(26863, at: 400)], [origin(26863, at: 400)], 500, 100),
            ([origin(1, "copy", at: 100), origin(26863, at: 120)], [origin(26863, at: 40)], 500, 120),
            ([origin(1, "copy", at: 100), origin(26863, at: 900)], [], 500, 100),
            ([origin(1, "copy", at: nil)], [], 500, nil), ([origin(26863, at: 120)], [], 500, nil),
        ] as [([ReplicationOrigin], [ReplicationOrigin], UInt64, UInt64?)])
    func `it is left where the node has followed it up to, by what has moved since`(origins: [ReplicationOrigin], kept: [ReplicationOrigin], flushed: UInt64, left: UInt64?) {
        #expect(
            LeaveSource.followed("copy", by: origins, of: [26863], since: kept, upTo: LSN(position: flushed)) == left.map { LSN(position: $0) })
    }
}
