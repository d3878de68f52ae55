import PostgresClient
import Report
import Server
import Testing

@testable import Spock

@Suite struct ResumePositionTests {
    static func lsn(_ text: String) -> LSN { LSN(text) ?? .zero }

    /// The rows of a promoted clone: the named one from the last checkpoint, the one with the node id exact.
    static let origins = [
        ReplicationOrigin(localID: 1, name: "spk_app_n2_sub_n2_n1", remoteLSN: lsn("0/1A0CE48")),
        ReplicationOrigin(localID: 26863, name: nil, remoteLSN: lsn("0/1C02AC8")),
        ReplicationOrigin(localID: 2, name: "spk_app_n3_sub_n3_n1", remoteLSN: nil),
    ]

    @Test(
        arguments: [
            (NodeID(26863), OriginName("spk_app_n2_sub_n2_n1"), "0/1B00000", "0/1C02AC8"),
            (26863, "spk_app_n2_sub_n2_n1", "0/1D00000", "0/1D00000"),
            (4711, "spk_app_n2_sub_n2_n1", "0/1000000", "0/1A0CE48"),
            (4712, "spk_app_n3_sub_n3_n1", "0/1000000", "0/1000000"),
        ] as [(NodeID, OriginName, String, String)])
    func `the exact row counts, then the named one, then the slot`(peer: NodeID, origin: OriginName, slot: String, expected: String) {
        let resume = ResumePositionTests.origins.resumePosition(peer: peer, origin: origin, slotLSN: ResumePositionTests.lsn(slot))
        #expect(resume == ResumePositionTests.lsn(expected))
    }

    @Test(arguments: [
        ("0/10", "0/20", "0/30" as String?, "0/40", true), ("0/10", "0/10", "0/10", "0/10", true), ("0/10", "0/20", nil, "0/40", true),
        ("0/30", "0/20", "0/30", "0/40", false), ("0/10", "0/31", "0/30", "0/40", false), ("0/10", "0/41", nil, "0/40", false),
    ])
    func `a position must lie between the slot, the source and the peer`(slot: String, resume: String, source: String?, peer: String, holds: Bool) throws {
        let position = ResumePosition(
            peer: "n2", slotLSN: ResumePositionTests.lsn(slot), lsn: ResumePositionTests.lsn(resume),
            sourceOrigin: source.map(ResumePositionTests.lsn), peerLSN: ResumePositionTests.lsn(peer))
        guard !holds else { return try position.check() }
        let error = #expect(throws: SpockError.self) { try position.check() }
        guard case .resumePositionOutOfBounds(position) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `out of bounds is told with all its numbers`() {
        let position = ResumePosition(peer: "n2", slotLSN: LSN(position: 0x30), lsn: LSN(position: 0x20), sourceOrigin: LSN(position: 0x30), peerLSN: LSN(position: 0x40))
        #expect(
            SpockError.resumePositionOutOfBounds(position).description == """
                the position to go on from n2 is out of bounds: slot 0/30, resume 0/20, source's origin 0/30, n2 itself 0/40
                  HINT: nothing has joined, and the mesh is unharmed: undo this run with --purge-data, and begin anew
                """)
    }
}
