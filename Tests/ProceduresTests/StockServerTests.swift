import EventLoop
import Glibc
import Instance
import PostgresClient
import ProcedureKit
import RemoteHost
import Run
import Scratch
import Synchronization
import Testing

@testable import Procedures

/// A Debian cluster as `pg_createcluster` makes it: `local all all peer`, passwords over the network, and nobody has one.
@Suite("A server that lets its OS user in by the socket only", .serialized, .enabled(if: getuid() == 0, "another OS user can be become by root only"))
struct StockServerTests {
    private struct Stock: Sendable {
        let area: ScratchArea
        let name: String, port: UInt16
        private let asked = Asked()

        /// Which roles a password was asked for.
        private final class Asked: Sendable {
            let roles = Mutex<[String]>([])
        }

        var askedFor: [String] { asked.roles.withLock { $0 } }

        init(settings: String = "") async throws {
            area = try await ScratchArea()
            port = try freePort()
            name = "stock_\(port)"
            // The area's guard drops what is named here.
            try await area.host.write(Array(name.utf8), to: area.directory / "debian-cluster", as: "postgres", deadline: soon)
            try await area.host.require(Command("pg_createcluster", "15", name, "-p", "\(port)", "--start-conf", "manual", "--", "--no-sync"), deadline: soon)
            let instance = try await area.find(InstanceAddress(node: "n1", port: port)), files = try await instance.configurationFiles(deadline: soon)
            if !settings.isEmpty { try await area.append(settings, to: files.configFile) }
            try await instance.start(deadline: soon)
        }

        func target(role: String = "postgres") -> NodeTarget { NodeTarget(name: "n1", ssh: "n1", port: port, role: role) }

        func node(role: String = "postgres") throws -> ConfiguredNode {
            try ConfiguredNode(
                target(role: role),
                Ways(askPassword: { [asked] role in
                    asked.roles.withLock { $0.append(role) }
                    return nil
                }) { _, name, _ in LocalHost(name: name) })
        }

        func set(_ text: String) async throws -> String? {
            let assignment = try #require(ConfigurationRequest.Assignment(text))
            let configure = ConfigureNode(try node(), ConfigurationRequest(.settings([assignment])), cluster: "n1")
            let (_, journal) = try RunStore(environment: ["PGGRAFT_STATE_DIR": area.directory.path + "/journals"])
                .begin(configure, from: try await configure.origin(), steps: configure.steps.map(\.id.name))
            try await configure.takeLock(holder: Holder())
            try await Runner(steps: configure.steps).perform(journal)
            await configure.close()
            // What Debian's tools do not know of they leave behind.
            try await area.host.require(.script("rm -f /etc/postgresql/15/\"$1\"/*.before-*", name).as("postgres"), deadline: soon)
            return journal.entries.last { $0.event == .done }?.text
        }

        /// As the OS user asks by hand.
        func psql(_ sql: String) async throws -> String {
            try await area.host.require(Command("psql", "-XAtqc", sql, "-p", "\(port)").as("postgres"), deadline: soon).text
        }

        func rules() async throws -> [UInt8]? { try await area.host.read(#require(HostPath("/etc/postgresql/15/\(name)/pg_hba.conf")), as: "postgres", deadline: soon) }
    }

    @Test("is looked at and changed by it, and nobody is asked for a password; nothing else lets anybody in")
    func bySocket() async throws {
        let stock = try await Stock()
        defer { stock.area.end() }
        let rules = try await stock.rules()
        #expect(try await stock.set("work_mem=9MB") == "reloaded and read back")
        #expect(try await stock.psql("SELECT setting FROM pg_settings WHERE name = 'work_mem'") == "9216")
        let node = try stock.node(), connection = try #require(try await node.connection(deadline: soon))
        // The server itself says by which way it was reached, and by which method.
        let row = try await connection.query("SELECT coalesce(inet_client_addr()::text, 'socket') AS way, current_user::text AS role", deadline: soon).one()
        #expect(try row.get("way") == "socket")
        #expect(try row.get("role") == "postgres")
        await node.close()
        #expect(stock.askedFor.isEmpty)
        #expect(try await stock.rules() == rules)
    }

    @Test("without a port to connect to it is reached all the same")
    func withoutPort() async throws {
        let stock = try await Stock(settings: "listen_addresses = ''\n")
        defer { stock.area.end() }
        #expect(try await stock.set("work_mem=9MB") == "reloaded and read back")
    }

    @Test("who is not let in by it is told what each way says, and then asked for a password")
    func refused() async throws {
        let stock = try await Stock()
        defer { stock.area.end() }
        _ = try await stock.psql("CREATE ROLE admin SUPERUSER LOGIN")
        let node = try stock.node(role: "admin")
        #expect(try await node.connection(deadline: soon) == nil)
        let why = try #require(await node.whyUnasked)
        #expect(why.contains("no password supplied"), "\(why)")
        #expect(why.contains("as postgres by its socket: "), "\(why)")
        #expect(why.contains(".s.PGSQL.\(stock.port)\" failed: FATAL: Peer authentication failed for user \"admin\""), "\(why)")
        #expect(stock.askedFor == ["admin"])
        await node.close()
    }

    @Test("a server with no socket says so")
    func noSocket() async throws {
        let n1 = try await Configured(settings: "unix_socket_directories = ''\n"), node = try n1.node()
        try await n1.write("local all all peer\nhost all all 127.0.0.1/32 scram-sha-256\n", to: "pg_hba.conf")
        try await n1.instance.reloadByLog(deadline: soon)
        #expect(try await node.connection(deadline: soon) == nil)
        let why = try #require(await node.whyUnasked)
        #expect(why.contains("by its socket: the server has none (unix_socket_directories)"), "\(why)")
        await node.close()
        try await n1.end()
    }
}
