import EventLoop
import Foundation
import PostgresClient
import Testing

@Suite struct `Query` {
    @Test func `a parameter comes back as it went`() async throws {
        let connection = try await TestServer.shared.value.connect()
        let row = try await connection.query("SELECT \("it's")::text AS value, \(nil as String?)::text AS nothing", deadline: soon).one()
        #expect(try row.get("value") == "it's")
        #expect(try row.optional("nothing", as: String.self) == nil)
    }
}
