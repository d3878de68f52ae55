import Bed
import Run
import Testing

/// Slaves of datanodes, made while pggraft is killed, a slave writes nothing down, and the archive cannot be reached: on the real Postgres-XC where `PGGRAFT_XC_BINDIR` is set.
@Suite("DatanodeStandbyFaults", .serialized, .counted, .enabled(if: isWhole, "it is a part of make test-faults"))
struct DatanodeStandbyFaults {
    private static let restarting: KeyValuePairs<String, String> = ["# restart: no": "restart: yes"]

    @discardableResult
    private func run(_ someone: Operator, _ words: [String]) async throws -> String {
        let output = try await someone.start(words).wait(within: .seconds(300))
        #expect(output.status == 0, "\(words)\n\(output.standardOutput)\(output.standardError)")
        return output.standardOutput
    }

    private func expectUndone(_ slaves: XCSlaves, _ someone: Operator, _ before: String) async throws {
        try await run(someone, ["undo", "--yes", "--purge-data", try WatchedRun(someone: someone).name])
        // The settings that wait for a restart are taken by one.
        for (datanode, _, _) in XCSlaves.pairs {
            try await slaves.cluster.stop(datanode)
            try await slaves.cluster.start(datanode)
        }
        let after = try await slaves.looks()
        #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
    }

    @Test(arguments: try KillPoint.steps(of: "datanode-standby").asked { "datanode standby kill \($0)" })
    func `killed in each step, they are made, and taken back`(step: String) async throws {
        try await tabled("datanode-standby killed in \(step)") {
            try await withXC { cluster in
                let slaves = XCSlaves(of: cluster)
                try await slaves.forgetStandbys()
                let before = try await slaves.looks(), someone = try slaves.someone(Self.restarting), watched = WatchedRun(someone: someone),
                    begin = ["run", "--yes", someone.playbook]
                // A step that has nothing to do is not killed in.
                guard !["reach-master"].contains(step) else { return "it only looks" }
                try await watched.killed(at: KillPoint(step: step, moment: .begun), begin)
                try await expectUndone(slaves, someone, before)
                // Between the two slaves, or in one of them; then once more before the end.
                try await watched.killed(at: KillPoint(step: step, moment: .soon), begin)
                if step != "verify" { try await watched.killed(at: KillPoint(step: "verify", moment: .begun), ["resume", try watched.name]) }
                let output = try await run(someone, ["resume", try watched.name])
                #expect(try await slaves.wrong() == [], "\(output)")
                try await expectUndone(slaves, someone, before)
                return "\(cluster.description): undone, and made; undone again"
            }
        }
    }

    @Test(.enabled(if: ["datanode standby silent"].asked { $0 }.count > 0))
    func `a slave that writes nothing down is waited for by nobody`() async throws {
        try await tabled("datanode-standby, a slave that writes nothing down") {
            try await withXC { cluster in
                let slaves = XCSlaves(of: cluster), someone = try slaves.someone(["# restart: no": "restart: yes", "# synchronous: yes": "synchronous: no"])
                try await run(someone, ["run", "--yes", someone.playbook])
                #expect(try await slaves.wrong(synchronous: false) == [])
                // It streams, as the master sees it.
                let (_, slave, host) = XCSlaves.pairs[1], receivers = "pgrep -P $(head -n 1 \(slaves.data(slave))/postmaster.pid) -f 'wal ?receiver'"
                try await cluster.host(host).run("kill -STOP $(\(receivers))")
                try writeFile(try readFile(someone.playbook).replacing("synchronous: no", with: "synchronous: yes"), to: someone.playbook)
                let refused = try await someone.pggraft("run", "--yes", someone.playbook), said = refused.standardOutput + refused.standardError
                #expect(refused.status == 1 && said.contains("datanode2: a commit did not return within 10 s"), "\(said)")
                #expect(said.contains("no commit on datanode2 waits for datanode2_slave any more"), "\(said)")
                #expect(try await cluster.sql(on: "datanode2", "SHOW synchronous_standby_names") == "")
                try await cluster.sql(on: "coord1", "INSERT INTO app.events (node, seq) SELECT 'here', i FROM generate_series(1, 20) i", within: .seconds(20))
                try await cluster.host(host).run("kill -CONT $(\(receivers))")
                try await run(someone, ["resume", try WatchedRun(someone: someone).name])
                #expect(try await slaves.wrong() == [])
                return "\(cluster.description): asynchronous again at once; resumed when it wrote: synchronous"
            }
        }
    }

    @Test(.enabled(if: ["datanode standby archive"].asked { $0 }.count > 0))
    func `what is archived while ssh is cut off comes later, whole`() async throws {
        try await tabled("datanode-standby, ssh to the archive cut off") {
            try await withXC { cluster in
                let slaves = XCSlaves(of: cluster), (datanode, _, host) = XCSlaves.pairs[0], archive = "/var/lib/postgresql/pgxc/datanode1_arclog"
                let someone = try slaves.someone(["# restart: no": "restart: yes", "      # archive: none\n": "      archive: \(archive)\n"])
                try await run(someone, ["run", "--yes", someone.playbook])
                func files() async throws -> [String] { try await cluster.host(host).run("ls \(archive)").split(separator: "\n").map(String.init) }
                let place = try cluster.place(of: datanode)
                try await cluster.bed.block(from: place.host, to: host, port: 22)
                let segment = try await slaves.switchSegment(datanode)
                try await eventually("\(datanode) to fail to archive", within: .seconds(60)) {
                    try await cluster.host(place.host).run("grep -c 'archive command failed' /var/log/postgresql/datanode.log || :") != "0"
                }
                #expect(try await !files().contains(segment))
                try await cluster.bed.healNetwork()
                // Whoever has failed is woken by the next one.
                try await slaves.switchSegment(datanode)
                try await eventually("\(segment) on \(host)", within: .seconds(120)) { try await files().contains(segment) }
                #expect(try await files().allSatisfy { !$0.hasSuffix(".part") })
                let wal = "\(place.dataDirectory)/\(XC.isStandIn ? "pg_wal" : "pg_xlog")"
                #expect(try await cluster.host(host).run("sha256sum <\(archive)/\(segment)") == cluster.host(place.host).run("sha256sum <\(wal)/\(segment)"))
                return "\(cluster.description): \(segment) came whole"
            }
        }
    }
}
