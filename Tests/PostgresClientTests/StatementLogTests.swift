import EventLoop
import InMemoryLogging
import Logging
import Report
import Testing

@testable import PostgresClient

@Suite struct `What a connection logs` {
    private let memory = InMemoryLogHandler()

    private func connect(_ level: Logger.Level) async throws -> PostgresConnection {
        var log = Logger(label: "test") { _ in memory }
        log.logLevel = level
        return try await PostgresConnection.connect(to: TestServer.shared.value.onSocket, node: "n1", deadline: soon, log: log)
    }

    private var events: [String] { memory.entries.map { "\($0.message) → \($0.metadata[Sending.ending].map { "\($0)" } ?? "")" } }

    @Test func `is each statement, on one line, how long and how it ended, without values and secrets`() async throws {
        let connection = try await connect(.debug)
        _ = try await connection.query("SELECT\n  \("hunter2")::text,\n\t\(Secret("hunter2"))::text", deadline: soon)
        await #expect(throws: PostgresError.self) { try await connection.query("ALTER ROLE nobody_there PASSWORD 'hunter2' SUPERUSER", deadline: soon) }
        await #expect(throws: PostgresError.self) { try await connection.query("ALTER ROLE nobody_there PASSWORD \(literal: Secret("hunter2"))", deadline: soon) }
        try await connection.script("SELECT 1; SELECT 'host=n1 password=hunter2'", deadline: soon)
        await connection.close()
        #expect(
            events == [
                "SELECT $1::text, $2::text → SELECT 1",
                "ALTER ROLE nobody_there PASSWORD '‹redacted›' SUPERUSER → ERROR: role \"nobody_there\" does not exist (SQLSTATE 42704)",
                "ALTER ROLE nobody_there PASSWORD '‹redacted›' → ERROR: role \"nobody_there\" does not exist (SQLSTATE 42704)",
                "SELECT 1; SELECT 'host=n1 password=‹redacted›' → SELECT 1",
            ])
        #expect(memory.entries.allSatisfy { $0.level == .debug && $0.metadata[Sending.node] == "n1" && $0.metadata[Sending.took] != nil })
    }

    @Test func `is what a transaction sends by itself, too`() async throws {
        let connection = try await connect(.debug)
        try await connection.transaction(deadline: soon) { _ = try await $0.query("SELECT 1") }
        await connection.close()
        #expect(events == ["BEGIN; SELECT 1 → SELECT 1", "COMMIT → COMMIT"])
    }

    @Test func `is nothing where nobody asks for it`() async throws {
        let connection = try await connect(.info)
        try await connection.query("SELECT 1", deadline: soon)
        await connection.close()
        #expect(memory.entries.isEmpty)
    }
}
