import Bed
import Testing

/// What a test on Postgres-XC relies on, of the stand-in and, where `PGGRAFT_XC_BINDIR` is set, of the real one.
@Suite("Postgres-XC on the bed", .serialized)
struct XCTests {
    @Test func `answers what the real one was recorded to answer`() async throws {
        try await withXC { cluster in
            let statements = try await Shell.run("cat \(Shell.fixtures)/contract/xc.sql")
            let output = try await cluster.host("node01").run(
                asUser: "postgres", "stdbuf -oL /usr/lib/postgresql/15/bin/psql -h /run/postgresql -p 20004 -XAtq app -f - 2>&1", input: statements)
            let given = output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).filter(Self.isAnswer).map(Self.withoutPlace)
            let recorded = try await Shell.run("cat \(Shell.fixtures)/contract/postgres-xc-1.2.txt").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            #expect(recorded.count > 100)
            let difference = given.difference(from: recorded)
            #expect(difference.isEmpty, "\(difference)")
        }
    }

    @Test func `the extended protocol has the same answers`() async throws {
        try await withXC { cluster in
            func extended(_ statements: String) async throws -> CommandOutput {
                try await cluster.host("node01").execute(
                    asUser: "postgres", "/usr/lib/postgresql/15/bin/pgbench -h /run/postgresql -p 20004 -n -M extended -t 1 -f /dev/stdin app 2>&1", input: statements)
            }
            let good = try await extended(
                """
                EXECUTE DIRECT ON (datanode1) 'select inet_server_port() as port' \\gset
                \\set right case when :port = 20006 then 1 else 1 / 0 end
                ALTER NODE datanode1 WITH (PORT = 20007);
                SELECT pgxc_pool_reload();

                """)
            #expect(good.status == 0, "\(good.standardOutput)")
            #expect(try await cluster.sql(on: "coord1", "SELECT node_port FROM pgxc_node WHERE node_name = 'datanode1'") == "20007")
            let dead = try await extended("EXECUTE DIRECT ON (datanode1) 'select 1';\n")
            #expect(dead.standardOutput.contains("Failed to get pooled connections"), "\(dead.standardOutput)")
            let direct = try await extended("EXECUTE DIRECT ON (nope) 'select 1';\n")
            #expect(direct.standardOutput.contains("PGXC Node nope: object not defined"), "\(direct.standardOutput)")
            let open = try await extended("BEGIN;\nSELECT pgxc_pool_reload();\n")
            #expect(open.standardOutput.contains("pgxc_pool_reload cannot run inside a transaction block"), "\(open.standardOutput)")
        }
    }

    @Test func `writers through both coordinators find every row, a changed one is found out, and up makes the cluster new`() async throws {
        try await withXC { cluster in
            let writers = try await cluster.writers()
            try await eventually("some transactions", within: .seconds(60)) { try writers.ledger().acknowledged > 40 }
            let ledger = try await writers.stop()
            #expect(ledger.failed == 0, "\(ledger.errors)")
            for coordinator in XC.coordinators {
                let holding = try await cluster.verify(ledger, through: coordinator)
                #expect(holding.isClean, "\(coordinator): \(holding)")
            }
            // Each datanode has a part.
            for datanode in XC.datanodes { #expect(try await cluster.sql(on: datanode, "SELECT count(*) > 0 FROM app.ledger") == "t") }
            try await cluster.sql(on: "coord2", "DELETE FROM app.ledger WHERE seq = 1; INSERT INTO app.events (node, writer, seq) VALUES ('coord1', 0, 1), ('coord1', 0, 1000000)")
            let holding = try await cluster.verify(ledger)
            #expect(Set(holding.missing.map(\.description)).contains("app.ledger(coord1, 0, 1)"))
            #expect(holding.doubled.map(\.description) == ["app.events(coord1, 0, 1)"])
            #expect(holding.unexplained.map(\.description) == ["app.events(coord1, 0, 1000000)"])

            try await cluster.host("node02").powerOff()
            let new = try await cluster.bed.xc(primary: true)
            #expect(try await new.sql(on: "coord2", "SELECT count(*) FROM app.ledger") == "0")
            #expect(try await new.sql(on: "coord2", "SELECT nodeis_primary, nodeis_preferred FROM pgxc_node WHERE node_name = 'datanode1'") == "t|t")
        }
    }

    @Test func `coordinators use the address of the pool until it is reloaded, in open sessions, too`() async throws {
        try await withXC { cluster in
            try await cluster.slave("datanode1_slave", of: "datanode1", on: "node03", port: 20010)
            // Where a database and user have no connection to a datanode yet, the real one takes the new address at once.
            for coordinator in XC.coordinators { #expect(try await cluster.sql(on: coordinator, "SELECT count(*) FROM app.bulk") == "2000") }
            let node03 = try cluster.host("node03")
            let writers = try await cluster.writers(rate: 10)
            // A session that lives through it all.
            let open = try cluster.host("node01")
            async let session = open.run(
                asUser: "postgres", "stdbuf -oL \(Self.psql) -XAtq -h /run/postgresql -p 20004 -v VERBOSITY=verbose app 2>&1",
                input: """
                    PREPARE kept AS SELECT 1;
                    CREATE TEMP TABLE kept (i integer);
                    EXECUTE kept;
                    \\! touch /tmp/open; timeout 60 sh -c 'until [ -e /tmp/reloaded ]; do sleep 0.05; done'
                    SELECT count(*) FROM app.bulk;
                    EXECUTE kept;
                    SELECT * FROM kept;
                    """, within: .seconds(90))
            try await eventually("the session to be there", within: .seconds(30)) { try await open.execute("test -e /tmp/open").status == 0 }

            try await cluster.kill("datanode1")
            for sql in ["SELECT count(*) FROM app.bulk", "EXECUTE DIRECT ON (datanode1) 'select 1'"] {
                await expectRefusal("53000: Failed to get pooled connections") { try await cluster.sql(on: "coord1", sql) }
            }
            #expect(try await cluster.sql(on: "coord1", "EXECUTE DIRECT ON (datanode2) 'select 1'") == "1")
            try await node03.run(asUser: "postgres", "\(XC.binaryDirectory)/pg_ctl -s -D /var/lib/postgresql/pgxc/datanode1_slave promote")
            try await eventually("the slave to be promoted", within: .seconds(60)) {
                try await cluster.sql(on: "node03", "SELECT pg_is_in_recovery()", port: 20010) == "f"
            }
            for coordinator in XC.coordinators {
                try await cluster.sql(on: coordinator, "ALTER NODE datanode1 WITH (HOST = '\(node03.address)', PORT = 20010)")
                await expectRefusal("53000: Failed to get pooled connections") { try await cluster.sql(on: coordinator, "SELECT count(*) FROM app.bulk") }
                #expect(try await cluster.sql(on: coordinator, "SELECT pgxc_pool_reload()") == "t")
                #expect(try await cluster.sql(on: coordinator, "EXECUTE DIRECT ON (datanode1) 'select inet_server_port(), inet_server_addr()'") == "20010|\(node03.address)")
            }
            try await open.run("touch /tmp/reloaded")
            let said = try await session
            #expect(said.contains("WARNING:  57000: session has been reloaded due to a cluster configuration modification"), "\(said)")
            #expect(said.contains("\n2000\n"), "\(said)")
            #expect(said.contains("26000: prepared statement \"kept\" does not exist"), "\(said)")
            #expect(said.contains("42P01: relation \"kept\" does not exist"), "\(said)")

            let before = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > before + 4 }
            let ledger = try await writers.stop()
            #expect(ledger.failed > 0)
        }
    }

    @Test func `a datanode refuses clients' writes, settles prepared transactions, and wants to be told what it is`() async throws {
        try await withXC { cluster in
            await expectRefusal("25006: cannot execute INSERT in a read-only transaction") {
                try await cluster.sql(on: "datanode1", "INSERT INTO app.ledger (node, seq) VALUES ('direct', 1)")
            }
            if XC.isStandIn {
                for (gid, end) in [("T900001", "COMMIT"), ("T900002", "ROLLBACK")] {
                    try await cluster.sql(
                        on: "datanode1", "BEGIN; INSERT INTO app.events (node, seq) VALUES ('\(gid)', 1); PREPARE TRANSACTION '\(gid)'",
                        options: "-c default_transaction_read_only=off")
                    #expect(try await cluster.sql(on: "datanode1", "SELECT gid FROM pg_prepared_xacts") == gid)
                    try await cluster.sql(on: "datanode1", "\(end) PREPARED '\(gid)'")
                }
                #expect(try await cluster.sql(on: "datanode1", "SELECT node FROM app.events") == "T900001")
            }
            let node01 = try cluster.host("node01")
            func control(_ words: String) async throws -> CommandOutput {
                try await node01.execute(
                    asUser: "postgres", "\(XC.binaryDirectory)/pg_ctl -D /var/lib/postgresql/pgxc/datanode -w \(words) >/tmp/said 2>&1; status=$?; cat /tmp/said; exit $status")
            }
            for words in ["restart -m fast", "start"] {
                let refused = try await control(words)
                #expect(refused.status == 1)
                #expect(refused.standardOutput.contains("Coordinator or Datanode option not specified (-Z)"), "\(refused.standardOutput)")
                #expect(try await control("status").status == 0, "it goes on running")
            }
            #expect(try await control("reload").status == 0)
            #expect(try await control("stop -m fast").status == 0)
            #expect(try await control("-Z datanode -l /var/log/postgresql/datanode.log start").status == 0)

            try await cluster.stop("gtm")
            try await cluster.start("gtm")
            try await cluster.stop("coord1")
            try await cluster.start("coord1")
            for coordinator in XC.coordinators {
                try await cluster.sql(on: coordinator, "SELECT pgxc_pool_reload()")
                #expect(try await cluster.sql(on: coordinator, "SELECT count(*) FROM app.bulk") == "2000")
                try await cluster.sql(on: coordinator, "INSERT INTO app.orders (id, region) VALUES (1, 'EU'); DELETE FROM app.orders WHERE id = 1")
            }
        }
    }

    @Test(.enabled(if: XC.isStandIn, "the real one can do it"))
    func `what the stand-in cannot do it says`() async throws {
        try await withXC { cluster in
            for statement in [
                "CREATE TABLE app.t (i integer) DISTRIBUTE BY HASH (i)", "DROP NODE datanode2", "SELECT 1; ALTER NODE datanode1 WITH (PORT = 1)",
                "ALTER NODE datanode1 WITH (CLUSTER = 'other')",
            ] {
                await expectRefusal("stand-in for Postgres-XC: ") {
                    try await cluster.host("node01").run(asUser: "postgres", "exec \(Self.psql) -h /run/postgresql -p 20004 -XAtq -d app -c \"$(cat)\"", input: statement)
                }
            }
        }
    }

    /// Whether the record has a line like this: not where in the source or in the statement an error is.
    static func isAnswer(_ line: String) -> Bool {
        if line.hasPrefix(" ") && line.hasSuffix("^") { return false }
        return !["LOCATION:", "LINE ", "DETAIL:"].contains { line.hasPrefix($0) }
    }

    static func withoutPlace(_ line: String) -> String {
        guard line.hasPrefix("psql:"), let end = line.firstRange(of: ": ") else { return line }
        return String(line[end.upperBound...])
    }

    static let psql = "/usr/lib/postgresql/15/bin/psql"
}
