import Bed
import EventLoop
import Run
import Testing

/// A node joins by Spock's own copy, with everybody writing.
@Suite("The logical way to add a node", .serialized)
struct LogicalTests {
    /// On each node a client that makes rows, and changes those that another node has made some seconds ago: each row is changed once, by one node.
    /// - Returns: what ends them.
    private static func changers(on bed: Bed, _ nodes: [String] = Bed.meshNodes) -> @Sendable () async throws -> Void {
        let changing = Task {
            try await onEach(Array(nodes.indices)) { place in
                let mine = place + 1, other = (place + 1) % nodes.count + 1
                try await bed.host(nodes[place]).run(
                    asUser: "postgres",
                    """
                    n=0
                    while [ ! -e /tmp/enough ]; do
                        n=$((n + 1))
                        \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app -c "
                            INSERT INTO app.bulk VALUES (\(mine)00000 + $n, 'changed', extract(epoch FROM clock_timestamp())::text)" -c "
                            UPDATE app.bulk SET body = body || ' by \(nodes[place])' WHERE id IN (SELECT id FROM app.bulk WHERE name = 'changed' AND id / 100000 = \(other)
                                AND body NOT LIKE '% %' AND body::float8 < extract(epoch FROM now()) - 6 ORDER BY id LIMIT 2)" || exit 1
                    done
                    """, within: .seconds(400))
            }
        }
        return {
            for node in nodes { try await bed.host(node).run("touch /tmp/enough") }
            _ = try await changing.value
        }
    }

    @Test func `n4 joins while all three nodes write and change each other's rows, and nothing is lost`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.startEmptyNode()
            for node in Bed.meshNodes { try await bed.psql(node, "CREATE SEQUENCE app.never; CREATE SEQUENCE app.set_back INCREMENT -2") }
            try await bed.psql("n1", "SELECT nextval('app.order_no') FROM generate_series(1, 4711); SELECT setval('app.set_back', -8, false)")
            try await bed.psql("n1", "ALTER DATABASE app SET work_mem = '5MB'")
            let details = "  # location: Los Angeles\n  # country: USA\n  # info: "
            let someone = try Operator(of: bed, with: "spock-add-node-logical", playbook: [details: details.replacing("# ", with: "")])
            let check = try await someone.pggraft("check", someone.playbook)
            #expect(check.status == 0, "\(check.standardOutput)\n\(check.standardError)")
            #expect(check.standardOutput.contains("does not get 1 setting of the database (work_mem) of n1"), "\(check.standardOutput)")

