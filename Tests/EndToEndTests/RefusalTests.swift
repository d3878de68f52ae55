import Bed
import Scratch
import Testing

/// What is wrong with the world is found before anything is changed, all of it at once, and said so that it can be mended.
@Suite("What pggraft refuses", .serialized)
struct RefusalTests {
    struct Obstacle: Sendable {
        let title: String
        /// What lines of the output must say; `…` stands for anything.
        let says: [String]
        /// The edits to the shipped playbook.
        var playbook: KeyValuePairs<String, String> = [:]
        var spoil: @Sendable (Bed, Operator) async throws -> Void = { _, _ in }
        var mend: @Sendable (Bed, Operator) async throws -> Void = { _, _ in }
    }

    /// Where the new node's keys are in the shipped playbook.
    private static let anchor = "  data_directory: /var/lib/postgresql/15/main\n  # The connection string"

    /// Obstacles that stand side by side: all of them are told at once.
    static let rounds: [[Obstacle]] = [
        [
            Obstacle(title: "a host cannot be reached", says: ["✗ host … n3 …"]) { bed, _ in
                try await bed.host("n3").cut()
            } mend: { bed, _ in
                try await bed.host("n3").heal()
                try await bed.waitUntilWhole()
            },
            Obstacle(title: "a host key is not known", says: ["✗ host … n2 … not", "SHA256:"]) { bed, someone in
                try writeFile(try readFile(bed.knownHosts).split(separator: "\n").filter { !$0.hasPrefix("n2,") }.joined(separator: "\n") + "\n", to: someone.knownHosts)
            } mend: { bed, someone in
                try writeFile(try readFile(bed.knownHosts), to: someone.knownHosts)
            },
            Obstacle(title: "nobody may become postgres on a host", says: ["✗ host … n1 … postgres", "sudo"]) { bed, _ in
                try await bed.host("n1").run("mv /etc/sudoers.d/dba /run/dba")
            } mend: { bed, _ in
                try await bed.host("n1").run("mv /run/dba /etc/sudoers.d/dba")
            },
        ],
        [
            Obstacle(title: "a host key is another one than it was", says: ["✗ host … n2 … HAS CHANGED"]) { bed, someone in
                let lines = try readFile(bed.knownHosts).split(separator: "\n").map(String.init)
                let other = lines.first { $0.hasPrefix("n3,") }?.split(separator: " ").dropFirst().joined(separator: " ") ?? ""
                try writeFile(lines.map { $0.hasPrefix("n2,") ? "\($0.prefix { $0 != " " }) \(other)" : String($0) }.joined(separator: "\n") + "\n", to: someone.knownHosts)
            } mend: { bed, someone in
                try writeFile(try readFile(bed.knownHosts), to: someone.knownHosts)
            },
            Obstacle(title: "a password is wrong", says: ["✗ PostgreSQL … n1 …", "password authentication failed … spock_admin"]) { _, someone in
                try writeFile(
                    try readFile(someone.pgpass).split(separator: "\n").map { line in
                        line.hasPrefix("n1:") || line.hasPrefix("10.77.0.11:") ? line.replacing("secret-of-spock_admin", with: "secret-of-nobody") : line
                    }.joined(separator: "\n") + "\n", to: someone.pgpass, mode: 0o600)
            } mend: { bed, someone in
                try writeFile(try readFile(bed.pgpass), to: someone.pgpass, mode: 0o600)
            },
            Obstacle(
                title: "a node is down",
                says: ["✗ PostgreSQL … n3 … nothing listens on port 5432", "HINT: start PostgreSQL on n3", "could not be looked at as a whole: … n3 … missing"]
            ) { bed, _ in
                try await bed.host("n3").stopPostgres()
            } mend: { bed, _ in
                try await bed.host("n3").startPostgres()
                try await bed.waitUntilWhole()
            },
        ],
        [
            Obstacle(title: "the data directory of the new node is in use", says: ["✗ data directory … n4 … /var/lib/postgresql/15/main", "HINT: name an empty directory"]) {
                bed, _ in
                try await bed.host("n4").run(asUser: "postgres", "echo precious >\(Bed.dataDirectory)/precious")
            } mend: { bed, _ in
                #expect(try await bed.host("n4").run("cat \(Bed.dataDirectory)/precious") == "precious")
                try await bed.host("n4").run("rm \(Bed.dataDirectory)/precious")
            },
            Obstacle(title: "the new node has another version of Spock", says: ["✗ Spock … n4 … 4.0.9 is installed, the cluster has 5.0.11"]) { bed, _ in
                try await bed.host("n4").run(
                    """
                    control=$(\(bed.binaryDirectory)/pg_config --sharedir)/extension/spock.control
                    cp -p $control /run/spock.control
                    sed -i "s/^default_version.*/default_version = '4.0.9'/" $control
                    """)
            } mend: { bed, _ in
                try await bed.host("n4").run("cp -p /run/spock.control $(\(bed.binaryDirectory)/pg_config --sharedir)/extension/spock.control")
            },
            Obstacle(title: "the disk of the new node is too small", says: ["✗ disk … n4 … MB free in /var/lib/postgresql/15/main, the source has … MB", "HINT: make room"]) {
                bed, _ in
                try await bed.host("n4").resizeDisk(to: "60m")
            } mend: { bed, _ in
                try await bed.host("n4").resizeDisk(to: "4g")
            },
            Obstacle(
                title: "the stanza belongs to another database",
                says: ["✗ pgBackRest … repo: stanza 'app' belongs to database system …, the source is", "HINT: choose another stanza name"]
            ) { bed, _ in
                try await bed.host("repo").run(
                    asUser: "postgres",
                    """
                    set -e
                    \(bed.binaryDirectory)/initdb -D /tmp/other -U postgres --no-sync --auth=trust >/dev/null
                    \(bed.binaryDirectory)/pg_ctl -s -w -D /tmp/other -o "-k /tmp -p 5999 -c listen_addresses='' -c archive_mode=on -c archive_command=/bin/true" -l /tmp/other.log start
                    pgbackrest --stanza=app --pg1-path=/tmp/other --pg1-port=5999 --pg1-socket-path=/tmp --repo1-path=/var/lib/pgbackrest --log-level-file=off stanza-create
                    \(bed.binaryDirectory)/pg_ctl -s -w -D /tmp/other -m immediate stop
                    rm -r /tmp/other
                    """)
            } mend: { bed, _ in
                try await bed.host("repo").run("rm -r /var/lib/pgbackrest/backup/app /var/lib/pgbackrest/archive/app")
            },
            Obstacle(title: "a subscription is disabled", says: ["✗ mesh … subscription sub_n3_n2 from n3 to n2 is disabled", "HINT: repair it first"]) { bed, _ in
                try await bed.psql("n2", "SELECT spock.sub_disable('sub_n3_n2')")
                try await eventually("the subscription to be disabled", within: .seconds(20)) {
                    let status = try await bed.psql("n2", "SELECT status FROM spock.sub_show_status('sub_n3_n2')")
                    let unread = try await bed.psql("n3", "SELECT count(*) FROM pg_replication_slots WHERE NOT active")
                    return status == "disabled" && unread == "1"
                }
            } mend: { bed, _ in
                try await bed.psql("n2", "SELECT spock.sub_enable('sub_n3_n2')")
                try await bed.waitUntilWhole()
            },
            Obstacle(title: "a transaction is prepared", says: ["✗ mesh … n2: a transaction is prepared: … forgotten", "HINT: COMMIT PREPARED or ROLLBACK PREPARED"]) { bed, _ in
                try await bed.psql("n2", "BEGIN; INSERT INTO app.events (node) VALUES ('prepared'); PREPARE TRANSACTION 'forgotten'")
            } mend: { bed, _ in
                try await bed.psql("n2", "ROLLBACK PREPARED 'forgotten'")
            },
        ],
        [
            Obstacle(title: "pgBackRest is missing on a host", says: ["✗ pgBackRest … n4: pgBackRest is not installed"]) { bed, _ in
                try await bed.host("n4").run("mv /usr/bin/pgbackrest /usr/bin/pgbackrest.away")
            } mend: { bed, _ in
                try await bed.host("n4").run("mv /usr/bin/pgbackrest.away /usr/bin/pgbackrest")
            },
            Obstacle(
                title: "limits are too small, and the source does not archive",
                says: [
                    "n1: max_replication_slots is 4, … are needed (… origins there + 1 for n4",
                    "n1: max_wal_senders is 3, 4 are needed (2 senders there + 1 for n4 + 1 to feed the copy)",
                    "n4: max_worker_processes is 7, 8 are needed (3 that are always there + 1 manager for each of 2 databases + 1 to apply each of 3 peers)",
                    "HINT: set max_wal_senders to at least 4 and restart n1", "✗ archiving … n1 … archive_mode",
                ]
            ) { bed, _ in
                for setting in ["max_replication_slots = 4", "max_wal_senders = 3", "max_worker_processes = 7", "archive_mode = off"] {
                    try await bed.psql("n1", "ALTER SYSTEM SET \(setting)")
                }
                try await bed.host("n1").stopPostgres()
                try await bed.host("n1").startPostgres()
                try await bed.waitUntilWhole()
            } mend: { bed, _ in
                for setting in ["max_replication_slots", "max_wal_senders", "max_worker_processes", "archive_mode"] {
                    try await bed.psql("n1", "ALTER SYSTEM RESET \(setting)")
                }
                try await bed.host("n1").stopPostgres()
                try await bed.host("n1").startPostgres()
                try await bed.waitUntilWhole()
            },
        ],
        [
            Obstacle(
                title: "the new node has programs of another major version",
                says: ["✗ programs … the programs in /opt/other/bin on … are of version 14", "HINT: give the bin_directory of PostgreSQL 15"],
                playbook: [anchor: "  data_directory: /var/lib/postgresql/15/main\n  bin_directory: /opt/other/bin\n  # The connection string"]
            ) { bed, _ in
                try await bed.host("n4").run(
                    """
                    mkdir -p /opt/other/bin
                    for program in postgres pg_ctl pg_controldata pg_config initdb; do
                      printf '#!/bin/sh\\necho "%s (PostgreSQL) 14.9"\\n' $program >/opt/other/bin/$program
                    done
                    ln -s \(bed.binaryDirectory)/psql /opt/other/bin/psql
                    chmod -R a+rX /opt/other; chmod a+x /opt/other/bin/*
                    """)
            } mend: { bed, _ in
                try await bed.host("n4").run("rm -r /opt/other")
            }
        ],
    ]

