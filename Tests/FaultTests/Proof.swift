import Bed
import Testing

let everyNode = Bed.meshNodes + ["n4"]

/// Expects what an undisturbed run ends with: four equal nodes that all replicate to each other, nothing lost, nothing left over.
func expectMesh(of four: Bed, _ writers: Writers, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    // What is written on the new node arrives as well.
    let newcomers = try await Writers.start(on: ["n4"], of: four, perNode: 1)
    try await eventually("ten transactions of clients on n4", within: .seconds(60)) { try newcomers.ledger().acknowledged >= 10 }
    let ledgers = [try await writers.stop(), try await newcomers.stop()]
    try await four.drain(everyNode)
    for ledger in ledgers {
        let verification = try await ledger.verify(on: everyNode, of: four, drained: false)
        #expect(verification.isClean, "\(verification)", sourceLocation: sourceLocation)
    }
    for node in everyNode {
        do {
            try await eventually("three subscriptions of \(node) to replicate, and three slots to be read", within: .seconds(30)) {
                try await four.psql(
                    node,
                    """
                    SELECT (SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating'),
                      (SELECT count(*) FROM pg_replication_slots WHERE active AND coalesce(database, 'app') = 'app')
                    """) == "3|3"
            }
        } catch BedError.timedOut {
            let seen = try await four.psql(node, "SELECT subscription_name, status FROM spock.sub_show_status(); SELECT slot_name, active, database FROM pg_replication_slots")
            let log = try await four.host(node).execute("tail -n 30 \(four.place(of: node)?.dataDirectory ?? Bed.dataDirectory)/log/*.log").standardOutput
            Issue.record("\(node) is no member like the others:\n\(seen)\n\(log)", sourceLocation: sourceLocation)
        }
        let rest = try await four.psql(
            node,
            """
            SELECT count(*) FROM pg_replication_slots WHERE coalesce(database, 'app') = 'app'; SELECT count(*) FROM spock.exception_log;
            SELECT current_setting('spock.readonly'); SELECT count(*) FROM pg_namespace WHERE nspname = 'pggraft'
            """)
        #expect(rest == "3\n0\noff\n0", "slots, exceptions, read-only mode, canary of \(node)", sourceLocation: sourceLocation)
    }
    try await expectNothingRunning(four, sourceLocation: sourceLocation)
    for node in everyNode {
        let directory = try four.place(of: node)?.dataDirectory ?? Bed.dataDirectory
        let leases = try await four.host(node).run("find \(directory) -maxdepth 1 -name '*pggraft*'")
        #expect(leases.isEmpty, "\(node)", sourceLocation: sourceLocation)
    }
}

/// Undoes the run and expects everything to be as it was.
func expectUndone(by run: WatchedRun, in bed: Bed, to before: Snapshot, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    try await run.succeeds(["undo", "--yes", "--purge-data", try run.name], sourceLocation: sourceLocation)
    try await expectNothingRunning(bed, sourceLocation: sourceLocation)
    let differences = try await Snapshot(of: bed).differences(from: before)
    #expect(differences.isEmpty, "\(differences)", sourceLocation: sourceLocation)
}

/// Ends the writers and expects their ledgers to be true on every node that was there from the beginning.
func expectClean(_ writers: Writers, _ bed: Bed, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    let verification = try await writers.stop().verify(of: bed)
    #expect(verification.isClean, "\(verification)", sourceLocation: sourceLocation)
}

/// Waits until `node` takes writes.
func expectWritable(_ bed: Bed, _ node: String) async throws {
    try await eventually("\(node) to take writes", within: .seconds(75)) {
        try await bed.psql(node, "SHOW spock.readonly", within: .seconds(10)) == "off"
    }
}

/// Waits until the existing nodes replicate to each other again.
func awaitMesh(_ bed: Bed) async throws {
    for node in Bed.meshNodes {
        try await eventually("\(node) to read both peers", within: .seconds(90)) {
            try await bed.psql(node, "SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating' AND provider_node <> 'n4'") == "2"
        }
    }
    try await bed.drain(within: .seconds(120))
}

/// Waits until the watchdogs are gone; each goes by itself when its lease has run out.
func expectNothingRunning(_ bed: Bed, sourceLocation: SourceLocation = #_sourceLocation) async throws {
    for host in everyNode + ["repo"] {
        try await eventually("pggraft's watchdogs and pgBackRest's copies to be gone from \(host)", within: .seconds(60)) {
            try await bed.host(host).run("ps -ww -eo args= | grep -E 'pggraft[.]lease|pgbackrest.* (backup|restore)' || :").isEmpty
        }
    }
}

