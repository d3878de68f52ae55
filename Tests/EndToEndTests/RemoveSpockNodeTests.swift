import Bed
import EventLoop
import Glibc
import Run
import Testing

/// A node leaves its cluster, and nothing of it stays, nor of what was written there goes.
@Suite("remove-spock-node", .serialized)
struct RemoveSpockNodeTests {
    private static let nodes = Bed.meshNodes(4), staying = Bed.meshNodes
    private static let n5: KeyValuePairs<String, String> = ["    n4:\n      address: 10.77.0.14": "    n5:\n      address: 10.77.0.15", "\nnode: n4": "\nnode: n5"]

    /// A node of the four is read, and reads, under names that another tool has given.
    private func otherNames(_ bed: Bed) async throws {
        let sets = "'{default,default_insert_only,ddl_sql,regional}'"
        try await bed.drain(Self.nodes)
        for (subscriber, old, name, address) in [("n1", "sub_n5_n1", "legacy_feed_7", "10.77.0.15"), ("n5", "sub_n2_n5", "from_the_west", "10.77.0.12")] {
            try await bed.psql(subscriber, "SELECT spock.sub_drop('\(old)')")
            try await bed.psql(subscriber, "SELECT spock.sub_create('\(name)', 'host=\(address) port=5432 dbname=app user=spock_admin', \(sets), false, false)")
            try await bed.psql(subscriber, "SELECT spock.sub_wait_for_sync('\(name)')")
        }
        try await bed.waitUntilWhole(Self.nodes)
    }

