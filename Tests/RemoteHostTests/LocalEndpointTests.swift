import Testing

@testable import RemoteHost

@Suite struct LocalEndpointTests {
    static let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode"
    static let client = LocalEndpoint(address: 0x7F00_0001, port: 0xC350)
    static let listener = LocalEndpoint(address: 0x7F41_0203, port: 5432)

    @Test(
        arguments: [
            ("   1: 0100007F:C350 0302417F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0 20 4 30 10 -1", 1000),
            // Half closed by the client, still its own.
            ("   1: 0100007F:C350 0302417F:1538 04 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0 20 4 30 10 -1", 1000),
            // Let go of by its process: nobody's, although it says 0.
            ("   1: 0100007F:C350 0302417F:1538 04 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1", nil),
            // The other end of the same connection, another port, another address.
            ("   1: 0302417F:1538 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0 20 4 30 10 -1", nil),
            ("   1: 0100007F:C351 0302417F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0 20 4 30 10 -1", nil),
            ("   1: 0200007F:C350 0302417F:1538 01 00000000:00000000 00:00000000 00000000  1000        0 123456 1 0 20 4 30 10 -1", nil),
            ("   1: 0000000000000000FFFF00000100007F:C350 0000000000000000FFFF00000302417F:1538 01 00000000:00000000 00:00000000 00000000  1001        0 99 1", 1001),
            ("   1: 00000000000000000000000001000000:C350 0000000000000000FFFF00000302417F:1538 01 00000000:00000000 00:00000000 00000000  1001        0 99 1", nil),
            ("   1: broken", nil),
        ] as [(String, UInt32?)]) func theOwnerOfAConnectionIsReadFromTheKernelsTable(line: String, uid: UInt32?)
    {
        #expect(LocalEndpoint.owner(ofConnectionFrom: Self.client, to: Self.listener, in: "\(Self.header)\n\(line)\n") == uid)
    }

    @Test func aListenerIsOnALoopbackAddressOfItsOwn() throws {
        let (socket, endpoint) = try LocalEndpoint.listen()
        #expect(endpoint.address >> 24 == 127)
        #expect(endpoint.address >> 16 & 0xC0 == 64)
        #expect(endpoint.port != 0)
        let (_, second) = try LocalEndpoint.listen()
        #expect(second.address != endpoint.address)
        withExtendedLifetime(socket) {}
    }
}