            let enough = Self.changers(on: bed)
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 20, big: (every: 200, rows: 3000))
            let run = try someone.start("run", "--yes", someone.playbook)
            // It falls behind; what the source's peers write meanwhile, and others change, comes to it through the source, in the source's order.
            async let holding = bed.host("n4").run(
                asUser: "postgres",
                """
                psql='exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app'
                until [ "$($psql -c "SELECT to_regclass('app.bulk') IS NOT NULL")" = t ]; do sleep 0.05; done
                echo 'BEGIN; LOCK TABLE app.bulk IN SHARE MODE; \\! until [ -e /tmp/go ]; do sleep 0.05; done' | (eval "$psql")
                """, within: .seconds(300))
            try await eventually("n4 to be held up", within: .seconds(120)) {
                try await bed.psql("n4", "SELECT count(*) FROM pg_locks WHERE relation = to_regclass('app.bulk') AND mode = 'ShareLock' AND granted") == "1"
            }
            func changed() async throws -> Int { Int(try await bed.psql("n1", "SELECT count(*) FROM app.bulk WHERE body LIKE '% by n1'")) ?? 0 }
            let before = try await changed()
            try await eventually("rows that were made and changed meanwhile", within: .seconds(90), every: .milliseconds(200)) { try await changed() >= before + 30 }
            try await bed.host("n4").run("touch /tmp/go")
            _ = try await holding
            let output = try await run.wait(within: .seconds(300)), ledger = try await writers.stop()
            try await enough()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            report("logical: \(bed.spockDescription)")
            report("  \(ledger.acknowledged) acknowledged, \(ledger.failed) failed, \(ledger.inDoubt) in doubt, longest gap \(ledger.longestGap())")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            #expect(output.standardOutput.contains("Done. Nothing was lost."))

            #expect(output.standardOutput.contains("3 sequences are where those of n1 are (2 had to be set)"), "\(output.standardOutput)")
            for sequence in ["order_no", "never", "set_back"] {
                let position = "SELECT last_value, is_called FROM app.\(sequence)"
                #expect(try await bed.psql("n4", position) == bed.psql("n1", position), "\(sequence)")
            }

            let nodes = Bed.meshNodes + ["n4"], verification = try await ledger.verify(on: nodes, of: bed)
            #expect(verification.isClean, "\(verification)")
            let rows = "SELECT count(*), count(*) FILTER (WHERE body LIKE '% by %'), md5(string_agg(id || body, ',' ORDER BY id)) FROM app.bulk WHERE name = 'changed'"
            let known = try await bed.psql("n1", rows)
            report("  rows made, and changed by another node: \(known)")
            for node in nodes { #expect(try await bed.psql(node, rows) == known, "\(node)") }
            try await bed.expectMember(isCopy: false)
            #expect(try await bed.psql("n4", "SELECT location || ', ' || country || info FROM spock.node WHERE node_name = 'n4'") == "Los Angeles, USA{\"tier\": \"gold\"}")
            for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE '%pggraft%'") == "0", "\(node)") }

            let undone = try await someone.pggraft("undo", "--yes", "--purge-data", try someone.lastRun())
            #expect(undone.status == 0, "\(undone.standardOutput)\n\(undone.standardError)")
            #expect(try await bed.psql("n4", "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname IN ('app', 'public', 'spock')") == "0")
            #expect(try await bed.psql("n4", "SELECT datconnlimit FROM pg_database WHERE datname = 'app'") == "-1")
        }
    }

    @Test func `a copy that is cut off inside is told with what the log says, and begun anew by a resume`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(nodes: 2)
            try await bed.startEmptyNode()
            // Of a former life of the server.
            try await bed.psql(
                "n4",
                """
                CREATE EXTENSION spock; INSERT INTO spock.exception_log (remote_origin, remote_commit_ts, command_counter, retry_errored_at, remote_xid, error_message)
                    VALUES (1, now(), 1, now(), 1, 'x')
                """)
            let someone = try Operator(of: bed, with: "spock-add-node-logical", playbook: [Operator.nodes(3).0: ""])
            let writers = try await Writers.start(on: ["n1", "n2"], of: bed, perNode: 1, rate: 20)
            // The copy of its rows waits.
            async let holding = bed.host("n4").run(
                asUser: "postgres",
                """
                psql='exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app'
                until [ "$($psql -c "SELECT to_regclass('app.bulk') IS NOT NULL")" = t ]; do sleep 0.01; done
                echo 'BEGIN; LOCK TABLE app.bulk IN ACCESS EXCLUSIVE MODE; \\! until [ -e /tmp/go ]; do sleep 0.05; done' | (eval "$psql")
                """, within: .seconds(300))
            let run = try someone.start("run", "--yes", someone.playbook)
            let waiting = "SELECT pid FROM pg_locks WHERE relation = to_regclass('app.bulk') AND NOT granted"
            try await eventually("the copy to wait for the table", within: .seconds(60)) { try await !bed.psql("n4", waiting).isEmpty }
            // The session that rows are written by. The worker itself hears nothing as long as it waits.
            let session = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name LIKE 'pggraft\\_copy%'"
            #expect(try await bed.psql("n4", "SELECT count(*) > 0 FROM (SELECT pg_terminate_backend(pid) \(session)) t") == "t")
            try await bed.host("n4").run("touch /tmp/go")
            _ = try await holding
            let failed = try await run.wait(within: .seconds(120))
            #expect(failed.status == 1, "\(failed.standardOutput)")
            #expect(failed.standardError.contains("Spock has given it up while it copies data"), "\(failed.standardError)")
            #expect(failed.standardError.contains("terminating"), "\(failed.standardError)")

            let resumed = try await someone.pggraft("resume", try someone.lastRun()), ledger = try await writers.stop()
            try #require(resumed.status == 0, "\(resumed.standardOutput)\n\(resumed.standardError)")
            #expect(resumed.standardOutput.contains("begun anew"), "\(resumed.standardOutput)")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            let verification = try await ledger.verify(on: ["n1", "n2", "n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
        }
    }

    @Test("a node joins another number of nodes", arguments: [1, 2, 4])
    func joins(_ count: Int) async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(nodes: count)
            try await bed.startEmptyNode()
            let members = Bed.meshNodes(count), shipped = Operator.nodes(3).0
            let all = "    n2:\n      address: 10.77.0.12\n" + shipped
            let someone = try Operator(
                of: bed, with: "spock-add-node-logical",
                playbook: [all: members.dropFirst().map { "    \($0):\n      address: 10.77.0.\(10 + (Int($0.dropFirst()) ?? 0))\n" }.joined()])
            let writers = try await Writers.start(on: members, of: bed, perNode: 1, rate: 20)
            let output = try await someone.pggraft("run", "--yes", someone.playbook), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            let verification = try await ledger.verify(on: members + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")
            #expect(output.standardOutput.contains("\(count * (count + 1)) subscriptions replicating, every slot read"))
        }
    }

    @Test(.enabled(if: Bed.newerBinaryDirectory != nil, "PGGRAFT_SPOCK_NEWER_BINDIR names no newer PostgreSQL with Spock"))
    func `a node of a newer major version joins`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.startEmptyNode(of: Bed.newerBinaryDirectory)
            func version(of node: String) async throws -> Int { try #require(Int(try await bed.psql(node, "SHOW server_version_num"))) / 10_000 }
            #expect(try await version(of: "n4") > version(of: "n1"))
            let someone = try Operator(of: bed, with: "spock-add-node-logical"), enough = Self.changers(on: bed), writers = try await Writers.start(of: bed, perNode: 1, rate: 20)
            let output = try await someone.pggraft("run", "--yes", someone.playbook, within: .seconds(400))
            try await enough()
            let ledger = try await writers.stop(), nodes = Bed.meshNodes + ["n4"]
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0))
            let verification = try await ledger.verify(on: nodes, of: bed)
            #expect(verification.isClean, "\(verification)")
            let post = try await someone.pggraft("check", "--post", someone.playbook)
            #expect(post.status == 0, "\(post.standardOutput)\n\(post.standardError)")
            for node in nodes { #expect(try await bed.psql(node, "SELECT count(*) FROM spock.exception_log") == "0", "\(node)") }
            report(
                "logical, into PostgreSQL \(try await version(of: "n4")): \(bed.spockDescription), \(ledger.acknowledged) acknowledged, 0 failed, longest gap \(ledger.longestGap())"
            )
        }
    }

    @Test func `what is wrong before it begins is told, each with what to do; the roles that lack are made when told so`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(nodes: 2)
            try await bed.startEmptyNode()
            let someone = try Operator(of: bed, with: "spock-add-node-logical", playbook: [Operator.nodes(3).0: ""])
            func told(_ wrong: String, _ words: [String], count: Int = 1, by option: String = "--pre") async throws {
                let output = try await someone.pggraft("check", option, someone.playbook), text = output.standardOutput
                #expect(output.status == 1, "\(wrong)\n\(text)")
                #expect(text.split(separator: "\n").count { $0.hasPrefix("✗") } == count, "\(wrong)\n\(text)")
                for word in words { #expect(text.contains(word), "\(wrong): \(word)\n\(text)") }
            }
            func check(_ node: String, _ wrong: String, undone: String, says words: String..., database: String = "app", restarts: Bool = false) async throws {
                func restart() async throws {
                    guard restarts else { return }
                    try await bed.host(node).stopPostgres()
                    try await bed.host(node).startPostgres()
                }
                _ = try await bed.psql(node, wrong, database: database)
                try await restart()
                try await told(wrong, words)
                _ = try await bed.psql(node, undone, database: database)
                try await restart()
            }
            try await check(
                "n4", "ALTER DATABASE app RENAME TO other", undone: "ALTER DATABASE other RENAME TO app", says: "has no database app", "CREATE DATABASE app", database: "postgres")
            try await check(
                "n4", "ALTER ROLE spock_admin NOSUPERUSER", undone: "ALTER ROLE spock_admin SUPERUSER", says: "spock_admin is no superuser", "ALTER ROLE spock_admin SUPERUSER")
            try await check(
                "n4", "ALTER SYSTEM SET shared_preload_libraries = 'auto_explain'", undone: "ALTER SYSTEM RESET shared_preload_libraries",
                says: "is not loaded (shared_preload_libraries = 'auto_explain')",
                "add spock to shared_preload_libraries", restarts: true)
            try await check(
                "n4", "ALTER SYSTEM SET max_wal_senders = 1", undone: "ALTER SYSTEM RESET max_wal_senders", says: "n4: max_wal_senders is 1, 2 are needed", "restart n4",
                restarts: true)
            try await check(
                "n4", "CREATE EXTENSION spock; UPDATE pg_extension SET extversion = '5.0.1' WHERE extname = 'spock'",
                undone: "DROP EXTENSION spock; DROP SCHEMA IF EXISTS pglogical, pglogical_origin", says: "version 5.0.1, and n1 has", "install Spock")
            try await bed.host("n4").run("mv ~postgres/.pgpass ~postgres/kept")
            try await told("no password of n4", ["cannot connect to n1", "cannot connect to n2", "~/.pgpass"], count: 2)
            try await bed.host("n4").run("mv ~postgres/kept ~postgres/.pgpass")
            let rules = "\(Bed.dataDirectory)/pg_hba.conf", reload = "SELECT pg_reload_conf()"
            try await bed.host("n4").run("cp -p \(rules) \(rules).kept; sed -i '1i host all all 10.77.0.12/32 reject' \(rules)")
            _ = try await bed.psql("n4", reload)
            try await told("n2 is kept out", ["cannot connect to n4", "allow 10.77.0.12 in pg_hba.conf of n4"])
            try await bed.host("n4").run("mv \(rules).kept \(rules)")
            _ = try await bed.psql("n4", reload)
            try await bed.host("n4").fillDisk()
            try await told("no room", ["free in \(Bed.dataDirectory)", "make room on n4"])
            try await bed.host("n4").freeDisk()
            try await check("n4", "CREATE TABLE public.mine ()", undone: "DROP TABLE public.mine", says: "public.mine", "the copy would meet them")
            try await check(
                "n4", "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA pgedge_ace CREATE TABLE looks ()",
                undone: "DROP FUNCTION public.mine; DROP SCHEMA pgedge_ace CASCADE", says: "schema public has function public.mine()", "they would go with it")
            try await check("n4", "CREATE SCHEMA app", undone: "DROP SCHEMA app", says: "schema app is there, and on n1 too", "DROP SCHEMA app")
            try await check("n1", "CREATE ROLE reader", undone: "DROP ROLE reader", says: "reader of n1 is not there", "--create-roles")
            try await check("n4", "ALTER ROLE app CREATEDB", undone: "ALTER ROLE app NOCREATEDB", says: "app differs from that of n1: CREATEDB", "ALTER ROLE app on n4")
            try await check(
                "n4", "CREATE EXTENSION spock; SELECT spock.node_create('n9', 'host=10.77.0.14 dbname=app user=spock_admin')",
                undone: "SELECT spock.node_drop('n9'); DROP EXTENSION spock; DROP SCHEMA IF EXISTS pglogical, pglogical_origin", says: "is the node n9 already", "node_drop")
            // The stand-in takes no other value.
            if !bed.isStandIn {
                try await check(
                    "n4", "ALTER SYSTEM SET spock.save_resolutions = on; SELECT pg_reload_conf()", undone: "ALTER SYSTEM RESET spock.save_resolutions; SELECT pg_reload_conf()",
                    says: "spock.save_resolutions", "'on', and 'off' on n1", "ALTER SYSTEM SET spock.save_resolutions = 'off'")
                try await check(
                    "n2", "ALTER SYSTEM SET spock.enable_ddl_replication = on; SELECT pg_reload_conf()",
                    undone: "ALTER SYSTEM RESET spock.enable_ddl_replication; SELECT pg_reload_conf()", says: "spock.enable_ddl_replication is on", "pg_reload_conf()")
            }
            let well = try await someone.pggraft("check", "--pre", someone.playbook)
            #expect(well.status == 0, "\(well.standardOutput)")
            #expect(well.standardOutput.contains("dblink"))

            try await bed.psql(
                "n1",
                "CREATE ROLE reader LOGIN PASSWORD 'of-reader'; GRANT pg_read_all_data TO reader; ALTER ROLE reader SET work_mem = '8MB';"
                    + " ALTER ROLE reader SET search_path = '$user', app, 'Public'; GRANT SELECT ON app.bulk TO reader")
            try await bed.psql("n2", "CREATE ROLE reader LOGIN PASSWORD 'of-reader'")
            let output = try await someone.pggraft("run", "--yes", "--create-roles", someone.playbook)
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            let role = """
                SELECT rolcanlogin, rolpassword, (SELECT string_agg(roleid::regrole::text, ',') FROM pg_auth_members WHERE member = r.oid),
                  (SELECT setconfig FROM pg_db_role_setting WHERE setrole = r.oid), has_table_privilege('reader', 'app.bulk', 'SELECT') FROM pg_authid r WHERE rolname = 'reader'
                """
            #expect(try await bed.psql("n4", role) == bed.psql("n1", role))

            let after = try await someone.pggraft("check", "--post", someone.playbook)
            #expect(after.status == 0, "\(after.standardOutput)")
            func check(after node: String, _ wrong: String, undone: String, says words: String..., count: Int = 1) async throws {
                _ = try await bed.psql(node, wrong)
                try await told(wrong, words, count: count, by: "--post")
                _ = try await bed.psql(node, undone)
            }
            try await check(
                after: "n1", "SELECT pg_create_logical_replication_slot('left_over', 'spock_output')", undone: "SELECT pg_drop_replication_slot('left_over')", says: "left_over")
            try await check(
                after: "n2", "SELECT pg_replication_origin_create('left_over')", undone: "SELECT pg_replication_origin_drop('left_over')",
                says: "the origin left_over is of no subscription",
                "pg_replication_origin_drop('left_over')")
            try await check(
                after: "n4",
                "INSERT INTO spock.exception_log (remote_origin, remote_commit_ts, command_counter, retry_errored_at, remote_xid, error_message) VALUES (1, now(), 1, now(), 1, 'x')",
                undone: "DELETE FROM spock.exception_log", says: "1 changes were discarded", "pggraft verify")
            try await check(
                after: "n4", "SELECT spock.sub_disable('sub_n2_n4')", undone: "SELECT spock.sub_enable('sub_n2_n4')", says: "sub_n2_n4", "disabled", "is not read", count: 2)

            // It applies what is older than that, and so the test row comes, too.
            try await bed.psql("n4", "SELECT spock.sub_disable('sub_n1_n4')")
            try await eventually("the slot of sub_n1_n4 to be left", within: .seconds(20)) {
                try await bed.psql("n1", "SELECT count(*) FROM pg_replication_slots WHERE NOT active AND slot_name LIKE '%n4%'") == "1"
            }
            try await bed.psql("n4", "UPDATE \(bed.subscriptions) SET sub_apply_delay = '20 s' WHERE sub_name = 'sub_n1_n4'; SELECT spock.sub_enable('sub_n1_n4')")
            try await eventually("n4 to read n1 again", within: .seconds(60)) {
                try await bed.psql("n1", "SELECT count(*) FROM pg_replication_slots WHERE NOT active") == "0"
            }
            // A transaction that waits to be applied keeps the slot where it is: of one that is not decoded yet, parts count as received.
            try await bed.psql("n1", "INSERT INTO app.bulk VALUES (500000, 'late', '')")
            try await bed.psql("n1", "INSERT INTO app.bulk SELECT i, 'late', repeat(md5(i::text), 32) FROM generate_series(500001, 520000) i")
            try await told("n4 is behind", ["✗ lag            n4  ", " behind n1, at most 16 MB", "pggraft status --watch"], by: "--post")
        }
    }
}
