import Bed
import Testing

/// Who comes into the new node: the nodes as they come into the source, and while it is closed nobody else. The server is asked.
@Suite("The rules of the new node", .serialized)
struct RulesTests {
    /// Closed, whatever stands in the source's file, and opened: nobody comes in by what is for others.
    @Test func `a node is let in by the rule by which it reaches the source, and nobody else before it has joined`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.turnTLSOn("n1")
            try await bed.setRules(
                """
                host    all  all  127.0.0.1/32  trust
                host    all  all  10.9.0.0/16   radius radiusservers=10.9.0.1 radiussecrets=secret-of-radius
                hostssl all  all  10.77.0.0/24  cert
                host    all  all  10.77.0.0/24  scram-sha-256
                host    replication  replicator  10.77.0.0/24  scram-sha-256
                """, on: "n1")
            let before = try await MeshBefore(bed), writers = try await Writers.start(of: bed, perNode: 1, rate: 15), someone = try Operator(of: bed)
            let run = try someone.start("run", "--yes", someone.playbook)
            // As long as the mesh lags, the new node stays as it is: closed.
            try await someone.reaches("start-standby")
            try await bed.block("n2", "n3")
            try await someone.reaches("catch-up")
            let rules = "SELECT type, database, user_name, address, netmask, auth_method FROM pg_hba_file_rules ORDER BY line_number"
            let closed = try await bed.psql("n4", rules)
            #expect(
                closed == """
                    local|{all}|{postgres}|||peer
                    hostnossl|{app}|{spock_admin}|10.77.0.11|255.255.255.255|scram-sha-256
                    hostnossl|{app}|{spock_admin}|10.77.0.12|255.255.255.255|scram-sha-256
                    hostnossl|{app}|{spock_admin}|10.77.0.13|255.255.255.255|scram-sha-256
                    hostnossl|{app}|{spock_admin}|10.77.0.14|255.255.255.255|scram-sha-256
                    hostnossl|{all}|{spock_admin}|10.77.0.14|255.255.255.255|scram-sha-256
                    """)
            try await expectNobody(bed, "127.0.0.1", from: "n4", "spock_admin")
            try await expectNobody(bed, "10.77.0.14", from: "n2", "app")
            try await expectNobody(bed, "10.77.0.14", from: "n2", "spock_admin", database: "postgres")
            try await expectNobody(bed, "10.77.0.14", from: "repo", "spock_admin")
            try await expectPassword(bed, from: "n2")
            try await bed.unblock("n2", "n3")

            let output = try await run.wait(within: .seconds(300)), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(!output.standardOutput.contains("secret-of-"))
            let verification = try await ledger.verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            try await before.expectUntouched(bed)
            try await bed.expectMember()
            try await expectPassword(bed, from: "n2")
            try await expectNobody(bed, "10.77.0.14", from: "n2", "spock_admin", "sslmode=require")
            let window = try someone.window(in: output.standardOutput)
            report("rules of initdb, RADIUS and certificates before the right one: \(bed.spockDescription), window \(window) s, \(ledger.acknowledged) acknowledged")
        }
    }

    @Test func `what the new node could not keep is told by check`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let refusals = RefusalTests()
            for round in Self.rounds { try await refusals.expectRefusal(of: round, bed) }

            // What is meant may be said.
            try await bed.setRules("host all all 10.77.0.0/24 trust\nhost replication replicator 10.77.0.0/24 trust\n", on: "n1")
            let someone = try Operator(of: bed, playbook: ["  # trust_over_network: false\n": "  trust_over_network: true\n"])
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.status == 0, "\(check.standardOutput)\(check.standardError)")
            #expect(check.standardOutput.hasLine("! access … n4 … lets n1, n2, n3, n4 and pggraft in as n1 does: host trust"), "\(check.standardOutput)")
        }
    }

    /// Obstacles that stand side by side: all of them are told at once.
    private static let rounds: [[RefusalTests.Obstacle]] = [
        [
            .init(
                title: "the source trusts the network",
                says: [
                    "✗ access … n4 … n1 lets n2 in by … trust: on n4, too, anyone from there could be spock_admin without a password",
                    "HINT: put this line above it, and reload: host app spock_admin 10.77.0.12/32 scram-sha-256; or say trust_over_network: true of new_node",
                ]
            ) { bed, _ in
                try await bed.setRules("host all all 10.77.0.0/24 trust\nhost replication replicator 10.77.0.0/24 trust\n", on: "n1")
            } mend: { bed, _ in
                try await bed.setRules(usual, on: "n1")
            },
            .init(
                title: "the subscriptions to the source differ",
                says: ["✗ mesh … sub_n2_n1 and sub_n3_n1 differ in replication sets {ddl_sql,default,default_insert_only} and {ddl_sql,default,default_insert_only,regional}"]
            ) { bed, _ in
                try await bed.psql("n1", "SELECT spock.sub_remove_repset('sub_n2_n1', 'regional')")
                try await bed.waitUntilWhole()
            } mend: { bed, _ in
                try await bed.psql("n1", "SELECT spock.sub_add_repset('sub_n2_n1', 'regional')")
                try await bed.waitUntilWhole()
            },
            .init(
                title: "a subscription passes on what others have written, and one applies late",
                says: [
                    "✗ mesh … sub_n3_n2 passes on what other nodes have written (forward_origins)",
                    "✗ mesh … sub_n3_n2 applies late (apply_delay up to 20 s): the window waits for that, and may last 30 s only", "HINT: let handover.window_limit be 45 s",
                ]
            ) { bed, _ in
                try await bed.psql(
                    "n2",
                    """
                    UPDATE \(bed.subscriptions) SET sub_forward_origins = '{all}', sub_apply_delay = '20 s' WHERE sub_name = 'sub_n3_n2'
                    """)
            } mend: { bed, _ in
                try await bed.psql("n2", "UPDATE \(bed.subscriptions) SET sub_forward_origins = '{}', sub_apply_delay = '0'")
                try await bed.waitUntilWhole()
            },
        ],
        [
            .init(
                title: "the source asks others than itself, and its file refers to another one",
                says: [
                    "✗ access … n4 … n1 lets n2 in by … radius …: whether n4 can ask by radius is not known before it runs",
                    "✗ access … n4 … its server would not take over pg_hba.conf of n1 … could not open … /etc/hba-databases",
                ]
            ) { bed, _ in
                try await bed.host("n1").run("echo crm >/etc/hba-databases")
                try await bed.setRules(
                    """
                    host  @/etc/hba-databases  all  10.9.0.0/16  scram-sha-256
                    host  all  spock_admin  10.77.0.12/32  radius radiusservers=10.9.0.1 radiussecrets=secret-of-radius
                    \(usual)
                    """, on: "n1")
            } mend: { bed, _ in
                try await bed.setRules(usual, on: "n1")
            },
            .init(
                title: "only the DSNs have the passwords, one is wrong, one is open to all, and the operator has none",
                says: [
                    "✗ password … n1 … n4 will ask it for a password (scram-sha-256), and /var/lib/postgresql/.pgpass has none for it; the DSNs of n2 in spock.node_interface hold one",
                    "HINT: put this line into /var/lib/postgresql/.pgpass of postgres on n1, mode 0600: 10.77.0.14:5432:app:spock_admin:PASSWORD",
                    "✗ password … n4 … n1 does not take the one that postgres has for n4 … password authentication failed",
                    "✗ password … n3 … libpq does not read /var/lib/postgresql/.pgpass, which others may read", "HINT: chmod 0600 /var/lib/postgresql/.pgpass",
                    "✗ password … pggraft could not log in to n4", "HINT: put this line into your own ~/.pgpass, mode 0600: 10.77.0.14:*:app:spock_admin:PASSWORD",
                ]
            ) { bed, someone in
                try await bed.psql(
                    "n1", "UPDATE \(bed.isStandIn ? "pglogical" : "spock").node_interface SET if_dsn = if_dsn || ' password=secret-of-spock_admin' WHERE if_name = 'n2'")
                for node in ["n1", "n3", "n4"] { try await bed.host(node).run(asUser: "postgres", "cp -p ~/.pgpass ~/pgpass.kept") }
                try await bed.host("n1").run(asUser: "postgres", "sed 's/^[*]/10.77.0.13/' ~/pgpass.kept >~/.pgpass")
                try await bed.host("n3").run(asUser: "postgres", "chmod 0644 ~/.pgpass")
                try await bed.host("n4").run(asUser: "postgres", "{ echo '10.77.0.14:*:*:spock_admin:wrong\\:one'; cat ~/pgpass.kept; } >~/.pgpass")
                try writeFile(
                    try readFile(someone.pgpass).split(separator: "\n").filter { !$0.hasPrefix("n4:") && !$0.hasPrefix("10.77.0.14:") }.joined(separator: "\n") + "\n",
                    to: someone.pgpass, mode: 0o600)
            } mend: { bed, someone in
                try await bed.psql("n1", "UPDATE \(bed.isStandIn ? "pglogical" : "spock").node_interface SET if_dsn = replace(if_dsn, ' password=secret-of-spock_admin', '')")
                for node in ["n1", "n3", "n4"] { try await bed.host(node).run(asUser: "postgres", "mv ~/pgpass.kept ~/.pgpass") }
                try writeFile(try readFile(bed.pgpass), to: someone.pgpass, mode: 0o600)
            },
        ],
        [
            .init(
                title: "the source wants TLS, and its certificate stays there",
                says: [
                    "✗ access … n4 … hostssl … /etc/ssl/n1.crt is not on n4", "✗ TLS … n4 … /etc/ssl/n1.crt is not on n4",
                    "HINT: put it there: without it the server does not start",
                ]
            ) { bed, _ in
                try await bed.turnTLSOn("n1", in: "/etc/ssl/n1")
                try await bed.setRules(usual.replacing("host ", with: "hostssl "), on: "n1")
            } mend: { bed, _ in
                for name in ["ssl", "ssl_cert_file", "ssl_key_file", "ssl_ca_file"] { try await bed.psql("n1", "ALTER SYSTEM RESET \(name)") }
                try await bed.setRules(usual, on: "n1")
            }
        ],
    ]

    static let usual = "host all all 127.0.0.1/32 scram-sha-256\nhost all all 10.77.0.0/24 scram-sha-256\nhost replication replicator 10.77.0.0/24 scram-sha-256\n"

    /// Expects that this one does not even get to a password.
    private func expectNobody(
        _ bed: Bed, _ address: String, from host: String, _ user: String, database: String = "app", _ more: String = ""
    ) async throws {
        let output = try await bed.login(from: host, "host=\(address) dbname=\(database) user=\(user) \(more)")
        #expect(output.status != 0, "\(user) from \(host)")
        let isRefused = output.standardError.contains("no pg_hba.conf entry") || output.standardError.contains("certificate")
        #expect(isRefused, "\(user) from \(host): \(output.standardError)")
    }

    /// Expects that the mesh's role comes in with its password, and not without.
    private func expectPassword(_ bed: Bed, from host: String) async throws {
        let conninfo = "host=10.77.0.14 dbname=app user=spock_admin"
        let with = try await bed.login(from: host, conninfo), without = try await bed.login(from: host, conninfo + " passfile=/dev/null")
        #expect(with.status == 0, "\(with.standardError)")
        #expect(without.status != 0 && without.standardError.contains("no password supplied"), "\(without.standardError)")
    }
}

