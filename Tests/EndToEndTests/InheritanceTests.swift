import Bed
import Testing

/// What a physical copy brings along of its source does not act in the source's name, and is not lost there.
@Suite("What a copy inherits", .serialized)
struct InheritanceTests {
    /// Of another time as a standby, in the file that comes with the copy, in one that it includes, and in postgresql.auto.conf.
    private func leftovers(_ bed: Bed) async throws {
        try await bed.host("n1").run(
            asUser: "postgres",
            """
            cat >>\(Bed.dataDirectory)/postgresql.conf <<'END'
            primary_slot_name = 'long_gone'
            recovery_end_command = 'touch /tmp/recovery-ended'
            archive_cleanup_command = 'touch /tmp/cleaned'
            promote_trigger_file = '/tmp/promote'
            restore_command = 'touch /tmp/restored; exit 1'
            recovery_target_action = 'shutdown'
            include 'standby.conf'
            END
            echo "recovery_min_apply_delay = '1h'" >\(Bed.dataDirectory)/standby.conf
            """)
        for setting in ["recovery_end_command = 'touch /tmp/recovery-ended-too'", "max_logical_replication_workers = 5", "recovery_target_time = '2020-01-01'"] {
            try await bed.psql("n1", "ALTER SYSTEM SET \(setting)")
        }
        try await bed.host("n1").stopPostgres()
        try await bed.host("n1").startPostgres()
        try await bed.waitUntilWhole()
    }

    /// What a database and a role can have that nobody who works there from outside expects.
    private func sessionSettings(_ bed: Bed) async throws {
        for node in Bed.meshNodes {
            for setting in [
                "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on", "DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'",
                "search_path = app", "quote_all_identifiers = on", "bytea_output = 'escape'", "extra_float_digits = -5", "TimeZone = 'Asia/Kathmandu'",
            ] { try await bed.psql(node, "ALTER DATABASE app SET \(setting)") }
            for setting in [
                "lock_timeout = '20ms'", "idle_in_transaction_session_timeout = '100ms'", "statement_timeout = '700ms'", "default_transaction_read_only = on", "row_security = off",
            ] { try await bed.psql(node, "ALTER ROLE spock_admin SET \(setting)") }
        }
    }

    @Test func `of other meshes, subscriptions, recoveries and settings harms nobody, and the new node is none of it`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.psql(
                "n1", "CREATE UNLOGGED TABLE app.cache AS SELECT i FROM generate_series(1, 100) i; CREATE DATABASE frozen ALLOW_CONNECTIONS false", database: "app")
            try await leftovers(bed)
            try await bed.otherMesh()
            try await bed.nativeSubscriptions()
            // They are spock_admin, too: of what that role has now they take nothing any more.
            let writers = try await Writers.start(of: bed, perNode: 1, rate: 10)
            try await sessionSettings(bed)
            let origins = try await bed.psql("n1", "SELECT roname FROM pg_replication_origin WHERE roname NOT LIKE '%n4%' ORDER BY 1")
            let limit = try await bed.psql("n1", "SHOW max_logical_replication_workers")
            let someone = try Operator(of: bed)
            let run = try someone.start("run", "--yes", someone.playbook)

            // The other mesh goes on, but for the moments in which the whole instance takes no writes.
            var written = 0
            while !run.hasEnded {
                let row = try await bed.host("n2").execute(
                    asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -d other -c \"INSERT INTO public.items (who) VALUES ('xn2')\"")
                if row.status == 0 { written += 1 }
            }
            let output = try await run.wait(within: .seconds(300)), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            report("beside another mesh: \(bed.spockDescription): window \(try someone.window(in: output.standardOutput)) s, \(written) rows written on xn2")
            let verification = try await ledger.verify(on: Bed.meshNodes + ["n4"], of: bed)
            #expect(verification.isClean, "\(verification)")