    @Test func `every obstacle is told by check, and by plan as by check, and nothing is changed`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: Bed.hasDebianPostgres ? ["n4": .debian] : [:])
            try await bed.psql("n2", "ALTER SYSTEM SET max_prepared_transactions = 5")
            try await bed.host("n2").stopPostgres()
            try await bed.host("n2").startPostgres()
            try await bed.waitUntilWhole()
            for (number, round) in Self.rounds.enumerated() { try await expectRefusal(of: round, by: number == 0 ? ["check", "plan"] : ["check"], bed) }
            try await expectRefusal(of: [try await collision(bed)] + (Bed.hasDebianPostgres ? [Self.archivingCopy] : []), bed)
            if !Bed.hasDebianPostgres {
                report("an archive_command in Debian's configuration of n4 is left out: only Debian's PostgreSQL has that layout")
            }

            // Each has put back what it spoiled, and a look at a sound world changes nothing either.
            let someone = try Operator(of: bed), before = try await Fingerprint(bed)
            let check = try await someone.pggraft("check", someone.playbook), plan = try await someone.pggraft("plan", someone.playbook)
            #expect(check.status == 0, "\(check.standardOutput)\(check.standardError)")
            #expect(plan.status == 0, "\(plan.standardOutput)\(plan.standardError)")
            #expect(!(check.standardOutput + plan.standardOutput).contains("secret-of-"))
            try expectSnapshot(of: plan.standardOutput)
            let changes = try await before.changes(), journals = try someone.journals()
            #expect(changes.isEmpty)
            #expect(journals.isEmpty)
        }
    }

    /// The plan of the shipped playbook is as the file has it, but for sizes and progress. PGGRAFT_RECORD=1 writes it anew.
    private func expectSnapshot(of plan: String) throws {
        guard Bed.hasDebianPostgres else { return report("the plan is compared where Debian's PostgreSQL is: its files differ elsewhere") }
        let lines = plan.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix("… ") }
        let text = lines.joined(separator: "\n").replacing(#/\d+(\.\d+)? (KB|MB|GB)/#, with: "… MB")
        let path = String(#filePath.dropLast("RefusalTests.swift".count)) + "Snapshots/plan-spock-add-node.txt"
        let difference = try snapshotDifference(text, from: path)
        #expect(difference == nil, "\(difference ?? "")")
    }

    /// A name that Spock would give the id of n1.
    private func collision(_ bed: Bed) async throws -> Obstacle {
        let name = try await bed.psql(
            "n1",
            """
            SELECT 'n4_' || i FROM generate_series(1, 2000000) i
             WHERE hashname(('n4_' || i)::name) & 65535 = (SELECT node_id::bigint FROM spock.local_node) LIMIT 1
            """)
        return Obstacle(
            title: "the new node would have the id of another", says: ["✗ mesh … \(name) would have the node id …, which is that of n1", "HINT: choose another name"],
            playbook: ["  name: n4\n": "  name: \(name)\n  ssh: n4\n"])
    }

    private static let archivingCopy = Obstacle(
        title: "the new node's own configuration archives into the source's stanza",
        says: ["✗ archiving … archive_command pushes into stanza 'app'", "HINT: turn archiving off there"]
    ) { bed, _ in
        try await bed.host("n4").run(
            """
            cp -p /etc/postgresql/15/main/postgresql.conf /run/postgresql.conf
            printf "archive_mode = on\\narchive_command = 'pgbackrest --stanza=app archive-push %%p'\\n" >>/etc/postgresql/15/main/postgresql.conf
            """)
    } mend: { bed, _ in
        try await bed.host("n4").run("cp -p /run/postgresql.conf /etc/postgresql/15/main/postgresql.conf")
    }

    func expectRefusal(of obstacles: [Obstacle], by commands: [String] = ["check"], _ bed: Bed) async throws {
        let clock = ContinuousClock(), began = clock.now, titles = obstacles.map(\.title).joined(separator: "; ")
        let someone = try Operator(of: bed, playbook: obstacles.first { !$0.playbook.isEmpty }?.playbook ?? [:])
        for obstacle in obstacles { try await obstacle.spoil(bed, someone) }
        let before = try await Fingerprint(bed)
        for command in commands {
            let output = try await someone.pggraft(command, someone.playbook)
            let text = output.standardOutput + output.standardError
            #expect(output.status == 1, "\(command), \(titles):\n\(text)")
            let missing = obstacles.flatMap(\.says).filter { !text.hasLine($0) }
            #expect(missing.isEmpty, "\(command), \(titles):\n\(text)")
            #expect(text.contains("Nothing was changed."), "\(command), \(titles)")
            #expect(!text.contains("secret-of-"), "\(command), \(titles)")
        }
        let changes = try await before.changes(), journals = try someone.journals()
        #expect(changes.isEmpty, "\(titles)")
        #expect(journals.isEmpty, "\(titles)")
        for obstacle in obstacles.reversed() { try await obstacle.mend(bed, someone) }
        report("\(titles): \(began.duration(to: clock.now))")
    }
}

extension String {
    /// Whether a line of this text contains the parts of `pattern`, between which `…` stands for anything, one after the other.
    func hasLine(_ pattern: String) -> Bool {
        split(separator: "\n").contains { line in
            var rest = line
            return pattern.split(separator: "…").allSatisfy { part in
                let part = part.drop { $0 == " " }
                guard let found = rest.firstRange(of: part.reversed().drop { $0 == " " }.reversed()) else { return false }
                rest = rest[found.upperBound...]
                return true
            }
        }
    }
}
