import Bed
import Testing

/// What the nodes that were there before must look like again after a node has joined, as they say themselves.
struct MeshBefore: Sendable {
    /// By node: subscriptions and origins, a line each.
    let identities: [String: String]
    /// By node: slots, each with the position up to which its reader had confirmed.
    let slots: [String: [String: String]]
    let exceptions: [String: Int]

    init(_ bed: Bed) async throws {
        var identities: [String: String] = [:], slots: [String: [String: String]] = [:], exceptions: [String: Int] = [:]
        for node in Bed.meshNodes {
            identities[node] = try await bed.psql(node, Self.identity)
            slots[node] = try await bed.slots(node)
            exceptions[node] = try await bed.exceptionCount(node)
        }
        (self.identities, self.slots, self.exceptions) = (identities, slots, exceptions)
    }

    /// What a node is to the others of the old mesh.
    private static let identity = """
        SELECT 'node', node_id::text, node_name::text FROM spock.node WHERE node_name <> 'n4'
        UNION ALL SELECT 'subscription', sub_id::text, sub_name::text || ' ' || sub_slot_name || ' ' || sub_replication_sets::text || ' ' || sub_enabled
          FROM spock.subscription WHERE sub_origin <> (SELECT coalesce(max(node_id), 0) FROM spock.node WHERE node_name = 'n4')
        UNION ALL SELECT 'origin', roident::text, roname FROM pg_replication_origin WHERE roname NOT LIKE '%n4%'
        ORDER BY 1, 2
        """

    /// Expects that the mesh was added to, and nothing of what was there was made anew.
    func expectUntouched(_ bed: Bed) async throws {
        for node in Bed.meshNodes {
            #expect(try await bed.psql(node, Self.identity) == identities[node], "\(node): nodes, subscriptions and origins")
            let now = try await bed.slots(node)
            for (slot, confirmed) in slots[node] ?? [:] {
                let position = now[slot] ?? "0/0"
                #expect(try await bed.psql(node, "SELECT '\(position)'::pg_lsn >= '\(confirmed)'::pg_lsn") == "t", "\(node): slot \(slot) went from \(confirmed) to \(position)")
            }
            #expect(now.count == (slots[node]?.count ?? 0) + 1, "\(node) has one slot more: \(now.keys.sorted())")
        }
        for node in Bed.meshNodes + ["n4"] {
            #expect(try await bed.exceptionCount(node) == exceptions[node] ?? exceptions["n1"], "\(node): spock.exception_log")
        }
    }
}

extension Bed {
    func slots(_ node: String) async throws -> [String: String] {
        let lines = try await psql(node, "SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots").split(separator: "\n")
        return Dictionary(
            uniqueKeysWithValues: lines.map { line in
                let columns = line.split(separator: "|").map(String.init)
                return (columns[0], columns.count > 1 ? columns[1] : "0/0")
            })
    }

    func exceptionCount(_ node: String) async throws -> Int {
        let text = try await psql(node, "SELECT count(*) FROM spock.exception_log")
        return try #require(Int(text))
    }

    /// Replication sets with everything in them; the same text on nodes that publish the same.
    func replicationSets(_ node: String) async throws -> String {
        try await psql(
            node,
            """
            SELECT set_name, replicate_insert, replicate_update, replicate_delete, replicate_truncate, 'set' FROM spock.replication_set
             WHERE set_nodeid = (SELECT node_id FROM spock.local_node) ORDER BY 1;
            SELECT set_name, set_reloid::regclass::text, set_att_list, pg_get_expr(set_row_filter, set_reloid) FROM spock.replication_set_table JOIN spock.replication_set USING (set_id)
             WHERE set_nodeid = (SELECT node_id FROM spock.local_node) ORDER BY 1, 2;
            SELECT set_name, set_seqoid::regclass::text FROM spock.replication_set_seq JOIN spock.replication_set USING (set_id)
             WHERE set_nodeid = (SELECT node_id FROM spock.local_node) ORDER BY 1, 2;
            """)
    }

    /// Every subscription of the mesh replicates and every slot is read.
    func waitUntilWhole(_ nodes: [String] = Bed.meshNodes, within deadline: Duration = .seconds(60)) async throws {
        let others = nodes.count - 1
        for node in nodes {
            try await eventually("\(node) to replicate from and to all others", within: deadline) {
                try await psql(node, "SELECT (SELECT count(*) FROM spock.sub_show_status() WHERE status = 'replicating'), (SELECT count(*) FROM pg_replication_slots WHERE active)")
                    == "\(others)|\(others)"
            }
        }
    }

    /// Expects that n4 is a member like the others, and that nothing else is left of how it became one.
    /// - Parameter isCopy: whether it is a physical one, which does not archive.
    func expectMember(isCopy: Bool = true) async throws {
        let nodes = Bed.meshNodes + ["n4"]
        try await waitUntilWhole(nodes)
        let sets = try await replicationSets("n4"), model = try await replicationSets("n1")
        #expect(sets == model)
        #expect(sets.contains("regional|app.orders|{id,region,amount}|(region = 'EU'::text)"))
        #expect(sets.contains("default_insert_only|app.events"))
        #expect(sets.contains("regional|app.order_no"))
        for node in nodes {
            #expect(try await psql(node, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pggraft'") == "0", "\(node): a schema of pggraft")
            #expect(try await psql(node, "SHOW spock.readonly") == "off", "\(node)")
            #expect(try await psql(node, "SELECT count(*) FROM spock.node") == "4", "\(node)")
        }
        if isCopy { #expect(try await psql("n4", "SHOW archive_mode") == "off") }
        #expect(try await psql("n4", "SELECT pg_is_in_recovery()") == "f")
        #expect(try await psql("n4", "SELECT count(*) FROM pg_replication_origin") == "3", "the source's origins are gone")
        #expect(
            try await psql("n4", "SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1")
                == psql("n1", "SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY 1"))
        #expect(
            try await psql("n4", "SELECT type, database, user_name, address, auth_method FROM pg_hba_file_rules ORDER BY line_number")
                == psql("n1", "SELECT type, database, user_name, address, auth_method FROM pg_hba_file_rules ORDER BY line_number"), "clients are let in as at the source")

        // A client of the application writes on the new node, through the network, and each set does what it says.
        let client = try conninfo("n4", user: "app")
        let write = try await Bed.execute(
            ["psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", client],
            input: """
                INSERT INTO app.ledger (node, writer, seq) VALUES ('client of n4', 0, 1);
                INSERT INTO app.events (node, writer, seq) VALUES ('client of n4', 0, 1);
                INSERT INTO app.orders VALUES (901, 'EU', 1, 'stays on n4'), (902, 'US', 2, 'stays on n4');
                """)
        #expect(write.status == 0, "\(write.standardError)")
        try await drain(nodes)
        for node in nodes {
            #expect(try await psql(node, "SELECT count(*) FROM app.ledger WHERE node = 'client of n4'") == "1", "\(node)")
            #expect(try await psql(node, "SELECT count(*) FROM app.events WHERE node = 'client of n4'") == "1", "\(node)")
            #expect(
                try await psql(node, "SELECT id, secret_note FROM app.orders WHERE id > 900 ORDER BY 1")
                    == (node == "n4" ? "901|stays on n4\n902|stays on n4" : "901|"), "\(node)")
        }
    }
}