    /// What hangs on the node, and a member that does not get what is written there, are told before anything is done.
    private func refused(_ bed: Bed, _ someone: Operator, _ playbook: String) async throws {
        for (slot, plugin) in [("standby_of_n5", ""), ("spk_app_n5_elsewhere", "spock_output")] {
            try await bed.psql(
                "n5", plugin.isEmpty ? "SELECT pg_create_physical_replication_slot('\(slot)')" : "SELECT pg_create_logical_replication_slot('\(slot)', '\(plugin)')")
        }
        try await bed.psql("n3", "SELECT spock.sub_disable('sub_n5_n3')")
        let check = try await someone.pggraft("check", playbook)
        #expect(check.status == 1)
        for line in [
            "spk_app_n5_elsewhere is read by none of n1, n2 and n3", "also read through the slot standby_of_n5",
            "n3 does not get what is written on n5: subscription sub_n5_n3 is disabled",
        ] { #expect(check.standardOutput.contains(line), "\(line) is not in\n\(check.standardOutput)") }
        try await bed.psql("n3", "SELECT spock.sub_enable('sub_n5_n3')")
        try await bed.psql("n5", "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name IN ('standby_of_n5', 'spk_app_n5_elsewhere')")
        try await bed.waitUntilWhole(Self.nodes)
    }

    /// Until the first subscription is dropped an undo opens the node again.
    private func undoneBeforeAnythingIsDropped(_ bed: Bed, _ someone: Operator, _ playbook: String) async throws {
        let run = try someone.start("run", "--yes", playbook)
        try await someone.reaches("close-node")
        run.signal(SIGKILL)
        _ = try await run.wait(within: .seconds(20))
        let undone = try await someone.pggraft("undo", "--yes", someone.run())
        #expect(undone.status == 0, "\(undone.standardOutput)\(undone.standardError)")
        #expect(try await bed.closing("n5") == "-1|off")
        try await bed.waitUntilWhole(Self.nodes)
    }

    @Test func `a member leaves while clients write on all, nothing of it is left, and it comes back under its name`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(nodes: 4)
            try await otherNames(bed)
            let someone = try Operator(of: bed), playbook = try someone.playbook("spock-remove-node", Self.n5)
            try await refused(bed, someone, playbook)
            try await undoneBeforeAnythingIsDropped(bed, someone, playbook)
            let before = try await bed.catalogs(Self.staying), id = try await bed.psql("n1", "SELECT node_id FROM spock.node WHERE node_name = 'n5'")
            let there = try await bed.psql("n5", "SELECT count(*) FROM app.bulk")

            let writers = try await Writers.start(of: bed, perNode: 2, rate: 20, big: (every: 100, rows: 2000))
            let clients = try await Writers.start(on: ["n5"], of: bed, perNode: 2, rate: 20, big: (every: 50, rows: 2000), connecting: { try bed.conninfo($0, user: "app") })
            let gone = try await someone.pggraft("check", "--node-is-gone", playbook)
            #expect(gone.status == 1 && gone.standardOutput.contains("answers: it is not gone"), "\(gone.standardOutput)")
            let plan = try await someone.pggraft("plan", playbook)
            #expect(plan.status == 0, "\(plan.standardOutput)\(plan.standardError)")
            for line in [
                "n1: sub_drop legacy_feed_7, with its origin and its slot on n5", "n5: sub_drop from_the_west, with its origin and its slot spk_app_n2_from_the_west on n2",
            ] { #expect(plan.standardOutput.contains(line), "\(line) is not in\n\(plan.standardOutput)") }

            let removing = try someone.start("run", "--yes", playbook)
            try await someone.reaches("verify")
            #expect(try await bed.closing("n5") == "0|off", "its database is closed, the instance is not, while the others are compared")
            let output = try await removing.wait(within: .seconds(300))
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            let left = try await clients.stop()
            #expect(left.acknowledged > 0 && left.failed > 0, "clients wrote on n5, until they were ended")
            try await bed.expectNothing(of: ["n5", "|\(id)|", "from_the_west", "legacy_feed_7"], on: Self.staying, before)
            #expect(try await bed.closing("n5") == "0|off")
            #expect(
                try await bed.psql("n5", "SELECT (SELECT count(*) FROM spock.node), (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin)")
                    == "0|0|0")
            #expect(try await bed.psql("n5", "SELECT count(*) FROM app.bulk") == there, "its data stays")

            let again = try await someone.pggraft("check", playbook)
            #expect(again.status == 1 && again.standardOutput.contains("n1, n2 and n3 know no such node, and have nothing of one"), "\(again.standardOutput)")
            // Nothing that is left of the first one misleads the second.
            try await bed.host("n5").stopPostgres()
            try await bed.host("n5").run("rm -rf \(Bed.dataDirectory)")
            let add = try someone.playbook("spock-add-node", ["  name: n4\n  address: 10.77.0.14": "  name: n5\n  address: 10.77.0.15"])
            let added = try await someone.pggraft("run", "--yes", add)
            let ledger = try await writers.stop()
            try #require(added.status == 0, "\(added.standardOutput)\n\(added.standardError)")
            for written in [ledger, left] {
                let verification = try await written.verify(on: Self.nodes, of: bed)
                #expect(verification.isClean, "\(verification)")
            }
            report("a member leaves and comes back: \(bed.spockDescription): \(ledger.acknowledged + left.acknowledged) acknowledged, 0 missing")
        }
    }

    @Test func `a node that has lost power is removed when the operator says so, and what only some had received of it is named`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(nodes: 4)
            for node in Self.staying { try await bed.psql(node, "ALTER SYSTEM SET wal_sender_timeout = '6s'; SELECT pg_reload_conf()") }
            try await bed.drain(Self.nodes)
            let before = try await bed.catalogs(Self.staying), id = try await bed.psql("n1", "SELECT node_id FROM spock.node WHERE node_name = 'n5'")
            let someone = try Operator(of: bed), playbook = try someone.playbook("spock-remove-node", Self.n5)
            // Of which nothing but the catalog of n5 says whose it is.
            try await bed.psql("n2", "SELECT pg_create_logical_replication_slot('spk_app_n2_whose', 'spock_output')")
            try await bed.block("n3", "n5")
            try await bed.psql("n5", "INSERT INTO app.ledger (node, writer, seq) VALUES ('last of n5', 0, 1), ('last of n5', 0, 2)")
            for node in ["n1", "n2"] {
                try await eventually("\(node) to have it", within: .seconds(60)) { try await bed.psql(node, "SELECT count(*) FROM app.ledger WHERE node = 'last of n5'") == "2" }
            }
            try await bed.host("n5").powerOff()
            try await bed.unblock("n3", "n5")
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 20)

            let silent = try await someone.pggraft("check", playbook)
            #expect(silent.status == 1 && silent.standardOutput.contains("--node-is-gone"), "\(silent.standardOutput)")
            let uneven = try await someone.pggraft("check", "--node-is-gone", playbook)
            #expect(uneven.status == 1 && uneven.standardOutput.contains("of what n5 wrote last, n3 lacks"), "\(uneven.standardOutput)")

            let run = try someone.start("run", "--yes", "--node-is-gone", "--give-up-writes", playbook)
            try await someone.reaches("remove-traces")
            run.signal(SIGKILL)
            _ = try await run.wait(within: .seconds(20))
            let undo = try await someone.pggraft("undo", "--yes", someone.run())
            #expect(undo.status == 1 && undo.standardError.contains("that cannot be undone"), "\(undo.standardOutput)\(undo.standardError)")
            let differing = try await someone.pggraft("resume", someone.run())
            #expect(differing.status == 1 && differing.standardError.contains("app.ledger"), "\(differing.standardOutput)\(differing.standardError)")
            let ledger = try await writers.stop()
            // By hand, as the hint says: what the others have.
            let rows = try await bed.psql("n1", "SELECT json_agg(l) FROM app.ledger l WHERE node = 'last of n5'")
            try await bed.psql("n3", "SELECT spock.repset_remove_table('default', 'app.ledger')")
            try await bed.psql("n3", "INSERT INTO app.ledger SELECT * FROM json_populate_recordset(NULL::app.ledger, '\(rows)')")
            try await bed.psql("n3", "SELECT spock.repset_add_table('default', 'app.ledger')")
            let output = try await someone.pggraft("resume", someone.run())
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
            #expect(output.standardOutput.contains("Given up: of what n5 wrote last, n3 lacks"), "\(output.standardOutput)")
            #expect((ledger.failed, ledger.inDoubt) == (0, 0), "nobody is kept from writing")
            #expect(output.standardOutput.contains("n2: the slot spk_app_n2_whose is read by nobody, and nothing says whose it is: left"), "\(output.standardOutput)")
            try await bed.psql("n2", "SELECT pg_drop_replication_slot('spk_app_n2_whose')")
            try await bed.expectNothing(of: ["n5", "|\(id)|"], on: Self.staying, before)
            try await bed.waitUntilWhole()
        }
    }

    /// Two of three have lost power: one after the other is removed, and stands in no playbook.
    private func bothGone(_ bed: Bed) async throws {
        try await bed.psql("n1", "ALTER SYSTEM SET wal_sender_timeout = '6s'; SELECT pg_reload_conf()")
        try await bed.drain()
        for node in ["n2", "n3"] { try await bed.host(node).powerOff() }
        let someone = try Operator(of: bed)
        for (node, others) in [("n2", "node n3 is known to n1, but it was not looked at"), ("n3", "n1 stays alone")] {
            let rest = ["2", "3", "4"].map { "    n\($0):\n      address: 10.77.0.1\($0)\n" }.joined(), edits: KeyValuePairs = [rest: "", "\nnode: n4": "\nnode: \(node)"]
            let playbook = try someone.playbook("spock-remove-node", edits), check = try await someone.pggraft("check", "--node-is-gone", playbook)
            #expect(check.status == 0 && check.standardOutput.contains(others), "\(check.standardOutput)\(check.standardError)")
            let output = try await someone.pggraft("run", "--yes", "--node-is-gone", playbook)
            #expect(output.status == 0, "\(node)\n\(output.standardOutput)\(output.standardError)")
        }
        #expect(try await bed.counts("n1") == "1|0|0")
    }

    @Test func `a node that was added in part is removed at whatever point its joining ended`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let before = try await bed.catalogs(Self.staying)
            for (step, found) in [("promote", "slot spk_app_n1_sub_n1_n4"), ("subscriptions", "slot spk_app_n1_sub_n1_n4")] {
                // Whoever has the journal of the run that was cut off undoes that; this is for who has not.
                let adding = try Operator(of: bed, playbook: LiveTests.live), someone = try Operator(of: bed),
                    playbook = try someone.playbook("spock-remove-node", ["# keep_open: false": "keep_open: true"])
                let run = try adding.start("run", "--yes", adding.playbook)
                try await adding.reaches(step)
                run.signal(SIGKILL)
                _ = try await run.wait(within: .seconds(20))
                let check = try await someone.pggraft("check", "--give-up-writes", playbook)
                #expect(check.status == 0 && check.standardOutput.contains(found), "\(step)\n\(check.standardOutput)\(check.standardError)")
                let output = try await someone.pggraft("run", "--yes", "--give-up-writes", playbook)
                #expect(output.status == 0, "\(step)\n\(output.standardOutput)\(output.standardError)")
                try await bed.expectNothing(of: [], on: Self.staying, before)
                if step == "subscriptions" { #expect(try await bed.closing("n4") == "-1|off", "keep_open") }
                try await bed.resetNewNode()
            }
            try await bed.waitUntilWhole()
            try await bothGone(bed)
        }
    }
}