/// Everything of a host that an undo must bring back: what stands in the catalogs, and every file that differs from the machine's.
struct Snapshot: Sendable {
    var lines: [String: [String]] = [:]

    init(of bed: Bed) async throws {
        for node in Bed.meshNodes { lines["\(node), catalogs"] = try await bed.psql(node, Self.catalogs).split(separator: "\n").map(String.init) }
        for host in Set(try (everyNode + ["repo"]).map { try bed.host($0).name }).sorted() {
            let output = try await Bed.execute(["sh", "-c", Self.files, "sh", "/run/pggraft-bed/disk/\(host)"])
            #expect(output.status == 0, "\(output.standardError)")
            lines["\(host), files"] = output.standardOutput.split(separator: "\n").map(String.init)
        }
    }

    /// What is in one and not in the other, a line each.
    func differences(from other: Snapshot) -> String {
        lines.keys.sorted().flatMap { place in
            (lines[place] ?? []).difference(from: other.lines[place] ?? []).map { change in
                switch change {
                case .insert(_, let line, _): "\(place): + \(line)"
                case .remove(_, let line, _): "\(place): - \(line)"
                }
            }
        }.joined(separator: "\n")
    }

    private static let catalogs = """
        SELECT 'node', node_name, if_name, if_dsn FROM spock.node JOIN spock.node_interface ON if_nodeid = node_id ORDER BY 2, 3;
        SELECT 'subscription', sub_name, sub_slot_name, sub_enabled, sub_replication_sets FROM spock.subscription ORDER BY 2;
        SELECT 'slot', slot_name, slot_type, plugin FROM pg_replication_slots ORDER BY 2;
        SELECT 'origin', roname FROM pg_replication_origin ORDER BY 2;
        SELECT 'role', rolname, rolsuper, rolreplication FROM pg_roles ORDER BY 2;
        SELECT 'setting', name, setting FROM pg_settings WHERE source NOT IN ('default', 'override', 'client', 'environment variable', 'session') ORDER BY 2;
        SELECT 'file', name, setting, sourcefile FROM pg_file_settings ORDER BY seqno;
        SELECT 'hba', * FROM pg_hba_file_rules;
        SELECT 'schema', nspname FROM pg_namespace WHERE nspname !~ '^pg_t' ORDER BY 2;
        SELECT 'member', set_name, set_reloid::regclass FROM spock.replication_set JOIN spock.replication_set_table USING (set_id) ORDER BY 2, 3;
        SELECT 'exceptions', count(*) FROM spock.exception_log;
        """

    // The upper layer of a host's overlay holds what is its own. Left out: the contents of data directories but for their
    // configuration; logs; and what pgBackRest keeps for itself: its lock directory, its spool, the empty directories of a
    // repository without a stanza.
    private static let files = """
        cd "$1" && find upper tmp \\( -path '*/postgresql/15/*/*' ! -name '*.conf' ! -name '*.signal' ! -name '*pggraft*' -o -path upper/var/log \
        -o -path tmp/pgbackrest -o -path upper/var/spool/pgbackrest -o -name .bash_history \\) -prune \
        -o -type d ! -path 'upper/var/lib/pgbackrest' ! -path 'upper/var/lib/pgbackrest/archive' ! -path 'upper/var/lib/pgbackrest/backup' \
        ! -path 'upper/var/spool' -printf '%p %m %u\\n' -o -type f -printf '%p %m %u ' -exec sh -c 'cksum <"$0"' {} \\; | sort
        """
}

/// A client's transaction that stays open, which a window waits for: otherwise it is over before a test can do anything in it.
struct OpenTransaction: Sendable {
    /// How long the window waits, as an edit of the shipped playbook.
    static let grace = ("# transaction_grace: 500ms", "transaction_grace: 20s")

    private static let sleep = "pg_sleep(3000)"
    private let bed: Bed
    private let node: String
    private let client: Task<Void, any Error>

    init(on node: String, of bed: Bed) async throws {
        (self.bed, self.node) = (bed, node)
        client = Task {
            _ = try await bed.host(node).execute(
                asUser: "postgres",
                "exec \(bed.binaryDirectory)/psql -h /run/postgresql -XAtqc \"BEGIN; SELECT txid_current(); SELECT \(Self.sleep)\" app", within: .seconds(600))
        }
        try await eventually("a client to have a transaction open on \(node)", within: .seconds(20)) {
            try await bed.psql(node, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%\(Self.sleep)%' AND backend_xid IS NOT NULL") == "1"
        }
    }

    /// Ends it, if nobody has yet.
    func end() async throws {
        try await bed.psql(node, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%\(Self.sleep)%' AND pid <> pg_backend_pid()")
        try await client.value
    }
}
