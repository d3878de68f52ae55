import Bed
import EventLoop
import Foundation
import Glibc
import Testing

/// The proof alone: it names what differs, and nothing else, with everybody writing.
@Suite("pggraft verify", .serialized)
struct VerifyTests {
    /// Runs a statement on `node` that no other node gets to hear of: the table is in no set meanwhile.
    private func behind(_ node: String, _ bed: Bed, _ table: String, in set: String = "default", _ statement: String) async throws {
        try await bed.psql(node, "SELECT spock.repset_remove_table('\(set)', '\(table)')")
        try await bed.psql(node, statement)
        try await bed.psql(node, "SELECT spock.repset_add_table('\(set)', '\(table)')")
    }

    @Test func `what was changed behind replication's back is named with table, key and node, and nothing else is`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            // So large that it is looked at range by range.
            try await bed.psql("n1", "INSERT INTO app.bulk SELECT i, 'row ' || i, repeat(md5(i::text), 4) FROM generate_series(20001, 100000) i")
            try await bed.psql("n1", "INSERT INTO app.events (node, writer, seq) SELECT 'before', 0, i FROM generate_series(1, 100) i")
            try await bed.drain()
            let writers = try await Writers.start(of: bed, perNode: 2, rate: 20, big: (every: 100, rows: 1000)), someone = try Operator(of: bed)

            let whole = try await someone.pggraft("verify", someone.playbook)
            #expect(whole.status == 0, "\(whole.standardOutput)\n\(whole.standardError)")
            #expect(whole.standardOutput.contains("4 replicated tables are equal on n1, n2 and n3, with everybody writing"))
            #expect(whole.standardOutput.contains(#/app\.bulk  100000 rows  hash/#))
            #expect(whole.standardOutput.contains("6 subscriptions replicating"))

            try await behind("n2", bed, "app.bulk", "UPDATE app.bulk SET name = 'another' WHERE id = 4711")
            try await behind("n3", bed, "app.bulk", "DELETE FROM app.bulk WHERE id IN (90000, 90001)")
            try await behind("n3", bed, "app.bulk", "INSERT INTO app.bulk VALUES (123456789, 'extra', '')")
            try await behind("n2", bed, "app.events", in: "default_insert_only", "DELETE FROM app.events WHERE node = 'before' AND seq = 50")
            let differ = try await someone.pggraft("verify", someone.playbook)
            #expect(differ.status == 1)
            for line in [
                "app.bulk: n2 and n1 have other values in id 4711", "app.bulk: n3 lacks id 90000 and 90001, which n1 has", "app.bulk: n3 has id 123456789, which n1 lacks",
            ] { #expect(differ.standardError.contains("  \(line)\n"), "\(line) is not in\n\(differ.standardError)") }
            #expect(differ.standardError.contains(#/app\.events: n2 has [0-9]+ rows, .*it has no primary key/#))
            #expect(!differ.standardError.contains("app.ledger") && !differ.standardError.contains("app.orders"))
            #expect(!differ.standardError.contains("app.events: n3"))

            let json = try await someone.pggraft("verify", "--output", "json", someone.playbook)
            #expect(json.status == 1)
            let object = try #require(try JSONSerialization.jsonObject(with: Data(json.standardOutput.utf8)) as? [String: Any])
            #expect(object["equal"] as? Bool == false)
            #expect((object["differences"] as? [String])?.count == 4)

            let ledger = try await writers.stop()
            #expect((ledger.failed, ledger.inDoubt) == (0, 0), "nobody is kept from writing")
            report("verify under \(Int(ledger.transactionsPerSecond)) transactions a second: longest gap \(ledger.longestGap())")
            for node in Bed.meshNodes { #expect(try await bed.psql(node, "SELECT to_regnamespace('pggraft') IS NULL") == "t", "\(node)") }
        }
    }