extension Bed {
    /// Everything that the catalogs of `nodes` say of who is who, a line each.
    fileprivate func catalogs(_ nodes: [String]) async throws -> [String] {
        var lines: [String] = []
        for node in nodes {
            let text = try await psql(
                node,
                """
                SELECT 'node', node_id || '|', node_name::text FROM spock.node
                UNION ALL SELECT 'interface', if_nodeid || '|', if_name || ' ' || if_dsn FROM spock.node_interface
                UNION ALL SELECT 'subscription', sub_id || '|', concat_ws(' ', sub_name, sub_slot_name, sub_replication_sets, sub_enabled) FROM spock.subscription
                UNION ALL SELECT 'sync', sync_subid || '|', concat_ws(' ', (SELECT sub_name FROM spock.subscription WHERE sub_id = sync_subid), sync_status)
                  FROM spock.local_sync_status
                UNION ALL SELECT 'set', set_nodeid || '|', set_name FROM spock.replication_set
                UNION ALL SELECT 'progress', remote_node_id || '|', '' FROM spock.progress
                 WHERE (SELECT relkind FROM pg_class WHERE oid = 'spock.progress'::regclass) = 'r'
                UNION ALL SELECT 'origin', '', roname FROM pg_replication_origin
                UNION ALL SELECT 'slot', '', slot_name || ' ' || plugin FROM pg_replication_slots ORDER BY 1, 2, 3
                """)
            lines += text.split(separator: "\n").map { "\(node) \($0)" }
        }
        return lines
    }

    /// Expects that the catalogs say what they said `before`, but for lines that have one of `words`.
    fileprivate func expectNothing(of words: [String], on nodes: [String], _ before: [String]) async throws {
        let expected = Set(before.filter { line in !words.contains { line.contains($0) } }), found = Set(try await catalogs(nodes))
        #expect(found.subtracting(expected).sorted() == [], "what is left")
        #expect(expected.subtracting(found).sorted() == [], "what is missing")
    }

    /// How many nodes it knows, and how many slots and origins it has.
    fileprivate func counts(_ node: String) async throws -> String {
        try await psql(
            node, "SELECT (SELECT count(*) FROM spock.node), (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_replication_origin)")
    }

    /// How many connections the database takes, and the read-only mode.
    fileprivate func closing(_ node: String) async throws -> String {
        try await psql(node, "SELECT datconnlimit, current_setting('spock.readonly') FROM pg_database WHERE datname = 'app'")
    }
}
