import Bed
import Glibc
import Testing

/// Hosts whose PostgreSQL systemd starts and stops.
@Suite("Where systemd runs the servers", .serialized)
struct ServiceTests {
    @Test func `a standby is made, takes the primary's place, is lost and comes back, and systemd knows at the end of each what runs`() async throws {
        try await Bed.exclusively { bed in
            try await bed.pair(hosts: 2, layout: .systemd)
            for setting in ["wal_level = minimal", "max_wal_senders = 0", "wal_keep_size = '256MB'"] { try await bed.psql("db1", "ALTER SYSTEM SET \(setting)") }
            for node in Bed.pairNodes.prefix(2) {
                // What a unit was not told to stop is there again at once.
                let again = "[Service]\nRestart=always\nRestartSec=0\n[Unit]\nStartLimitIntervalSec=0\n"
                let directory = "/etc/systemd/system/postgresql@.service.d"
                try await bed.host(node).run("mkdir -p \(directory) && cat >\(directory)/again.conf && systemctl daemon-reload", input: again)
            }
            try await bed.host("db1").stopPostgres()
            try await bed.host("db1").startPostgres()
            let pair = ReplicaSet(bed: bed, nodes: ["db1", "db2"])
            let someone = try Operator(of: bed, with: "hot-standby", playbook: ["# restart: no": "restart: yes"])

            // Somebody may do a part of what is needed: that is found before anything is stopped.
            let some = "dba ALL=(postgres) NOPASSWD: ALL\ndba ALL=(root) NOPASSWD: /usr/bin/systemctl restart postgresql@15-main\n"
            let all = try await bed.host("db1").run("cat /etc/sudoers.d/dba")
            try await bed.host("db1").run("cat >/etc/sudoers.d/dba", input: some)
            let partly = try await someone.pggraft("check", someone.playbook)
            #expect(
                partly.status == 1 && partly.standardOutput.contains("systemd runs it as postgresql@15-main.service, and dba may not run commands as root there"),
                "\(partly.standardOutput)\(partly.standardError)")
            try await bed.host("db1").run("cat >/etc/sudoers.d/dba", input: all + "\n")

            let began = try await bed.psql("db1", "SELECT pg_postmaster_start_time()")
            let made = try await someone.pggraft("run", "--yes", someone.playbook)
            #expect(made.status == 0, "\(made.standardOutput)\(made.standardError)")
            if made.status != 0 { return }
            #expect(try await bed.psql("db1", "SELECT pg_postmaster_start_time()") != began, "a setting needed a restart")
            try await pair.expectStreaming(["db2": "db1"])
            for node in pair.nodes { try await expectUnit(of: node, bed) }

            // Nor is a standby dropped that could not be stopped.
            try await bed.host("db2").run("cat >/etc/sudoers.d/dba", input: some)
            let dropped = try await someone.pggraft("check", try someone.playbook("drop-standby"))
            #expect(
                dropped.status == 1 && dropped.standardOutput.contains("systemd runs it as postgresql@15-main.service, and dba may not run commands as root there"),
                "\(dropped.standardOutput)\(dropped.standardError)")
            try await bed.host("db2").run("cat >/etc/sudoers.d/dba", input: all + "\n")

            let writers = try await Writers.start(on: ["db1"], of: bed) { _ in try bed.primaryConninfo() }
            let third = "    db3:\n      address: 10.77.0.33\n      data_directory: /var/lib/postgresql/15/main\n"
            let switchover = try someone.playbook("switchover", [third: ""])
            // Whoever goes on with it finds a server that is stopped.
            try await someone.killed(["run", "--yes", switchover], in: "seal")
            try await pair.expectOneWriter()
            let switched = try await someone.pggraft("resume", someone.run())
            #expect(switched.status == 0, "\(switched.standardOutput)\(switched.standardError)")
            try await pair.expectOneWriter("db2")
            try await pair.expectStreaming(["db1": "db2"])
            for node in pair.nodes { try await expectUnit(of: node, bed) }
            try await pair.expectNothingLost(try await writers.stop(), on: "db2")

            // A primary that is there and answers nobody: every process of it is ended, and none begins again.
            try await bed.host("db2").run("kill -STOP $(head -n 1 \(Bed.dataDirectory)/postmaster.pid)")
            let failover = try someone.playbook("failover", [third: "", "primary: db1": "primary: db2"])
            let failed = try await someone.pggraft("run", "--yes", failover)
            #expect(failed.status == 0, "\(failed.standardOutput)\(failed.standardError)")
            let state = try await bed.host("db2").run("systemctl show -p ActiveState --value postgresql@15-main")
            #expect(state == "inactive" || state == "failed", "\(state)")
            #expect(try await bed.host("db2").run("pgrep -u postgres -x postgres || true") == "")
            try await pair.expectOneWriter("db1")

            let rejoin = try someone.playbook("rejoin", ["node: db1": "node: db2"])
            let rejoined = try await someone.pggraft("run", "--yes", rejoin)
            #expect(rejoined.status == 0, "\(rejoined.standardOutput)\(rejoined.standardError)")
            try await pair.expectOneWriter("db1")
            try await pair.expectStreaming(["db2": "db1"])
            for node in pair.nodes { try await expectUnit(of: node, bed) }
        }
    }

    /// systemd says of a node that it is active, and knows its server.
    private func expectUnit(of node: String, _ bed: Bed, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let host = try bed.host(node), pid = try await host.run("head -n 1 \(Bed.dataDirectory)/postmaster.pid")
        #expect(
            try await host.run("systemctl show -p MainPID -p ActiveState --value postgresql@15-main") == "\(pid)\nactive", "\(node)", sourceLocation: sourceLocation)
    }
}
