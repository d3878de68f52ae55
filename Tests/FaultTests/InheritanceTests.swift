import Bed
import Glibc
import Testing

/// What a copy inherits from other databases of its source is taken off it also when pggraft is killed while it does that.
@Suite("What a copy inherits, and a kill", .serialized, .counted)
struct InheritanceTests {
    /// Who reads which slot on n2 for other databases: n1 does, and nobody else.
    private func readers(_ bed: Bed) async throws -> String {
        try await bed.psql(
            "n2",
            """
            SELECT s.slot_name, s.database, host(r.client_addr) FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid
             WHERE s.database <> 'app' ORDER BY 1
            """)
    }

    /// The databases of n4 that still have something of n1, `app` left out.
    private func carriers(_ bed: Bed, _ databases: [String]) async throws -> [String] {
        var found: [String] = []
        for database in databases {
            let count = try await bed.psql(
                "n4",
                """
                SELECT (SELECT count(*) FROM pg_extension WHERE extname IN ('spock', 'pglogical'))
                  + (SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
                """, database: database)
            if count != "0" { found.append(database) }
        }
        return found
    }

    /// Starts pggraft and kills it while somebody who reads `other` on n4 holds up what is taken off there, and everything else is off already.
    private func killedInTheMiddle(_ bed: Bed, _ run: WatchedRun, _ arguments: [String], _ databases: [String]) async throws {
        let program = try await run.starts(arguments, until: KillPoint(step: "catch-up", moment: .begun)), seen = try run.entries.count
        // It stands still until the reader is there.
        program.signal(SIGSTOP)
        async let reader = bed.host("n4").execute(
            asUser: "postgres",
            "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtqc \"BEGIN; LOCK TABLE spock.node IN ACCESS SHARE MODE; SELECT pg_sleep(100)\" other", within: .seconds(120))
        try await eventually("the reader to have its lock", within: .seconds(60)) {
            try await bed.psql("n4", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(100)%'", database: "postgres") == "1"
        }
        program.signal(SIGCONT)
        let isThere = try await run.wait(for: KillPoint(step: "remove-identity", moment: .kept("resume positions")), after: seen, of: program)
        guard isThere else {
            program.signal(SIGKILL)
            let output = try await program.wait(within: .seconds(20))
            throw BedError.unexpected("pggraft did not come to remove the identity:\n\(output.standardOutput)\(output.standardError)")
        }
        try await eventually("everything but other to be plain, and that one to be waited for", within: .seconds(20), every: .milliseconds(20)) {
            let waiting = try await bed.psql("n4", "SELECT count(*) FROM pg_locks WHERE NOT granted", database: "postgres"), carrying = try await carriers(bed, databases)
            return waiting != "0" && carrying == ["other"]
        }
        program.signal(SIGKILL)
        _ = try await program.wait(within: .seconds(20))
        try await bed.psql("n4", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()", database: "postgres")
        _ = try await reader
    }

    @Test(
        "killed while it is taken off, it is undone without a trace, and resumed to the end of an undisturbed run",
        .enabled(if: isWhole, "it is a part of make test-faults"))
    func killed() async throws {
        try await withLoad(
            "kill while identities of other databases are taken off, and undo; again, and resume",
            prepare: { bed in
                try await bed.otherMesh()
                try await bed.nativeSubscriptions()
            }, playbook: ["# lease: 30s": "lease: 10s"]
        ) { bed, writers, run in
            let databases = ["other", "plain"] + (bed.isStandIn ? ["pgl"] : [])
            let before = try await Snapshot(of: bed), read = try await readers(bed)
            try await killedInTheMiddle(bed, run, run.begin, databases)
            try await expectUndone(by: run, in: bed, to: before)
            #expect(try await readers(bed) == read)

            try await run.killed(at: KillPoint(step: "catch-up", moment: .soon), run.begin)
            try await killedInTheMiddle(bed, run, ["resume", try run.name], databases)
            try await run.succeeds(["resume", try run.name])
            try await expectMesh(of: bed, writers)
            #expect(try await carriers(bed, databases).isEmpty)
            #expect(try await readers(bed) == read)
            #expect(
                try await bed.psql("n4", "SELECT (SELECT count(*) FROM pg_subscription), (SELECT count(*) FROM pg_replication_origin), count(*) FROM pg_replication_slots")
                    == "0|3|3")
            for (node, who) in [("n1", "xn1"), ("n2", "xn2")] {
                try await bed.psql(node, "INSERT INTO public.items (who) VALUES ('\(who)')", database: "other")
            }
            for node in ["n1", "n2"] {
                try await eventually("\(node) to have what was written in the other mesh", within: .seconds(30)) {
                    try await bed.psql(node, "SELECT string_agg(who, ' ' ORDER BY who) FROM public.items", database: "other") == "xn1 xn2"
                }
            }
            #expect(try await bed.psql("n4", "SELECT count(*) FROM public.items", database: "other") == "0")
            return "undone without a trace, and resumed: the other databases are plain ones on n4, their slots read by n1"
        }
    }
}
