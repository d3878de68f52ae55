import Bed
import Testing

/// Clusters that are not like the shipped playbook's, and were all tried once: they go on working.
@Suite("Clusters as they are", .serialized)
struct SetupsTests {
    /// A mesh of two in a database of another kind: odd names, host names for addresses, a port and a socket directory of their own,
    /// three hundred tables, column types that are hard to compare.
    private struct OddMesh: Sendable {
        static let database = "My-App's Größe"
        static let (port, sockets) = (5544, "/var/lib/postgresql/sockets")
        static let members = ["n1", "n2"]
        let bed: Bed

        func psql(_ node: String, _ sql: String, database: String = Self.database) async throws -> String {
            try await bed.host(node).run(
                asUser: "postgres", "PGDATABASE=\(quoted(database)) exec \(bed.binaryDirectory)/psql -h \(Self.sockets) -p \(Self.port) -XAtq -v ON_ERROR_STOP=1",
                input: sql, within: .seconds(120))
        }

        private func quoted(_ text: String) -> String { "'" + text.replacing("'", with: #"'\''"#) + "'" }

        /// As libpq reads it.
        private func dsn(_ node: String) -> String { #"host=\#(node) port=\#(Self.port) user=spock_admin dbname='My-App\'s Größe'"# }

        func conninfo(_ node: String) throws -> String {
            #"host=\#(try bed.host(node).address) port=\#(Self.port) user=spock_admin passfile=\#(bed.pgpass) dbname='My-App\'s Größe'"#
        }

        /// Turns the usual mesh into this one.
        func make() async throws {
            let (app, sets) = (try readFile(Bed.fixture("bed/app.sql")), try readFile(Bed.fixture("bed/repsets.sql")))
            for node in Bed.meshNodes { try await bed.psql(node, "SELECT spock.sub_drop(sub_name) FROM spock.subscription") }
            try await bed.host("n3").stopPostgres()
            for node in Self.members + ["n4"] { try await bed.host(node).run(asUser: "postgres", "mkdir \(Self.sockets)") }
            for node in Self.members {
                try await bed.psql(
                    node,
                    """
                    ALTER SYSTEM SET port = \(Self.port);
                    ALTER SYSTEM SET unix_socket_directories = '\(Self.sockets)';
                    """, database: "postgres")
                try await bed.host(node).stopPostgres()
                try await bed.host(node).startPostgres()
                _ = try await psql(node, "SELECT spock.node_drop('\(node)'); DROP EXTENSION spock CASCADE", database: "app")
                _ = try await psql(node, #"CREATE DATABASE "\#(Self.database)" OWNER app"#, database: "postgres")
                _ = try await psql(node, app + Self.tables)
                _ = try await psql(node, "CREATE EXTENSION spock; SELECT spock.node_create('\(node)', $dsn$\(dsn(node))$dsn$);\n" + sets + Self.inSets)
            }
            for (subscriber, provider) in [("n1", "n2"), ("n2", "n1")] {
                _ = try await psql(
                    subscriber,
                    "SELECT spock.sub_create('sub_\(provider)_\(subscriber)', $dsn$\(dsn(provider))$dsn$, '{default,default_insert_only,ddl_sql,regional}')")
                _ = try await psql(subscriber, "SET statement_timeout = '60s'; SELECT spock.sub_wait_for_sync(sub_name) FROM spock.subscription")
            }
            for node in Self.members {
                _ = try await psql(node, #"INSERT INTO "Schöne Daten"."quote""d" VALUES ('from \#(node)', '{"a": [1, null]}')"#)
            }
        }

        /// Three hundred tables, and what a text hash or a quoting mistake would get wrong.
        private static let tables = #"""

            SET ROLE app;
            CREATE SCHEMA "Schöne Daten";
            CREATE TABLE "Schöne Daten"."quote""d" ("Der Schlüssel" text PRIMARY KEY, "select" jsonb);
            CREATE TYPE app.mood AS ENUM ('sad', 'ok');
            CREATE TYPE app.pair AS (a integer, b text);
            CREATE DOMAIN app.positive AS numeric CHECK (VALUE > 0);
            CREATE TABLE app.hard (
                id uuid PRIMARY KEY, b bytea, f float8, r real, i interval, t timetz, z timestamptz, n numeric, a text[][], m app.mood, p app.pair,
                d app.positive, x xml, ip inet, bits varbit, rg tstzrange, mr int8multirange, j jsonb, ts tsvector, pt point, big text,
                "order" char(5), g integer GENERATED ALWAYS AS (length(big)) STORED);
            INSERT INTO app.hard
            SELECT md5(i::text)::uuid, decode(md5(i::text), 'hex'), CASE i % 3 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE 0.1 + i END, 1e-3 * i, make_interval(mins => i),
                '12:00+02', '2026-03-29 02:30+01'::timestamptz + make_interval(hours => i), i / 3.0, ARRAY[['a', NULL], ['"', '\']], 'ok', (i, 'x,"y')::app.pair, i + 1,
                '<a>&amp;</a>', '::1', B'1011', '[2026-01-01,)', '{[1,3),[5,8)}', '{"k": 1.0}', to_tsvector('simple', 'a b'), '(1,2)', repeat('ü', i * 100), 'ab'
            FROM generate_series(0, 199) i;
            SELECT format('CREATE TABLE app.t%s (id integer PRIMARY KEY, v text); INSERT INTO app.t%s SELECT g, md5(g::text) FROM generate_series(1, %s) g', i, i, i)
            FROM generate_series(1, 300) i \gexec
            RESET ROLE;
            """#
        private static let inSets = #"""

            SELECT spock.repset_add_table('default', '"Schöne Daten"."quote""d"');
            SELECT spock.repset_add_table('default', 'app.hard');
            SELECT spock.repset_add_table('default', ('app.t' || i)::regclass) FROM generate_series(1, 300) i;
            """#

        static let playbook = """
            procedure: add-spock-node
            cluster:
              name: odd
              database: "My-App's Größe"
              user: spock_admin
              nodes:
                n1:
                  address: n1
                  port: \(port)
                n2:
                  address: n2
                  port: \(port)
            source: n2
            new_node:
              name: n4
              address: n4
              port: \(port)
              data_directory: \(Bed.dataDirectory)
            copy:
              repository:
                host: repo
                address: repo
              replication_user: replicator
            handover:
              mode: read-only
            """
    }

    @Test func `two nodes, host names, an odd database, 300 tables, hard types, another port and socket directory`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let odd = OddMesh(bed: bed), nodes = OddMesh.members + ["n4"]
            try await odd.make()
            let someone = try Operator(of: bed)
            try writeFile(OddMesh.playbook, to: someone.playbook)
            let writers = try await Writers.start(on: OddMesh.members, of: bed, perNode: 1, connecting: odd.conninfo)
            let output = try await someone.pggraft("run", "--yes", someone.playbook)
            let ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            #expect(output.standardOutput.contains("306 replicated tables are equal on n2, n1 and n4"), "\(output.standardOutput)")
            let verification = try await ledger.verify(on: nodes, of: bed) { try await odd.psql($0, $1) }
            #expect(verification.isClean, "\(verification)")

            _ = try await odd.psql("n4", #"INSERT INTO "Schöne Daten"."quote""d" VALUES ('from n4', NULL)"#)
            try await bed.drain(nodes) { try await odd.psql($0, $1) }
            for node in nodes {
                #expect(try await odd.psql(node, #"SELECT count(*) FROM "Schöne Daten"."quote""d""#) == "3", "\(node)")
                #expect(
                    try await odd.psql(node, "SELECT count(*), md5(string_agg(h::text, '' ORDER BY id)) FROM app.hard h")
                        == odd.psql("n1", "SELECT count(*), md5(string_agg(h::text, '' ORDER BY id)) FROM app.hard h"), "\(node)")
            }
            report("two nodes with odd names: \(ledger.acknowledged) acknowledged, window \(try someone.window(in: output.standardOutput)) s")
        }
    }

    /// A host with a synchronous standby of n1.
    private func addStandby(_ bed: Bed) async throws {
        let s1 = try bed.hasHost("s1") ? bed.host("s1") : await bed.addHost("s1", address: "10.77.0.46")
        let data = Bed.dataDirectory, conninfo = "host=\(try bed.host("n1").address) user=replicator application_name=s1"
        try await s1.run(asUser: "root", "install -d -o postgres -g postgres -m 700 \(data)")
        try await s1.run(
            asUser: "postgres",
            """
            export PGPASSWORD=secret-of-replicator
            \(bed.binaryDirectory)/pg_basebackup -d '\(conninfo)' -D \(data) -R -X stream -c fast &&
            \(bed.binaryDirectory)/pg_ctl -s -w -D \(data) -l \(data)/start.log -o '-c shared_preload_libraries=' start || { cat \(data)/start.log; exit 1; }
            """, within: .seconds(120))
        let configured = #"mkdir \#(data)/conf.d && echo "include_dir = 'conf.d'" >>\#(data)/postgresql.conf && cat >\#(data)/conf.d/10-sync.conf"#
        try await bed.host("n1").run(asUser: "postgres", configured, input: "synchronous_standby_names = 's1'\nwork_mem = '7MB'\n")
        try await bed.psql("n1", "ALTER SYSTEM SET log_min_duration_statement = '5s'; SELECT pg_reload_conf()")
        try await eventually("s1 to be the synchronous standby of n1", within: .seconds(30)) { try await syncState(bed) == "s1|sync" }
    }

    private func syncState(_ bed: Bed) async throws -> String {
        try await bed.psql("n1", "SELECT application_name, sync_state FROM pg_stat_replication WHERE state = 'streaming' AND sync_state <> 'async'")
    }

    @Test func `a synchronous standby beside, included settings, tables made during the copy, long looks, clients that come and go, a login without sudo`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await addStandby(bed)
            let someone = try Operator(of: bed), psql = "\(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -d app", nodes = Bed.meshNodes + ["n4"]
            try writeFile(try readFile("\(someone.directory)/ssh_config").replacing("User dba", with: "User postgres"), to: "\(someone.directory)/ssh_config")
            for host in nodes + ["repo"] { try await bed.host(host).run("rm /etc/sudoers.d/dba") }
            let check = try await someone.pggraft("check", someone.playbook)
            try #require(check.status == 0, "\(check.standardOutput)\n\(check.standardError)")
            let writers = try await Writers.start(of: bed, perNode: 1)
            async let storm = bed.host("n3").run(
                asUser: "postgres", "for i in 1 2 3; do while [ ! -e /tmp/enough ]; do \(psql) -c 'SELECT 1' >/dev/null || exit 1; done & done; wait", within: .seconds(300))
            let run = try someone.start("run", "--yes", someone.playbook)
            try await someone.reaches("streaming")
            async let look = bed.host("n2").execute(
                asUser: "postgres", "\(psql) -c \"SELECT count(*) FROM generate_series(1, 60) i WHERE pg_sleep(0.5) IS NOT NULL\"", within: .seconds(120))
            for node in Bed.meshNodes {
                try await bed.psql(
                    node,
                    "CREATE TABLE app.later (id integer PRIMARY KEY, v text); SELECT spock.repset_add_table('default', 'app.later'); ALTER TABLE app.bulk ADD COLUMN extra text DEFAULT 'x'"
                )
            }
            for node in Bed.meshNodes { try await bed.psql(node, "INSERT INTO app.later VALUES (\(node.dropFirst()), 'of \(node)')") }
            let output = try await run.wait(within: .seconds(300))
            try await bed.host("n3").run("touch /tmp/enough")
            let ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            _ = try await storm
            // What it may still write nobody knows: it is ended after its grace, and does not hold the window up.
            #expect(try await look.standardError.contains("terminating connection due to administrator command"))

            let verification = try await ledger.verify(on: nodes, of: bed)
            #expect(verification.isClean, "\(verification)")
            #expect(try await syncState(bed) == "s1|sync")
            for node in nodes { #expect(try await bed.psql(node, "SELECT count(*) FROM app.later") == "3", "\(node)") }
            #expect(try await bed.psql("n4", "SHOW synchronous_standby_names; SHOW work_mem; SHOW log_min_duration_statement") == "\n7MB\n5s")
            report("a synchronous standby beside: \(ledger.acknowledged) acknowledged, window \(try someone.window(in: output.standardOutput)) s")
            try await bed.host("s1").run(
                asUser: "postgres", "\(bed.binaryDirectory)/pg_ctl -s -D \(Bed.dataDirectory) -m immediate stop; find \(Bed.dataDirectory) -mindepth 1 -delete")
        }
    }
}