            // The real judge: who reads which slot.
            let n1 = try bed.host("n1").address
            let readers = try await bed.psql(
                "n2",
                """
                SELECT s.database, count(*), string_agg(DISTINCT host(r.client_addr), ' ') FROM pg_replication_slots s
                  LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
                 WHERE s.database <> 'app' AND s.slot_name <> 'native_u' GROUP BY 1 ORDER BY 1
                """)
            #expect(readers == (["other|1|\(n1)"] + (bed.isStandIn ? ["pgl|1|\(n1)"] : []) + ["plain|1|\(n1)"]).joined(separator: "\n"))
            try await bed.psql("n2", "INSERT INTO public.items (who) VALUES ('xn2 afterwards')", database: "other")
            try await bed.psql("n1", "INSERT INTO public.items (who) VALUES ('xn1 afterwards')", database: "other")
            try await bed.psql("n2", "INSERT INTO public.t VALUES (1); INSERT INTO public.u VALUES (1)", database: "plain")
            try await bed.psql("n1", "ALTER SUBSCRIPTION dormant ENABLE", database: "plain")
            for (node, count) in [("n1", written + 2), ("n2", written + 2)] {
                try await eventually("\(node) to have every row of the other mesh", within: .seconds(30)) {
                    try await bed.psql(node, "SELECT count(*), count(DISTINCT id) FROM public.items", database: "other") == "\(count)|\(count)"
                }
            }
            try await eventually("n1 to have what its own subscriptions read", within: .seconds(30)) {
                try await bed.psql("n1", "SELECT (SELECT count(*) FROM public.t), (SELECT count(*) FROM public.u)", database: "plain") == "1|1"
            }
            if bed.isStandIn {
                try await bed.psql("n2", "INSERT INTO public.t VALUES (1)", database: "pgl")
                try await eventually("n1 to have what it reads by pglogical", within: .seconds(30)) {
                    try await bed.psql("n1", "SELECT count(*) FROM public.t", database: "pgl") == "1"
                }
            }
            #expect(try await bed.psql("n1", "SELECT roname FROM pg_replication_origin WHERE roname NOT LIKE '%n4%' ORDER BY 1") == origins)

            // On n4 it is a plain database that says so.
            for database in ["other", "plain"] + (bed.isStandIn ? ["pgl"] : []) {
                let extensions = try await bed.psql("n4", "SELECT count(*) FROM pg_extension WHERE extname IN ('spock', 'pglogical')", database: database)
                #expect(extensions == "0", "\(database)")
            }
            #expect(try await bed.psql("n4", "SELECT count(*) FROM public.items WHERE who LIKE '%afterwards'", database: "other") == "0")
            #expect(try await bed.psql("n4", "SELECT (SELECT count(*) FROM pg_subscription), (SELECT count(*) FROM pg_replication_origin)") == "0|3")
            #expect(try await bed.psql("n4", "SELECT count(*) FROM app.cache") == "0")
            for line in [
                "database other of n4 is a plain one now: extension spock … of n1 … taken off it",
                "database other is a plain one on n4, with the rows of the moment of the copy: Spock node xn1",
                "database plain is a plain one on n4 … subscription Legacy and subscription dormant stayed on n1 alone",
                "empty on n4, because unlogged: app.cache in database app",
            ] { #expect(output.standardOutput.hasLine(line), "\(line) is not in\n\(output.standardOutput)") }

            // Nothing of the recovery ran on n4, and its files are as n1's where that does nothing.
            #expect(try await bed.host("n4").run("ls /tmp/recovery-ended /tmp/recovery-ended-too /tmp/cleaned /tmp/restored 2>/dev/null || true") == "")
            for name in [
                "primary_slot_name", "archive_cleanup_command", "promote_trigger_file", "restore_command", "recovery_target_action", "recovery_min_apply_delay", "hot_standby",
            ] {
                let (there, here) = (try await bed.psql("n1", "SHOW \(name)"), try await bed.psql("n4", "SHOW \(name)"))
                #expect(here == there, "\(name)")
            }
            #expect(try await bed.psql("n4", "SHOW recovery_end_command") == "touch /tmp/recovery-ended", "that of the file, not that of postgresql.auto.conf")
            #expect(try await bed.psql("n4", "SHOW recovery_target_time") == "")
            #expect(try await bed.psql("n4", "SHOW max_logical_replication_workers") == limit)
            #expect(limit == "5")
        }
    }

    @Test func `that cannot be taken off a copy is refused beforehand`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            for name in ["twin", "held", "shut", "frozen"] { try await bed.psql("n1", "CREATE DATABASE \(name)", database: "postgres") }
            try await bed.psql("n1", "CREATE EXTENSION spock; SELECT spock.node_create('n3', 'dbname=twin')", database: "twin")
            try await bed.psql("n1", "CREATE EXTENSION spock; CREATE VIEW public.who AS SELECT node_name FROM spock.node", database: "held")
            try await bed.psql("n1", "ALTER DATABASE frozen ALLOW_CONNECTIONS false", database: "postgres")
            try await bed.host("n1").run(asUser: "postgres", "sed -i -e '1i host shut all all reject' -e '1i local shut all reject' \(Bed.dataDirectory)/pg_hba.conf")
            try await bed.psql("n1", "SELECT pg_reload_conf()")
            let someone = try Operator(of: bed), output = try await someone.pggraft("check", someone.playbook)
            #expect(output.status == 1)
            for line in [
                "✗ mesh … n1: database twin of the same instance is a Spock node too, with the same node ids",
                "✗ mesh … n1: in database held an object depends on the extensions that replicate: view … who",
                "✗ mesh … n1: whether database shut of the same instance has Spock is not known: … pg_hba.conf rejects",
                "n1: database frozen takes no connections",
            ] { #expect((output.standardOutput + output.standardError).hasLine(line), "\(line) is not in\n\(output.standardOutput)") }
        }
    }
}