extension Bed {
    /// The catalog that has the subscriptions.
    nonisolated var subscriptions: String { isStandIn ? "pglogical.subscription" : "spock.subscription" }

    /// Writes the rules of a node, behind the line by which tests look, and has them read.
    nonisolated func setRules(_ rules: String, on node: String) async throws {
        try await host(node).run(asUser: "postgres", "cat >\(Bed.dataDirectory)/pg_hba.conf", input: "local all postgres peer\n" + rules + "\n")
        try await psql(node, "SELECT pg_reload_conf()")
        try await eventually("\(node) to have read its rules", within: .seconds(10)) {
            try await psql(node, "SELECT pg_conf_load_time() > (SELECT modification FROM pg_stat_file('pg_hba.conf'))") == "t"
        }
        #expect(try await psql(node, "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL") == "0")
    }

    /// Has a node speak TLS, by a certificate of its own that also is its authority.
    /// - Parameter base: of the files; by default they are in the data directory.
    nonisolated func turnTLSOn(_ node: String, in base: String = "server") async throws {
        let path = base.hasPrefix("/") ? base : "\(Bed.dataDirectory)/\(base)"
        try await host(node).run(
            """
            openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=\(node) -days 3 -keyout \(path).key -out \(path).crt 2>/dev/null
            chown postgres:postgres \(path).key \(path).crt; chmod 600 \(path).key
            """)
        for (name, value) in [("ssl_cert_file", ".crt"), ("ssl_key_file", ".key"), ("ssl_ca_file", ".crt")] {
            try await psql(node, "ALTER SYSTEM SET \(name) = '\(base)\(value)'")
        }
        try await psql(node, "ALTER SYSTEM SET ssl = on")
        try await psql(node, "SELECT pg_reload_conf()")
        try await eventually("\(node) to speak TLS", within: .seconds(10)) { try await psql(node, "SHOW ssl") == "on" }
    }

    /// Tries to log in as the OS user postgres of a host, with what its password file has.
    nonisolated func login(from host: String, _ conninfo: String) async throws -> CommandOutput {
        try await self.host(host).execute(asUser: "postgres", "exec \(binaryDirectory)/psql -wXAtq -d \"$(cat)\" -c 'SELECT 1'", input: conninfo + " connect_timeout=10")
    }
}
