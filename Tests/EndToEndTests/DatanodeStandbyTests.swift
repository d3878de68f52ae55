import Bed
import Foundation
import Run
import Testing

/// The slaves of the two datanodes of the bed, each on the other's host, as the document has them.
struct MadeSlaves: Sendable {
    let cluster: XC
    static let pairs = [(datanode: "datanode1", slave: "datanode1_slave", host: "node02"), (datanode: "datanode2", slave: "datanode2_slave", host: "node01")]

    func data(_ slave: String) -> String { "/var/lib/postgresql/pgxc/\(slave)" }

    func someone(_ edits: KeyValuePairs<String, String> = [:]) throws -> Operator {
        let someone = try Operator(of: cluster.bed, with: "datanode-standby", playbook: edits)
        try writeFile(try readFile(someone.playbook).replacing("/usr/local/pgxc/bin", with: XC.binaryDirectory), to: someone.playbook)
        return someone
    }

    @discardableResult
    func succeeds(_ someone: Operator, _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
        let output = try await someone.start(arguments).wait(within: .seconds(300))
        #expect(output.status == 0, "\(arguments): \(output.standardOutput)\(output.standardError)", sourceLocation: sourceLocation)
        return output.standardOutput
    }

    /// Everything that a run may change on the hosts of the masters.
    func looks() async throws -> String {
        var looks = ""
        for (datanode, slave, host) in Self.pairs {
            let place = try cluster.place(of: datanode)
            looks += try await cluster.host(datanode).run(
                """
                cd \(place.dataDirectory); ls | grep -v -e '^postmaster' -e '\\.opts$' -e backup_label; sha256sum postgresql.conf pg_hba.conf pg_ident.conf
                cat ~postgres/.pgpass 2>/dev/null; ls -A ~postgres/pgxc ~postgres
                """)
            looks += try await cluster.host(host).run("ls -A \(data(slave)) 2>/dev/null || echo none")
            looks += try await cluster.sql(on: datanode, "SELECT rolname FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1; SELECT application_name FROM pg_stat_replication")
        }
        return looks
    }

    /// Expects both slaves to stream, and commits to wait for them or not.
    func expectSlaves(synchronous: Bool = true, _ words: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        for (datanode, slave, host) in Self.pairs {
            let seen = try await cluster.sql(on: datanode, "SELECT application_name, state, sync_state, usename FROM pg_stat_replication")
            #expect(seen == "\(slave)|streaming|\(synchronous ? "sync" : "async")|replicator", "\(datanode): \(words)", sourceLocation: sourceLocation)
            #expect(try await cluster.sql(on: datanode, "SHOW synchronous_standby_names") == (synchronous ? (XC.isStandIn ? "FIRST 1 (\(slave))" : slave) : ""), sourceLocation: sourceLocation)
            let own = "SELECT pg_is_in_recovery(), current_setting('synchronous_standby_names'), current_setting('archive_mode'), current_setting('port')"
            #expect(try await cluster.sql(on: host, own, port: 20010) == "t||off|20010", "\(slave): \(words)", sourceLocation: sourceLocation)
            #expect(try await cluster.host(host).run("stat -c %a \(data(slave)); ls \(data(slave)) | grep -e recovery.done -e pggraft || :") == "700", sourceLocation: sourceLocation)
        }
    }

    /// Expects each slave to have what its datanode has, now that nobody writes.
    func expectSame(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let all = "SELECT count(*), sum(hashtext(l::text)) FROM app.ledger l; SELECT count(*), sum(hashtext(e::text)) FROM app.events e"
        for (datanode, slave, host) in Self.pairs {
            let right = try await cluster.sql(on: datanode, all)
            try await eventually("\(slave) to have everything", within: .seconds(60)) { try await cluster.sql(on: host, all, port: 20010) == right }
        }
    }

    /// The OS user of each host may log in on the other one by `ssh`.
    func allowSSH() async throws {
        for (host, other) in [("node01", "node02"), ("node02", "node01")] {
            let address = try cluster.host(other).address
            try await cluster.host(host).run(asUser: "postgres", "mkdir -p -m 700 ~/.ssh; [ -e ~/.ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519")
            let key = try await cluster.host(host).run(asUser: "postgres", "cat ~/.ssh/id_ed25519.pub")
            try await cluster.host(other).run(asUser: "postgres", "mkdir -p -m 700 ~/.ssh; cat >>~/.ssh/authorized_keys", input: key + "\n")
            let known = try await cluster.host(other).run("cat /etc/ssh/ssh_host_ed25519_key.pub")
            try await cluster.host(host).run(asUser: "postgres", "cat >>~/.ssh/known_hosts", input: "\(address) \(known)\n")
        }
    }
}

@Suite("Slaves of Postgres-XC datanodes", .serialized)
struct DatanodeStandbyTests {
    @Test func `are made side by side under writers, waited for, and taken back`() async throws {
        try await withXC { cluster in
            let made = MadeSlaves(cluster: cluster), before = try await made.looks()
            let someone = try made.someone(["# restart: no": "restart: yes"])
            let writers = try await cluster.writers()
            let output = try await made.succeeds(someone, "run", "--yes", someone.playbook)
            try await made.expectSlaves(output)
            let then = try writers.ledger().acknowledged
            try await eventually("the writers to go on", within: .seconds(60)) { try writers.ledger().acknowledged > then + 20 }
            let ledger = try await writers.stop()
            for coordinator in XC.coordinators {
                let holding = try await cluster.verify(ledger, through: coordinator)
                #expect(holding.isClean, "\(coordinator): \(holding)")
            }
            try await made.expectSame()
            let again = try await made.succeeds(someone, "run", "--yes", someone.playbook)
            #expect(!again.contains("✓"), "\(again)")
            try await made.succeeds(someone, "undo", "--yes", "--purge-data", try someone.run())
            let after = try await made.looks()
            #expect(after == before, "\(after.split(separator: "\n").difference(from: before.split(separator: "\n")))")
        }
    }
}