    @Test func `one that is cut off takes its table away, but for where a row may still come, and the next one does the rest`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            // n3 takes its time for the row of n2.
            try await bed.psql(
                "n3",
                """
                \(bed.isStandIn ? "" : "SET spock.enable_ddl_replication = off;")
                CREATE FUNCTION public.linger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(10); RETURN NEW; END';
                CREATE SCHEMA pggraft;
                CREATE TABLE pggraft.canary (node text, run text, PRIMARY KEY (run, node));
                CREATE TRIGGER linger BEFORE INSERT ON pggraft.canary FOR EACH ROW WHEN (NEW.node = 'n2') EXECUTE FUNCTION public.linger();
                ALTER TABLE pggraft.canary ENABLE ALWAYS TRIGGER linger;
                """)
            let someone = try Operator(of: bed), run = try someone.start("verify", someone.playbook)
            func isThere(_ node: String) async throws -> String { try await bed.psql(node, "SELECT to_regclass('pggraft.canary') IS NOT NULL") }
            func heard(_ node: String) async throws -> String { try await bed.psql(node, "SELECT string_agg(node, ' ' ORDER BY node) FROM pggraft.canary") }
            for (node, nodes) in [("n1", "n1 n2 n3"), ("n2", "n1 n2 n3"), ("n3", "n1 n3")] {
                try await eventually("\(node) to have heard \(nodes)", within: .seconds(60)) {
                    guard try await isThere(node) == "t" else { return false }
                    return try await heard(node) == nodes
                }
            }
            run.signal(SIGINT)
            let output = try await run.wait(within: .seconds(60))
            #expect(output.status != 0)
            #expect(
                (output.standardOutput + output.standardError).hasLine("n3: the table pggraft.canary stays: a row of n2 may still come"),
                "\(output.standardOutput)\(output.standardError)")
            #expect(try await [isThere("n1"), isThere("n2"), isThere("n3")] == ["f", "f", "t"])
            try await eventually("n3 to have heard n2", within: .seconds(60)) { try await heard("n3") == "n1 n2 n3" }
            try await bed.psql("n3", "DROP TRIGGER linger ON pggraft.canary")
            let whole = try await someone.pggraft("verify", someone.playbook)
            #expect(whole.status == 0, "\(whole.standardOutput)\n\(whole.standardError)")
            for node in Bed.meshNodes {
                #expect(try await isThere(node) == "f", "\(node)")
                #expect(try await bed.psql(node, "SELECT count(*) FROM spock.exception_log") == "0", "\(node)")
            }
        }
    }

    @Test func `a subscription that is down is told with what its server has last written of it`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let slot = try await bed.psql("n2", "SELECT sub_slot_name FROM spock.subscription WHERE sub_name = 'sub_n3_n2'")
            try await bed.psql("n2", "SELECT spock.sub_disable('sub_n3_n2')")
            try await eventually("the slot of sub_n3_n2 to be left", within: .seconds(20)) {
                try await bed.psql("n3", "SELECT active FROM pg_replication_slots WHERE slot_name = '\(slot)'") == "f"
            }
            try await bed.psql("n3", "SELECT pg_drop_replication_slot('\(slot)')")
            try await bed.psql("n2", "SELECT spock.sub_enable('sub_n3_n2')")
            let someone = try Operator(of: bed, playbook: ["after this time.\n  # stall_limit: 5min\n": "after this time.\n  stall_limit: 10s\n"])
            let output = try await someone.pggraft("verify", someone.playbook), said = output.standardOutput + output.standardError
            #expect(output.status == 1, "\(said)")
            #expect(said.contains("sub_n3_n2 on n2 is down"), "\(said)")
            let log = said.split(separator: "\n").first { $0.contains("the last errors in the log of n2's server: ") }
            #expect(log?.contains(#"replication slot "\#(slot)" does not exist"#) == true, "\(said)")
            #expect(!said.contains("in the log of n1"), "\(said)")
        }
    }

    @Test func `of a table that is too large a sample is compared, and the seed chooses it again`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.psql("n1", "INSERT INTO app.bulk SELECT i, 'row ' || i, repeat(md5(i::text), 4) FROM generate_series(20001, 100000) i")
            try await bed.drain()
            // What the first node has in no set is not compared, and is named.
            for node in Bed.meshNodes { try await bed.psql(node, "\(bed.isStandIn ? "" : "SET spock.enable_ddl_replication = off;") CREATE TABLE app.side (id int PRIMARY KEY)") }
            try await bed.psql("n2", "SELECT spock.repset_add_table('default', 'app.side')")
            let someone = try Operator(of: bed, playbook: ["# proof_sample_above: 200GB": "proof_sample_above: 1MB"])
            func rows() async throws -> String {
                let output = try await someone.pggraft("verify", "--seed", "7", someone.playbook)
                #expect(output.status == 0, "\(output.standardError)")
                let side = output.standardOutput.split(separator: "\n").first { $0.contains("app.side") }
                #expect(side?.contains("it is replicated by n2, and in no set on n1") == true, "\(output.standardOutput)")
                let match = try #require(output.standardOutput.firstMatch(of: #/app\.bulk  ([0-9]+) rows .*a sample of about .*, seed 7/#), "\(output.standardOutput)")
                return String(match.1)
            }
            let first = try await rows(), second = try await rows()
            #expect(first == second)
            #expect(try #require(Int(first)) > 0)
        }
    }
}
