import EventLoop
import Instance
import PostgresClient
import RemoteHost
import Report
import Scratch
import Synchronization
import Testing

@testable import ProcedureKit

@Suite("Access to a cluster") struct ClusterAccessTests {
    /// Two names for one server that wants a password of role `ann`.
    private func roster(port: UInt16) -> Roster {
        Roster(["n1", "n2"].map { Roster.Entry(name: $0, ssh: ".", address: "127.0.0.1", port: port) }, database: "postgres", role: "ann")
    }

    private func ways(_ password: @escaping @Sendable () -> String?) -> Ways {
        Ways(askPassword: { _ in password() }) { _, name, _ in LocalHost(name: name) }
    }

    @Test func `asks for a password once, whoever needs it, and names the port where nothing listens`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let server = try await area.cluster("n1")
        try await server.host.write(
            Array("local all all peer\nhost all postgres all trust\nhost all ann all scram-sha-256\n".utf8), to: server.dataDirectory / "pg_hba.conf", as: "postgres",
            deadline: soon)
        try await server.start(deadline: soon)
        let admin = try await server.connect()
        try await admin.query("CREATE ROLE ann LOGIN PASSWORD 'as-asked'", deadline: soon)
        await admin.close()

        let asked = Mutex(0)
        let access = ClusterAccess(
            roster(port: server.port),
            ways {
                asked.withLock { $0 += 1 }
                return "as-asked"
            })
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in ["n1", "n2", "n1", "n2"] {
                group.addTask { await (try await access.connection(name, deadline: soon)).close() }
            }
            try await group.waitForAll()
        }
        #expect(asked.withLock { $0 } == 1)
        await access.close()

        let wrong = ClusterAccess(roster(port: server.port), ways { "another" })
        let refused = await #expect(throws: PostgresError.self) { try await wrong.connection("n1", deadline: soon) }
        #expect(refused?.code == "28P01")
        await wrong.close()

        try await server.stop(mode: .immediate, deadline: soon)
        let gone = await #expect(throws: PostgresError.self) { try await access.connection("n1", deadline: soon) }
        #expect(
            gone?.description == """
                n1: cannot connect to PostgreSQL: nothing listens on port \(server.port)
                  HINT: start PostgreSQL on n1, or correct its `port`
                """)
        await access.close()
    }

    @Test func `reaches by its socket a server that lets nobody in by its port, and says when it is gone`() async throws {
        let area = try await ScratchArea()
        defer { area.end() }
        let server = try await area.cluster("n1")
        try await server.start(deadline: soon)
        let admin = try await server.connect()
        try await admin.query("CREATE ROLE ann LOGIN", deadline: soon)
        await admin.close()
        try await server.host.write(
            Array("local all all trust\nhost all ann all scram-sha-256\n".utf8), to: server.dataDirectory / "pg_hba.conf", as: "postgres", deadline: soon)
        try await server.reloadByLog(deadline: soon)
        let asked = Mutex(0)
        let access = ClusterAccess(
            roster(port: server.port),
            ways {
                asked.withLock { $0 += 1 }
                return nil
            })
        for _ in 1...2 {
            let connection = try await access.connection("n1", deadline: soon)
            #expect(try await connection.query("SELECT inet_client_addr() IS NULL AS is_socket", deadline: soon).one().get("is_socket") == true)
            await connection.close()
        }
        #expect(asked.withLock { $0 } == 0)
        try await server.stop(mode: .immediate, deadline: soon)
        let gone = await #expect(throws: PostgresError.self) { try await access.connection("n1", deadline: soon) }
        #expect(gone?.description.contains("nothing listens on port \(server.port)") == true, "\(String(describing: gone))")
        await access.close()
    }
}
