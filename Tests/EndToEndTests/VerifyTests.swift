import Bed
import EventLoop
import Foundation
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

    @Test func `of a table that is too large a sample is compared, and the seed chooses it again`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            try await bed.psql("n1", "INSERT INTO app.bulk SELECT i, 'row ' || i, repeat(md5(i::text), 4) FROM generate_series(20001, 100000) i")
            try await bed.drain()
            let someone = try Operator(of: bed, playbook: ["# proof_sample_above: 200GB": "proof_sample_above: 1MB"])
            func rows() async throws -> String {
                let output = try await someone.pggraft("verify", "--seed", "7", someone.playbook)
                #expect(output.status == 0, "\(output.standardError)")
                let match = try #require(output.standardOutput.firstMatch(of: #/app\.bulk  ([0-9]+) rows .*a sample of about .*, seed 7/#), "\(output.standardOutput)")
                return String(match.1)
            }
            let first = try await rows(), second = try await rows()
            #expect(first == second)
            #expect(try #require(Int(first)) > 0)
        }
    }
}
