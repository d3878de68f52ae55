import Bed
import Report
import Run
import Testing

/// What a new user has: `local all all peer`, passwords over the network, and no password of the superuser anywhere.
@Suite("Servers as Debian installs them", .serialized, .enabled(if: Bed.hasDebianPostgres, "the PostgreSQL of PGGRAFT_SPOCK_BINDIR is not Debian's"))
struct StockServerTests {
    @Test func `a cluster of pg_createcluster is looked at and changed over SSH, by sudo, as its own user, and as root`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed), n1 = try bed.host("n1"), rules = "/etc/postgresql/15/stock/pg_hba.conf"
            try await n1.run("pg_createcluster 15 stock -p 5444 >/dev/null && pg_ctlcluster 15 stock start")
            let before = try await n1.run("cat \(rules)")
            func asked(_ sql: String) async throws -> String { try await n1.run(asUser: "postgres", "psql -p 5444 -XAtqc '\(sql)'") }
            for (number, destination) in ["n1", "postgres@n1", "root@n1"].enumerated() {
                let set = try await someone.pggraft("conf", "set", destination, "work_mem=\(number + 5)MB", "--port", "5444", "--yes")
                #expect(set.status == 0 && set.standardOutput.contains("reloaded and read back"), "\(destination): \(set.standardOutput)\(set.standardError)")
                #expect(try await asked("SHOW work_mem") == "\(number + 5)MB")
                let explained = try await someone.pggraft("hba", "explain", destination, "--port", "5444", "--user", "postgres", "--database", "postgres", "--from", "local")
                #expect(explained.standardOutput.contains(#/pg_hba.conf:\d+ decides: peer/#), "\(explained.standardOutput)")
                #expect(!explained.standardOutput.contains("Nobody asked the server"), "\(explained.standardOutput)")
            }
            // Nobody is there to be asked for a password, and none is in any file of the operator's.
            let other = try await someone.pggraft("conf", "show", "n1", "work_mem", "--port", "5444", "--role", "nobody")
            #expect(other.standardOutput.contains("Peer authentication failed for user \"nobody\""), "\(other.standardOutput)")

            #expect(try await n1.run("cat \(rules)") == before)
            try await n1.run("pg_dropcluster --stop 15 stock")
        }
    }

    /// Debian's lines, and those that the cluster itself cannot do without.
    private static let rules = """
        local all postgres peer
        local all all peer
        host all all 127.0.0.1/32 scram-sha-256
        host all all ::1/128 scram-sha-256
        local replication all peer
        host replication all 127.0.0.1/32 scram-sha-256
        host replication all ::1/128 scram-sha-256
        host all spock_admin 10.77.0.0/24 scram-sha-256
        host replication replicator 10.77.0.0/24 scram-sha-256
        host app app 10.77.0.0/24 scram-sha-256

        """

    @Test func `a node is added to a cluster whose superuser has no password, as the OS user by the sockets`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: ["n1": .debian, "n4": .debian])
            for node in Bed.meshNodes {
                let file = try await bed.psql(node, "SHOW hba_file")
                try await bed.host(node).run(asUser: "postgres", "cat >\(file)", input: Self.rules)
                try await bed.psql(node, "SELECT pg_reload_conf()")
            }
            #expect(try await bed.psql("n1", "SELECT rolpassword IS NULL FROM pg_authid WHERE rolname = 'postgres'") == "t")
            let someone = try Operator(
                of: bed,
                playbook: [
                    "  user: spock_admin\n": "  user: postgres\n",
                    "  # dsn: host=10.77.0.14 port=5432 dbname=app user=spock_admin": "  dsn: host=10.77.0.14 port=5432 dbname=app user=spock_admin",
                ])
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.status == 0, "\(check.standardOutput)\(check.standardError)")
            #expect(check.standardOutput.contains("lets pggraft in by its socket, as n1 does"), "\(check.standardOutput)")
            let run = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(run.status == 0, "\(run.standardOutput)\(run.standardError)")
            try await bed.expectMember()
            // Nobody came in over the network as the superuser.
            for node in Bed.meshNodes + ["n4"] {
                #expect(try await bed.psql(node, "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres' AND client_addr IS NOT NULL") == "0", "\(node)")
            }
        }
    }
}
