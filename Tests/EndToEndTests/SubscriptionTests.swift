import Bed
import Testing

/// The new subscriptions are like those of their pairs, whatever the others are like.
@Suite("The subscriptions of the new node", .serialized)
struct SubscriptionTests {
    @Test func `each is modelled on its pair, one that applies late is waited for, and TLS and host names are kept`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            // n1 takes the regional rows of nobody, and gives its own to all.
            for peer in ["n2", "n3"] { try await bed.psql("n1", "SELECT spock.sub_remove_repset('sub_\(peer)_n1', 'regional')") }
            try await bed.psql("n2", "SELECT spock.sub_disable('sub_n3_n2')")
            try await eventually("the slot of sub_n3_n2 to be left", within: .seconds(20)) {
                try await bed.psql("n3", "SELECT count(*) FROM pg_replication_slots WHERE NOT active") == "1"
            }
            try await bed.psql("n2", "UPDATE \(bed.subscriptions) SET sub_apply_delay = '2 s' WHERE sub_name = 'sub_n3_n2'")
            try await bed.psql("n2", "SELECT spock.sub_enable('sub_n3_n2')")
            try await bed.turnTLSOn("n1")
            try await bed.setRules("hostssl all all 10.77.0.0/24 scram-sha-256\nhostssl replication replicator 10.77.0.0/24 scram-sha-256\n", on: "n1")
            try await bed.waitUntilWhole()

            try await bed.psql("n2", "INSERT INTO app.orders VALUES (20, 'EU', 1)")
            try await eventually("n3 to have the order of n2", within: .seconds(20)) { try await bed.psql("n3", "SELECT count(*) FROM app.orders") == "1" }

            let before = try await MeshBefore(bed), writers = try await Writers.start(of: bed, perNode: 1, rate: 15),
                someone = try Operator(
                    of: bed,
                    playbook: [
                        "      address: 10.77.0.12\n": "      address: n2\n",
                        "  address: 10.77.0.14\n  # Where": "  address: n4\n  # Where",
                    ])
            let output = try await someone.pggraft("run", "--yes", someone.playbook, within: .seconds(300)), ledger = try await writers.stop()
            try #require(output.status == 0, "\(output.standardOutput)\n\(output.standardError)")
            let nodes = Bed.meshNodes + ["n4"]
            var verification = try await ledger.verify(on: nodes, of: bed)
            // The order of n2 is where regional rows of n2 are taken.
            #expect(verification.differingTables == ["app.orders"])
            for node in nodes { verification.nodes[node]?.hashes["app.orders"] = nil }
            #expect(verification.isClean, "\(verification)")
            try await before.expectUntouched(bed)
            #expect(output.standardOutput.contains("the 6 new ones name the sets of their pairs; the 4 replication sets of n4 are those of n1"), "\(output.standardOutput)")
            report("sets that differ from pair to pair, 2 s of delay, TLS only, host names: \(bed.spockDescription), window \(try someone.window(in: output.standardOutput)) s")

            // Who takes the regional rows of whom.
            let takes = "SELECT sub_name FROM spock.subscription WHERE sub_replication_sets @> '{regional}' ORDER BY 1"
            #expect(try await bed.psql("n1", takes).isEmpty)
            #expect(try await bed.psql("n2", takes) == "sub_n1_n2\nsub_n3_n2\nsub_n4_n2")
            #expect(try await bed.psql("n3", takes) == "sub_n1_n3\nsub_n2_n3\nsub_n4_n3")
            #expect(try await bed.psql("n4", takes) == "sub_n1_n4")
            for (id, node) in [(1, "n1"), (2, "n2"), (4, "n4")] { try await bed.psql(node, "INSERT INTO app.orders VALUES (\(id), 'EU', 1)") }
            try await bed.drain(nodes)
            for (node, has) in [("n1", "1"), ("n2", "1\n2\n4\n20"), ("n3", "1\n2\n4\n20"), ("n4", "1\n4")] {
                #expect(try await bed.psql(node, "SELECT id FROM app.orders ORDER BY 1") == has, "\(node)")
            }

            // As at the source, the mesh's role does not come in unencrypted.
            let conninfo = "host=10.77.0.14 dbname=app user=spock_admin"
            let plain = try await bed.login(from: "n2", conninfo + " sslmode=disable"), encrypted = try await bed.login(from: "n2", conninfo + " sslmode=require")
            #expect(plain.status != 0 && plain.standardError.contains("no pg_hba.conf entry"), "\(plain.standardError)")
            #expect(encrypted.status == 0, "\(encrypted.standardError)")
            #expect(try await bed.psql("n4", "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)") == "t")
        }
    }
}
