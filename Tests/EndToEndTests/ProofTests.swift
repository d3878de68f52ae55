import Bed
import EventLoop
import Glibc
import Testing

/// The proof while somebody changes tables.
@Suite("The proof and DDL", .serialized)
struct ProofTests {
    private static let tables = ["a_done", "b_held", "c_one", "d_all", "e_cut", "f_same", "g_gone", "h_other"]

    /// On `node`, in a session of its own whose DDL is nobody else's.
    private func alter(_ node: String, _ statement: String, _ bed: Bed) async throws -> Duration {
        let clock = ContinuousClock(), began = clock.now
        let off = bed.isStandIn ? "" : "SET spock.enable_ddl_replication = off; "
        try await bed.psql(node, "\(off)SET lock_timeout = '5s'; \(statement)")
        return began.duration(to: clock.now)
    }

    @Test func `a table that was changed since the drained point is named and not compared, and no table is locked longer than it is looked at`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            for node in Bed.meshNodes {
                for table in Self.tables {
                    try await bed.psql(
                        node,
                        """
                        \(bed.isStandIn ? "" : "SET spock.enable_ddl_replication = off;")
                        CREATE TABLE app.\(table) (id int PRIMARY KEY, v int);
                        """)
                    try await bed.psql(node, "SELECT spock.repset_add_table('default', 'app.\(table)')")
                }
            }
            for table in Self.tables { try await bed.psql("n1", "INSERT INTO app.\(table) SELECT i, i FROM generate_series(1, 5000) i") }
            try await bed.drain()

            let someone = try Operator(of: bed), run = try someone.start("run", "--yes", someone.playbook)
            // Before the first table is looked at, and after the drained point: it stands still until the table is held.
            try await someone.reaches("open-new-node")
            run.signal(SIGSTOP)
            let nodes = Bed.meshNodes + ["n4"]
            async let locks = onEach(nodes) { node in
                try await bed.host(node).execute(
                    asUser: "postgres", "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtq -v ON_ERROR_STOP=1 -d app",
                    input: "BEGIN; LOCK TABLE app.b_held IN ACCESS EXCLUSIVE MODE;\n\\! until [ -e /tmp/go ]; do sleep 0.02; done\nCOMMIT;", within: .seconds(200))
            }
            for node in nodes {
                try await eventually("app.b_held to be held on \(node)", within: .seconds(60)) {
                    try await bed.psql(node, "SELECT count(*) FROM pg_locks WHERE relation = 'app.b_held'::regclass AND mode = 'AccessExclusiveLock' AND granted") == "1"
                }
            }
            run.signal(SIGCONT)
            // Small tables are looked at together; while somebody keeps one of them, each by itself.
            for node in nodes {
                try await eventually("the proof to wait on \(node) for app.b_held, and to hold nothing else", within: .seconds(120)) {
                    try await bed.psql(
                        node,
                        """
                        SELECT count(*) FROM pg_locks w WHERE relation = 'app.b_held'::regclass AND mode = 'AccessShareLock' AND NOT granted
                        AND NOT EXISTS (SELECT FROM pg_locks h WHERE h.pid = w.pid AND h.granted AND h.relation = 'app.a_done'::regclass)
                        """) == "1"
                }
            }

            let done = try await alter("n1", "ALTER TABLE app.a_done ALTER v TYPE bigint", bed)
            report("ALTER TABLE on a table that the proof is done with: \(done)")
            _ = try await alter("n1", "ALTER TABLE app.c_one ALTER v TYPE bigint", bed)
            for node in nodes { _ = try await alter(node, "ALTER TABLE app.d_all ALTER v TYPE bigint", bed) }
            _ = try await alter("n3", "TRUNCATE app.e_cut", bed)
            _ = try await alter("n2", "DROP TABLE app.g_gone CASCADE", bed)
            // The same file, and another text of the same rows.
            _ = try await alter("n4", "ALTER TABLE app.h_other RENAME v TO w", bed)
            for node in nodes { try await bed.host(node).run("touch /tmp/go") }
            #expect(try await locks.allSatisfy { $0.value.status == 0 })

            let output = try await run.wait(within: .seconds(200)), text = output.standardOutput
            try #require(output.status == 0, "\(text)\n\(output.standardError)")
            for line in [
                "app.c_one  not compared on n1: changed since … equal on n2, n3 and n4", "app.d_all  not compared on n1, n2, n3 and n4: changed since",
                "app.g_gone  not compared on n2: changed since … equal on n1, n3 and n4", "app.h_other  not compared on n4: changed since … equal on n1, n2 and n3",
                "app.a_done  5000 rows  hash", "app.b_held  5000 rows  hash", "app.f_same  5000 rows  hash", "5 tables were not compared",
                "Done. Nothing was lost in what was compared; 5 tables were changed meanwhile",
            ] { #expect(text.hasLine(line), "\(line) is not in\n\(text)") }
            #expect(text.contains(#/app\.e_cut  not compared on [n1-4, and]*n3/#))
        }
    }
}
