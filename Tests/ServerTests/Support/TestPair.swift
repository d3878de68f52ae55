import EventLoop
import Instance
import PostgresClient
import PostgresConfig
import RemoteHost
import Scratch
import Server

/// A primary and its standby `n2`, which reads the slot `n2`. One pair of each version serves all tests, which therefore have a database, roles,
/// slots and settings of their own; it goes with this process.
final class TestPair: Sendable {
    let area: ScratchArea
    let primary: Instance
    let standby: Instance

    private init(_ binaries: String) async throws {
        area = try await ScratchArea()
        primary = try await area.cluster(
            "n1", settings: "wal_level = logical\nmax_prepared_transactions = 5\nmax_replication_slots = 20\n", binaries: binaries)
        try await primary.start(deadline: soon)
        let server = try await ServerSession.open(try await primary.connect(), deadline: soon)
        try await server.createPhysicalSlot("n2", deadline: soon)
        await server.connection.close()

        let data = area.directory / "n2", port = try freePort()
        try await area.copy(of: primary, to: data)
        try await area.append(
            "port = \(port)\nprimary_slot_name = 'n2'\nprimary_conninfo = 'host=127.0.0.1 port=\(primary.port) user=postgres application_name=n2'\n",
            to: data / "postgresql.auto.conf")
        try await area.host.write([], to: data / "standby.signal", as: "postgres", deadline: soon)
        standby = try await area.find(InstanceAddress(node: "n2", port: port, dataDirectory: data, binDirectory: HostPath(binaries)))
        try await standby.start(deadline: soon)
    }

    private static let pairs = Pairs()

    private actor Pairs {
        private var pairs: [String: Task<TestPair, any Error>] = [:]

        func pair(_ binaries: String) async throws -> TestPair {
            let making = pairs[binaries] ?? Task { try await TestPair(binaries) }
            pairs[binaries] = making
            return try await making.value
        }
    }

    /// The pair that runs the programs in `binaries`.
    static func of(_ binaries: String) async throws -> TestPair { try await pairs.pair(binaries) }

    /// A new database on the primary.
    func database(_ name: String) async throws {
        let connection = try await primary.connect()
        try await connection.query("CREATE DATABASE \(identifier: name)", deadline: soon)
        await connection.close()
    }

    /// A client of the primary, as the application it says it is.
    func client(database: String = "postgres", user: String = "postgres", application: String = "shop") async throws -> PostgresConnection {
        try await PostgresConnection.connect(
            to: Conninfo([
                "host": "127.0.0.1", "port": "\(primary.port)", "user": user, "dbname": database, "sslmode": "disable", "application_name": application,
            ]), node: "n1", deadline: soon)
    }

    /// A session of ours on the primary.
    func session(database: String = "postgres", application: String = "pggraft") async throws -> ServerSession {
        try await ServerSession.open(try await client(database: database, application: application), deadline: soon)
    }

    /// A session of ours on the standby.
    func standbySession() async throws -> ServerSession { try await ServerSession.open(try await standby.connect(), deadline: soon) }
}

extension ServerSession {
    @discardableResult
    func run(_ sql: SQL) async throws -> Rows { try await connection.query(sql, deadline: soon) }

    /// Now, on the server's clock.
    func now() async throws -> ServerMoment {
        ServerMoment(microseconds: try await run("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now").one().get("now"))
    }
}
