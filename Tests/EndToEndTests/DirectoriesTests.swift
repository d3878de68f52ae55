import Bed
import Run
import Testing

/// What a source has outside of its data directory: `check` sees whether it has a place on the new node, and the run makes what is missing.
@Suite("Directories of a copy", .serialized)
struct DirectoriesTests {
    private static let anchor = "  # Where tablespaces go that cannot go where they are on the source"

    @Test func `are seen by check, made by the run, and taken back by undo`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let (n1, n4) = (try bed.host("n1"), try bed.host("n4"))
            try await n1.run("mkdir -p /srv/fast /srv/slow /srv/log/pg /srv/sockets && chown -R postgres /srv/fast /srv/slow /srv/log /srv/sockets")
            try await n1.run(
                asUser: "postgres",
                """
                printf "unix_socket_directories = '/run/postgresql, /srv/sockets'\\nlogging_collector = on\\nlog_directory = '/srv/log/pg'\\n" >>\(Bed.dataDirectory)/postgresql.conf
                mkdir \(Bed.dataDirectory)/inside
                """)
            try await n1.stopPostgres()
            try await n1.startPostgres()
            try await bed.waitUntilWhole()
            for space in ["fast", "slow"] {
                try await bed.psql("n1", "CREATE TABLESPACE \(space) LOCATION '/srv/\(space)'; CREATE TABLE public.\(space) TABLESPACE \(space) AS SELECT 1 AS a")
            }
            try await bed.psql("n1", "CREATE TABLESPACE inner_one LOCATION '\(Bed.dataDirectory)/inside'")
            // Another cluster's tablespace is where slow would go.
            try await n4.run("mkdir -p /srv/slow/PG_15_202209061/16384 && touch /srv/slow/PG_15_202209061/16384/1 && chown -R postgres /srv/slow")

            let someone = try Operator(of: bed), refused = try await someone.pggraft("check", someone.playbook), text = refused.standardOutput
            #expect(refused.status == 1)
            let wanted = [
                "✗ tablespace … n1 … inner_one (\(Bed.dataDirectory)/inside) is inside of the data directory, and is not copied from there",
                "HINT: move what is in it: ALTER TABLE … then DROP TABLESPACE inner_one",
                "✗ directory … n4 … /srv/fast (tablespace fast) is not there, and postgres may not make it in /srv",
                "HINT: as root on n4: install -d -o postgres -m 0700 /srv/fast; or name another directory under new_node.tablespaces",
                "✗ directory … n4 … /srv/slow (tablespace slow) holds a tablespace of another cluster (PG_15_202209061)",
                "✗ directory … n4 … /srv/sockets (unix_socket_directories) is not there",
                "HINT: as root on n4: install -d -o postgres -m 0755 /srv/sockets",
                "✗ directory … n4 … /srv/log/pg (log_directory) is not there",
                "✓ directory … n4 … /run/postgresql (unix_socket_directories) is there",
            ]
            let missing = wanted.filter { !text.hasLine($0) }
            #expect(missing.isEmpty, "\(text)")

            // Half of it is done by root as the hints say, the rest has another place.
            try await bed.psql("n1", "DROP TABLESPACE inner_one")
            try await n4.run("install -d -o postgres -m 0755 /srv/sockets && install -d -o postgres -m 0700 /srv/log")
            try someone.write(playbook: [
                Self.anchor: "  tablespaces:\n    fast: /var/lib/postgresql/spaces/fast\n    /srv/slow: /var/lib/postgresql/spaces/slow\n    none: /srv/none\n\(Self.anchor)"
            ])
            let wrong = try await someone.pggraft("check", someone.playbook)
            #expect(wrong.status == 1)
            #expect(wrong.standardOutput.hasLine("✗ tablespace … n1 … there is none that is called none or is in it"), "\(wrong.standardOutput)")
            #expect(wrong.standardOutput.hasLine("HINT: new_node.tablespaces: n1 has fast and slow"), "\(wrong.standardOutput)")
            try someone.write(playbook: [
                Self.anchor: "  tablespaces:\n    fast: /var/lib/postgresql/spaces/fast\n    /srv/slow: /var/lib/postgresql/spaces/slow\n\(Self.anchor)"
            ])

            let before = try await n4.run("ls -A /srv /srv/* /var/lib/postgresql")
            let done = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(done.status == 0, "\(done.standardOutput)\(done.standardError)")
            #expect(done.standardOutput.contains("n4: make the directory /var/lib/postgresql/spaces/fast (tablespace fast)\n"), "\(done.standardOutput)")
            #expect(
                done.standardOutput.contains(#/--tablespace-map=\d+=/var/lib/postgresql/spaces/fast --tablespace-map=\d+=/var/lib/postgresql/spaces/slow /#),
                "\(done.standardOutput)")
            #expect(
                try await bed.psql("n4", "SELECT spcname, pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname IN ('fast', 'slow') ORDER BY 1")
                    == "fast|/var/lib/postgresql/spaces/fast\nslow|/var/lib/postgresql/spaces/slow")
            #expect(try await bed.psql("n4", "SELECT (SELECT a FROM public.fast) + (SELECT a FROM public.slow)") == "2")
            #expect(try await bed.psql("n4", "SHOW log_directory") == "/srv/log/pg")
            #expect(try await n4.run("ls -A /srv/sockets").contains(".s.PGSQL.5432"))

            let run = try #require(try someone.entries().first?.value?.decoded(as: RunHeader.self).run)
            let undone = try await someone.pggraft("undo", "--yes", "--purge-data", run)
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            // The server's log is its own.
            try await n4.run("rm -rf /srv/log/pg")
            #expect(try await n4.run("ls -A /srv /srv/* /var/lib/postgresql") == before)
        }
    }
}
