import Bed
import Testing

@Suite("The mesh")
struct MeshTests {
    @Test func `every node replicates to every other, and each set does what it says`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            for node in Bed.meshNodes {
                #expect(try await bed.psql(node, "SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating'") == "2")
                #expect(
                    try await bed.psql(node, "SELECT sub_name FROM spock.subscription ORDER BY 1")
                        == Bed.meshNodes.filter { $0 != node }.map { "sub_\($0)_\(node)" }.joined(separator: "\n"))
                #expect(try await bed.psql(node, "SELECT distinct sub_replication_sets FROM spock.subscription") == "{default,default_insert_only,ddl_sql,regional}")
                try await bed.psql(
                    node,
                    """
                    INSERT INTO app.ledger (node, writer, seq) VALUES ('\(node)', 0, 1);
                    INSERT INTO app.events (node, writer, seq) VALUES ('\(node)', 0, 1);
                    """)
            }
            try await bed.psql("n1", "INSERT INTO app.orders VALUES (1, 'EU', 10, 'hidden'), (2, 'US', 20, 'hidden')")
            try await bed.drain()
            for node in Bed.meshNodes {
                #expect(try await bed.psql(node, "SELECT node FROM app.ledger ORDER BY 1") == "n1\nn2\nn3")
                #expect(try await bed.psql(node, "SELECT node FROM app.events ORDER BY 1") == "n1\nn2\nn3")
                #expect(try await bed.psql(node, "SELECT count(*) FROM app.bulk") == "20000")
                #expect(
                    try await bed.psql(node, "SELECT id, region, amount, secret_note FROM app.orders ORDER BY 1") == (node == "n1" ? "1|EU|10|hidden\n2|US|20|hidden" : "1|EU|10|"))
                #expect(try await bed.psql(node, "SELECT set_seqoid FROM spock.replication_set_seq") == (node == "n1" ? "app.order_no" : ""))
            }
        }
    }

    @Test func `n4 and repo are ready for what is to come`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let new = try bed.host("n4")
            #expect(try await new.run("stat -c %U \(Bed.dataDirectory)") == "postgres")
            #expect(try await new.run("ls -A \(Bed.dataDirectory)").isEmpty)
            #expect(try await new.run(asUser: "postgres", "\(bed.binaryDirectory)/postgres --version").contains("PostgreSQL"))
            let path = "host=10.77.0.11 user=spock_admin dbname=app"
            #expect(try await new.run(asUser: "postgres", "\(bed.binaryDirectory)/psql -XAtw '\(path)' -c 'SELECT current_user'") == "spock_admin", "by ~/.pgpass")
            #expect(
                try await new.run(asUser: "postgres", "\(bed.binaryDirectory)/psql -XAtw 'host=10.77.0.11 user=replicator dbname=app replication=true' -c IDENTIFY_SYSTEM")
                    .contains("|"))
            #expect(try await bed.host("repo").run(asUser: "postgres", "pgbackrest version").contains("pgBackRest"))
            #expect(try await Shell.run("psql -XAtw '\(try bed.conninfo("n2", user: "app"))' -c 'SELECT current_user'") == "app")
            await expectRefusal("no pg_hba.conf entry for replication connection from host \"10.77.0.254\", user \"app\"") {
                try await Shell.run("psql -XAtw 'host=10.77.0.11 user=app dbname=app replication=true passfile=\(bed.pgpass)' -c IDENTIFY_SYSTEM")
            }

            try await new.run("echo x >\(Bed.dataDirectory)/junk; echo x >/etc/junk")
            try await bed.resetNewNode()
            #expect(try await new.run("ls -A \(Bed.dataDirectory) /etc/junk 2>/dev/null | grep junk || true").isEmpty)
        }
    }

    @Test func `a mesh can be wider, and is three nodes again afterwards`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(nodes: 5)
            let nodes = Bed.meshNodes(5)
            #expect(nodes == ["n1", "n2", "n3", "n5", "n6"])
            for node in nodes {
                #expect(try await bed.psql(node, "SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating'") == "4")
                try await bed.psql(node, "INSERT INTO app.ledger (node, writer, seq) VALUES ('\(node)', 0, 1)")
            }
            try await bed.drain(nodes)
            for node in nodes { #expect(try await bed.psql(node, "SELECT count(*) FROM app.ledger") == "5") }
            #expect(try await bed.host("n4").run("ls -A \(Bed.dataDirectory)").isEmpty)

            try await bed.mesh()
            #expect(try await bed.psql("n1", "SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating'") == "2")
            await expectRefusal("host n5 is not running") { try await bed.host("n5").run("true") }
        }
    }

    @Test func `a mesh that was hurt comes back whole`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.psql("n2", "DROP TABLE app.bulk CASCADE")
            try await bed.host("n1").cut()
            try await bed.host("n2").powerOff()
            try await bed.host("n3").freeze()
            try await bed.mesh()
            #expect(try await bed.psql("n2", "SELECT count(*) FROM app.bulk") == "20000")
            try await bed.drain()
        }
    }

    @Test func `a node that was powered off catches up after it is back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let n2 = try bed.host("n2")
            try await n2.powerOff()
            try await bed.psql("n1", "INSERT INTO app.ledger (node, writer, seq) VALUES ('n1', 0, 1)")
            try await n2.powerOn()
            try await n2.startPostgres()
            try await bed.drain(within: .seconds(90))
            #expect(try await bed.psql("n2", "SELECT count(*) FROM app.ledger") == "1")
        }
    }

    @Test(.enabled(if: Bed.hasDebianPostgres, "only Debian's PostgreSQL has Debian's layout"))
    func `instances can be laid out as Debian does`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: ["n1": .debian, "n4": .debian])
            let (n1, n4) = (try bed.host("n1"), try bed.host("n4"))
            #expect(try await n1.run("pg_lsclusters -h | awk '{print $1, $2, $3, $4, $6}'") == "15 main 5432 online \(Bed.dataDirectory)")
            #expect(try await n1.execute("ls \(Bed.dataDirectory)/postgresql.conf \(Bed.dataDirectory)/pg_hba.conf").status != 0)
            #expect(try await bed.psql("n1", "SHOW config_file") == "/etc/postgresql/15/main/postgresql.conf")
            #expect(try await n4.run("pg_lsclusters -h | awk '{print $1, $2, $3, $4, $6}'") == "15 main 5432 down \(Bed.dataDirectory)")
            #expect(try await n4.run("ls -A \(Bed.dataDirectory)").isEmpty)
            try await bed.resetNewNode()
            #expect(try await n4.run("ls /etc/postgresql/15/main").contains("postgresql.conf"))
            try await bed.drain()
        }
    }
}
