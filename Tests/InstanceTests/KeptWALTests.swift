import PostgresClient
import Testing

@testable import Instance

@Suite("What an instance has kept of its log") struct KeptWALTests {
    @Test(arguments: [("0/3000148", 16, "0000000000000003"), ("1/FF000000", 16, "00000001000000FF"), ("2/5000000", 64, "0000000200000001"), ("2/FFFFFFFF", 1, "0000000200000FFF")])
    func `the file of a position is found by the end of its name`(_ position: String, _ megabytes: UInt64, _ suffix: String) throws {
        #expect(KeptWAL.suffix(of: try #require(LSN(position)), segment: megabytes << 20) == suffix)
    }
}
