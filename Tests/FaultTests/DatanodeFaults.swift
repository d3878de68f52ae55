import Bed
import Run
import Testing

/// A datanode's master that is lost, again and again: on the real Postgres-XC where `PGGRAFT_XC_BINDIR` is set.
@Suite("DatanodeFaults", .serialized, .counted, .enabled(if: isWhole, "it is a part of make test-faults"))
struct DatanodeFaults {
    private func seconds(_ duration: Duration) -> String { "\(duration.inTenths) s" }

    /// A failover under eight writers, judged.
    /// - Parameter body: loses the master, and has pggraft fail over until that has ended well.
    /// - Returns: what was seen, for the table.
    private func failover(primary: Bool = false, through coordinators: [String] = XC.coordinators, _ body: (XC, Operator) async throws -> Void) async throws -> String {
        try await withXC(primary: primary) { cluster in
            try await cluster.synchronousSlave()
            let someone = try cluster.failover(), writers = try await cluster.writers(on: coordinators, perNode: 8 / coordinators.count, rate: 200)
            try await eventually("some transactions", within: .seconds(60)) { try writers.ledger().acknowledged > 80 }
            // The writers of the real one leave their own.
            if XC.isStandIn { try await cluster.leaveInDoubt() }
            let began = ContinuousClock.now
            try await body(cluster, someone)
            let took = began.duration(to: .now), before = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(120)) { try writers.ledger().acknowledged > before + 20 }
            let ledger = try await writers.stop()
            let wrong = try await cluster.wrongAfterFailover(ledger, flags: primary ? "t|t" : "f|f", through: coordinators)
            #expect(wrong == [])
            try expectNoSecrets(someone)
            let journal = try someone.journals().last.map { try Journal.read(at: $0) } ?? []
            func last(_ step: String) -> String { journal.last { $0.step == step && [.done, .seen].contains($0.event) }?.text ?? "-" }
            return "\(cluster.description): \(wrong.isEmpty ? "0 acknowledged rows missing" : "\(wrong)") of \(ledger.acknowledgedRows), "
                + "\(ledger.inDoubt) transactions in doubt for their writers; "
                + "\(seconds(took)), longest gap \(ledger.longestGap().inTenths) s; in doubt: \(last("in-doubt")); GTM: \(last("restart-gtm")); \(last("tell"))"
        }
    }

    private func run(_ someone: Operator, _ words: [String]) async throws {
        let output = try await someone.start(words).wait(within: .seconds(300))
        #expect(output.status == 0, "\(words)\n\(output.standardOutput)\(output.standardError)")
    }

    @Test(arguments: (1...10).asked { "datanode failover \($0)" })
    func `ten times: nothing that was acknowledged is missing, and every table is read and written through every coordinator`(number: Int) async throws {
        try await tabled("datanode failover \(number) of 10\(number % 2 == 0 ? ", PRIMARY and PREFERRED" : "")") {
            try await failover(primary: number % 2 == 0) { cluster, someone in
                try await cluster.kill("datanode1")
                try await run(someone, ["run", "--yes", "--restart-gtm", someone.playbook])
            }
        }
    }

    /// Each step, as it begins, a moment later, and when it is done.
    static let kills: [KillPoint] = [
        "fence", "catch-up", "clear", "promote", "in-doubt", "restart-gtm", "tell", "verify", "report", "tell-absent",
    ].flatMap { step in [KillPoint(step: step, moment: .begun), KillPoint(step: step, moment: .soon)] }

    @Test(arguments: kills.asked { "datanode kill \($0.testDescription)" })
    func `killed at each step, it goes on`(point: KillPoint) async throws {
        try await tabled("datanode failover killed in \(point.testDescription)") {
            try await failover { cluster, someone in
                try await cluster.kill("datanode1")
                let watched = WatchedRun(someone: someone)
                try await watched.killed(at: point, ["run", "--yes", "--restart-gtm", someone.playbook])
                try await run(someone, ["resume", try watched.name])
            }
        }
    }

    @Test(.enabled(if: !XC.isStandIn && ["datanode late"].asked { $0 }.count > 0))
    func `a coordinator that crashes in its commits once everybody was told: nothing of them stays prepared`() async throws {
        try await tabled("datanode late: a coordinator crashes in its commits") {
            try await failover { cluster, someone in
                try await cluster.allowSlaves(of: "datanode2")
                // The verification waits for it, until it was killed.
                try await cluster.holdReaders(of: "app.bulk")
                try await cluster.kill("datanode1")
                let watched = WatchedRun(someone: someone)
                try await watched.killed(at: KillPoint(step: "tell", moment: .done), ["run", "--yes", "--restart-gtm", someone.playbook])
                try await cluster.releaseReaders()
                try await cluster.hold(true, commitsOf: "datanode2")
                try await eventually("commits of coord1 to hang", within: .seconds(60)) {
                    try await cluster.sql(on: "node02", "SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE 'T%' AND prepared < now() - interval '1 s'", port: 20010) != "0"
                }
                try await cluster.host("coord1").run("pkill -KILL -o -f 'postgres.*checkpointer'")
                try await cluster.hold(false, commitsOf: "datanode2")
                try await run(someone, ["resume", try watched.name])
                let said = try Journal.read(at: someone.journals()[0]).last { $0.step == "verify" && $0.event == .done }?.text ?? ""
                #expect(said.contains("committed") || said.contains("rolled back"), "\(said)")
            }
        }
    }

    @Test(.enabled(if: ["datanode host"].asked { $0 }.count > 0))
    func `the host of the master and of a coordinator is gone: refused until it is said to be dead, and open until that coordinator is back`() async throws {
        try await tabled("datanode host loses power") {
            try await failover(through: ["coord2"]) { cluster, someone in
                try await cluster.leaveInDoubtOnBoth()
                try await cluster.host("node01").powerOff()
                let refused = try await someone.pggraft("run", "--yes", someone.playbook)
                #expect(refused.status == 1 && refused.standardOutput.contains("--master-is-dead or `master_is_dead: true` in the playbook"), "\(refused.standardOutput)")
                let output = try await someone.pggraft("run", "--yes", "--master-is-dead", "--restart-gtm", someone.playbook)
                for words in ["coord2 reaches datanode1_slave; coord1 cannot be reached", "see to it that the old master at 10.77.0.61:20006 does not start"] {
                    #expect((output.standardOutput + output.standardError).contains(words), "\(words)\n\(output.standardOutput)\(output.standardError)")
                }
                #expect(output.status == 1)
                try await cluster.host("node01").powerOn()
                try await cluster.host("node01").run("install -d -o postgres -g postgres -m 2775 /run/postgresql")
                try await cluster.start("coord1")
                try await run(someone, ["resume", try WatchedRun(someone: someone).name])
            }
        }
    }

    @Test(.enabled(if: ["datanode layout"].asked { $0 }.count > 0))
    func `with one host the master of one datanode is gone and the slave of the other: named, that slave taken out, then failed over`() async throws {
        try await tabled("datanode layout loses a host") {
            try await withXC { cluster in
                let made = try XCSlaves(of: cluster).someone(["# restart: no": "restart: yes"])
                try await run(made, ["run", "--yes", made.playbook])
                let writers = try await cluster.writers(on: ["coord2"], perNode: 4)
                try await eventually("some transactions", within: .seconds(60)) { try writers.ledger().acknowledged > 40 }
                try await cluster.host("node01").powerOff()
                let someone = try cluster.failover(["# master_is_dead: false": "master_is_dead: true"])
                let refused = try await someone.pggraft("run", "--yes", someone.playbook)
                let words = "no such slave writes anything down: every write hangs"
                let said = refused.standardOutput + refused.standardError
                #expect(refused.status == 1 && said.contains(words), "\(said)")
                let drop = try someone.playbook("datanode-drop-slave", ["\nslave: datanode1_slave\n": "\nslave: datanode2_slave\n"])
                try writeFile(try readFile(drop).replacing("/usr/local/pgxc/bin", with: XC.binaryDirectory), to: drop)
                try await run(someone, ["run", "--yes", drop])
                let output = try await someone.pggraft("run", "--yes", "--restart-gtm", someone.playbook)
                #expect(output.status == 1 && output.standardError.contains("coord1 was not told"), "\(output.standardOutput)\(output.standardError)")
                // Sessions that wait for the host that gives no answer are ended; others begin.
                let ledger = try await writers.stop()
                let others = try await Writers.start(on: ["anew"], of: cluster.bed, perNode: 4) { _ in try cluster.conninfo("coord2") }
                try await eventually("others to write", within: .seconds(60)) { try others.ledger().acknowledged > 20 }
                let both = Ledger(entries: ledger.entries + (try await others.stop()).entries, end: ledger.end), holding = try await cluster.verify(both, through: "coord2")
                #expect(holding.isClean, "\(holding)")
                return "\(cluster.description): \(both.acknowledgedRows) rows, missing \(holding.missing.count)"
            }
        }
    }

    @Test(.enabled(if: ["datanode asynchronous"].asked { $0 }.count > 0))
    func `with a slave that nobody waits for, what may be missing is said`() async throws {
        try await tabled("datanode asynchronous") {
            try await withXC { cluster in
                try await cluster.slave("datanode1_slave", of: "datanode1", on: "node02", port: 20010)
                let someone = try cluster.failover()
                try await cluster.kill("datanode1")
                let output = try await someone.pggraft("run", "--yes", "--restart-gtm", someone.playbook)
                let words = "datanode1 waited for no slave: what it has acknowledged last may be missing"
                #expect(output.status == 0 && output.standardOutput.contains(words), "\(output.standardOutput)\(output.standardError)")
                return "said"
            }
        }
    }
}
