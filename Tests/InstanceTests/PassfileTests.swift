import PostgresClient
import RemoteHost
import Scratch
import Testing

@testable import Instance

/// A password file is read as libpq reads it, and what it has is used without leaving the host.
@Suite("A password file", .serialized) struct PassfileTests {
    static let wanted = Conninfo(["host": "10.77.0.14", "port": "5433", "dbname": "app", "user": "spock:admin"])

    struct Case: Sendable {
        var content: String
        var mode: FileMode = 0o600
        /// What psql is given; `nil` where it is not started.
        var password: String?
    }

    static let cases = [
        Case(content: "# mine\n10.77.0.11:*:*:*:other\n*:5433:app:spock\\:admin:right\n*:*:*:*:later\n", password: "right"),
        Case(content: "10.77.0.14:5433:app:spock\\:admin:with\\:a\\\\colon:and more\n", password: "with:a\\colon:and more"),
        Case(content: "10.77.0.14:5432:*:*:wrong port\n10.77.0.1:*:*:*:shorter\n10.77.0.144:*:*:*:longer\n*:*:ap:*:x\n"),
        Case(content: ""),
        Case(content: "*:*:*:*:right\n", mode: 0o400, password: "right"),
        Case(content: "*:*:*:*:right\n", mode: 0o640),
    ]

    @Test("a line fits or not", arguments: cases)
    func fits(it: Case) async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let psql = area.directory / "psql", file = area.directory / "pgpass"
        try await area.host.write(
            Array("#!/bin/sh\nprintf '%s' \"$PGPASSWORD\"\nfor word; do echo \"$word\" >&2; done\n".utf8), to: psql, as: "postgres", mode: 0o755, deadline: soon)
        try await area.host.write(Array(it.content.utf8), to: file, as: "postgres", mode: it.mode, deadline: soon)
        var other = Self.wanted
        other["passfile"] = file.path
        let there = Conninfo(["host": "10.77.0.11", "user": "spock:admin", "password": "of n1"])
        let command = Passfile.trial(psql, there, for: other, "SELECT 1").as("postgres")
        #expect(!command.words.contains { $0.contains("of n1") })
        let result = try await area.host.run(command, deadline: soon)
        if let password = it.password {
            #expect(result.text == password)
            #expect(!result.errorText.contains(password))
            #expect(result.errorText.contains("host=10.77.0.11"))
        } else {
            #expect(result.status == .code(it.mode == 0o640 ? Passfile.readByOthers : Passfile.withoutLine))
            #expect(result.text == file.path)
        }
    }
}
