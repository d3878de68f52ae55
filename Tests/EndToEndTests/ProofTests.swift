import Bed
import EventLoop
import Glibc
import Run
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

    @Test func `a table that is changed everywhere is compared as it is by then, and no table is locked longer than it is looked at`() async throws {
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
            // Before the first table is looked at.
            try await someone.reaches("subscriptions")
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
            #expect(try !someone.entries().contains { $0.step == "open-new-node" }, "clients are let in after the proof")

            let done = try await alter("n1", "ALTER TABLE app.a_done ALTER v TYPE bigint", bed)
            report("ALTER TABLE on a table that the proof is done with: \(done)")
            for node in nodes {
                _ = try await alter(node, "ALTER TABLE app.d_all ALTER v TYPE bigint", bed)
                _ = try await alter(node, "TRUNCATE app.e_cut", bed)
                _ = try await alter(node, "SELECT spock.repset_remove_table('default', 'app.g_gone')", bed)
                _ = try await alter(node, "DROP TABLE app.g_gone", bed)
                _ = try await alter(node, "ALTER TABLE app.h_other RENAME v TO w", bed)
            }
            for node in nodes { try await bed.host(node).run("touch /tmp/go") }
            #expect(try await locks.allSatisfy { $0.value.status == 0 })

            let output = try await run.wait(within: .seconds(200)), text = output.standardOutput
            try #require(output.status == 0, "\(text)\n\(output.standardError)")
            for line in [
                "app.a_done  5000 rows  hash", "app.b_held  5000 rows  hash", "app.c_one  5000 rows  hash", "app.d_all  5000 rows  hash", "app.e_cut  0 rows  hash",
                "app.f_same  5000 rows  hash", "app.h_other  5000 rows  hash", "1 table was not compared", "app.g_gone  dropped meanwhile",
                "Done. Nothing was lost in what was compared; a table was not compared",
            ] { #expect(text.hasLine(line), "\(line) is not in\n\(text)") }
        }
    }

    @Test func `a table that one node alone has not any more, or with other rows, ends the run, and a resume proves it once it is put right`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed), run = try someone.start("run", "--yes", someone.playbook)
            try await someone.reaches("subscriptions")
            _ = try await alter("n3", "SELECT spock.repset_remove_table('default', 'app.bulk')", bed)
            _ = try await alter("n3", "UPDATE app.bulk SET name = 'another' WHERE id = 77", bed)
            let output = try await run.wait(within: .seconds(200))
            #expect(output.status == 1)
            #expect(output.standardError.contains("app.bulk: n3 and n1 have other values in id 77"), "\(output.standardError)")
            #expect(try !someone.entries().contains { $0.step == "open-new-node" }, "it is not open to clients")
            _ = try await alter("n3", "UPDATE app.bulk SET name = 'row 77' WHERE id = 77", bed)
            _ = try await alter("n3", "SELECT spock.repset_add_table('default', 'app.bulk')", bed)
            let resumed = try await someone.pggraft("resume", try someone.run())
            #expect(resumed.status == 0, "\(resumed.standardOutput)\n\(resumed.standardError)")
            #expect(resumed.standardOutput.contains("Done. Nothing was lost."))
            try await bed.expectMember()
        }
    }
}
