import Bed
import Glibc
import Report
import Run
import Testing

/// What the commands themselves refuse, and how they say so.
@Suite("The commands", .serialized)
struct CommandTests {
    /// How many TCP connections were begun on the operator's side.
    private func connectionsBegun() throws -> Int {
        let lines = try readFile("/proc/self/net/snmp").split(separator: "\n").filter { $0.hasPrefix("Tcp:") }.map { $0.split(separator: " ") }
        let column = try #require(lines[0].firstIndex(of: "ActiveOpens"))
        return try #require(Int(lines[1][column]))
    }

    @Test func `a mistake in the playbook is shown with its place, and nobody is called`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed, playbook: ["    n2:\n      address: 10.77.0.12\n": "    n2:\n      address: 10.77.0.12\n      port: 70000\n"])
            let line = try readFile(someone.playbook).split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains("70000") }
            let place = "\(someone.playbook):\(try #require(line) + 1):13: error: "
            let begun = try connectionsBegun()
            for arguments in [["check"], ["plan"], ["run", "--yes"]] {
                let output = try await arguments.count == 1 ? someone.pggraft(arguments[0], someone.playbook) : someone.pggraft("run", "--yes", someone.playbook)
                #expect(output.status == 2)
                #expect(output.standardError.hasPrefix(place), "\(output.standardError)")
                #expect(output.standardError.contains("70000"))
                #expect(output.standardOutput.isEmpty)
            }
            #expect(try connectionsBegun() == begun)
            #expect(try someone.journals() == [])

            // The same counter sees a sound playbook's connections.
            _ = try await Operator(of: bed).pggraft("check", Operator(of: bed).playbook)
            #expect(try connectionsBegun() > begun)
        }
    }

    @Test func `a run asks first, one at a time works on a cluster, and an unfinished one comes before the next`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed), before = try await Fingerprint(bed)
            let unasked = try await someone.pggraft("run", someone.playbook)
            #expect(unasked.status == 1)
            #expect(unasked.standardError.contains("nobody is there to say yes\n  HINT: run it in a terminal, or with --yes. Nothing was changed."), "\(unasked.standardError)")
            #expect(try someone.journals() == [])
            let changes = try await before.changes()
            #expect(changes.isEmpty)

            let first = try someone.start("run", "--yes", someone.playbook)
            try await someone.reaches("stanza")
            let second = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(second.status == 1)
            #expect(second.standardError.contains("another pggraft works on cluster app: "), "\(second.standardError)")
            #expect(second.standardError.contains("pid \(first.pid)"), "\(second.standardError)")
            #expect(second.standardError.contains("HINT: Wait until it has ended"))
            let run = try #require(try someone.entries().first?.value?.decoded(as: RunHeader.self).run)
            #expect(second.standardError.contains("run \(run)\n"), "\(second.standardError)")
            #expect(second.standardError.contains(#/since \d{4}-\d\d-\d\dT/#), "\(second.standardError)")

            // From another machine, too: the source knows.
            let other = try Operator(of: bed)
            let elsewhere = try await other.pggraft("run", "--yes", other.playbook)
            #expect(elsewhere.status == 1)
            #expect(elsewhere.standardError.contains("n1: another pggraft works on cluster app (pggraft run \(run), pid \(first.pid), "), "\(elsewhere.standardError)")
            #expect(elsewhere.standardError.contains(#/, since \d{4}-\d\d-\d\d /#), "\(elsewhere.standardError)")
            #expect(try other.journals() == [])

            first.signal(SIGINT)
            let interrupted = try await first.wait(within: .seconds(120))
            #expect(interrupted.status == 130, "\(interrupted.standardOutput)")
            #expect(interrupted.standardError.contains("pggraft resume \(run)"))
            #expect(interrupted.standardError.contains("pggraft undo \(run)"))

            let third = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(third.status == 1)
            #expect(third.standardError.contains("run \(run) of cluster app is not finished: interrupted in step "), "\(third.standardError)")
            #expect(third.standardError.contains("HINT: `pggraft resume \(run)` goes on with it, `pggraft undo \(run)` takes it back."))
            #expect(try someone.journals().count == 1)

            // What a process of the run leaves on the server when its machine loses power: the lock, and a session with a lock of its own.
            func session(named name: String, holding statement: String) async throws -> CommandOutput {
                try await bed.host("n1").execute(
                    asUser: "postgres",
                    "PGAPPNAME='\(name)' PGPASSWORD=secret-of-spock_admin exec \(bed.binaryDirectory)/psql -h 127.0.0.1 -U spock_admin -XAtq -v ON_ERROR_STOP=1 -d app",
                    input: "BEGIN; \(statement); SELECT pg_sleep(100);", within: .seconds(120))
            }
            async let lock = session(named: "pggraft run \(run), pid 1, root@gone", holding: "SELECT pg_advisory_lock(\(Int64(bitPattern: fnv1a("pggraft app".utf8))))")
            async let rest = session(named: "pggraft", holding: "LOCK TABLE spock.subscription")
            try await eventually("two sessions to be left over", within: .seconds(30)) {
                try await bed.psql("n1", "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pggraft%' AND wait_event = 'PgSleep'") == "2"
            }
            let undone = try await someone.pggraft("undo", run)
            for output in try await [lock, rest] {
                #expect(output.status != 0)
                #expect(output.standardError.contains("terminating connection due to administrator command"), "\(output.standardError)")
            }
            #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
            let free = try await someone.pggraft("run", someone.playbook)
            #expect(free.standardError.contains("nobody is there to say yes"), "\(free.standardError)")
            for output in [unasked, second, interrupted, third, undone, free] { #expect(!(output.standardOutput + output.standardError).contains("secret-of-")) }
            #expect(try !someone.journalText().contains("secret-of-"))
        }
    }
}
