import Bed
import Foundation
import Glibc
import Testing

/// Everything that the doctor looks for, made wrong on real servers, one thing at a time.
@Suite("pggraft doctor", .serialized)
struct DoctorTests {
    private struct Finding {
        var kind, node, object, found, mend: String

        init(_ object: [String: Any]) {
            func text(_ field: String) -> String { object[field] as? String ?? "" }
            (kind, node, self.object, found, mend) = (text("kind"), text("node"), text("object"), text("found"), text("mend"))
        }
    }

    private struct Clinic: Sendable {
        let bed: Bed
        let someone: Operator

        func findings() async throws -> [Finding] {
            let output = try await someone.pggraft("doctor", "--output", "json", someone.playbook)
            let object = try #require(try JSONSerialization.jsonObject(with: Data(output.standardOutput.utf8)) as? [String: Any], "\(output.standardOutput)\(output.standardError)")
            let findings = (object["findings"] as? [[String: Any]] ?? []).map(Finding.init)
            #expect(output.status == (findings.isEmpty ? 0 : 1))
            return findings
        }

        /// Expects that just this is found.
        @discardableResult
        func finds(_ kind: String, on node: String, _ object: String, _ words: String = "", sourceLocation: SourceLocation = #_sourceLocation) async throws -> String {
            let found = try await findings()
            #expect(
                found.count == 1 && found.first?.kind == kind && found.first?.node == node && found.first?.object == object
                    && (words.isEmpty || found.first?.found.contains(words) ?? false),
                "\(found)", sourceLocation: sourceLocation)
            return found.first?.mend ?? ""
        }

        /// Expects the same, and that what it says mends it does so.
        func findsAndMends(_ kind: String, on node: String, _ object: String, _ words: String = "", sourceLocation: SourceLocation = #_sourceLocation) async throws {
            let mend = try await finds(kind, on: node, object, words, sourceLocation: sourceLocation)
            try await bed.psql(node, mend)
        }

        func isWell(_ what: String, sourceLocation: SourceLocation = #_sourceLocation) async throws {
            let found = try await findings()
            #expect(found.isEmpty, "after \(what): \(found)", sourceLocation: sourceLocation)
        }

        func restart(_ node: String, _ statements: String...) async throws {
            for statement in statements { try await bed.psql(node, statement) }
            try await bed.host(node).stopPostgres()
            try await bed.host(node).startPostgres()
            try await bed.waitUntilWhole()
        }
    }

    @Test func `names each thing that is wrong with a mesh, and nothing else`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let clinic = Clinic(bed: bed, someone: try Operator(of: bed)), data = Bed.dataDirectory
            try await clinic.isWell("nothing")
            let text = try await clinic.someone.pggraft("doctor", clinic.someone.playbook)
            #expect(text.status == 0 && text.standardOutput == "Nothing was found on n1, n2 and n3.\n", "\(text.standardOutput)\(text.standardError)")

            // What any server may have.
            try await bed.psql("n1", "SELECT pg_create_physical_replication_slot('left_over', true)")
            try await clinic.findsAndMends("unread_slot", on: "n1", "slot left_over", "nobody reads it; it keeps ")
            try await bed.psql("n2", "ALTER SYSTEM SET recovery_target_name = 'before'")
            try await clinic.finds("recovery_target", on: "n2", "setting recovery_target_name", "'before' (\(data)/postgresql.auto.conf:")
            try await bed.psql("n2", "ALTER SYSTEM RESET recovery_target_name")
            for file in ["standby.signal", "recovery.signal"] {
                try await bed.host("n3").run("touch \(data)/\(file)")
                let mend = try await clinic.finds("signal_file", on: "n3", "file \(file)", "of a primary that runs")
                try await bed.host("n3").run(mend)
            }
            for (line, kind) in [("host all all 0.0.0.0/0 scram-sha-256", "open_rule"), ("host app app 10.77.0.0/24 trust", "trust")] {
                try await bed.host("n1").run("cp -p \(data)/pg_hba.conf /tmp/hba && echo '\(line)' >>\(data)/pg_hba.conf")
                let number = try await bed.host("n1").run("wc -l <\(data)/pg_hba.conf")
                try await clinic.finds(kind, on: "n1", "line \(number) of \(data)/pg_hba.conf", line)
                try await bed.host("n1").run("cp -p /tmp/hba \(data)/pg_hba.conf")
            }
            try await bed.host("n3").run(#"printf '#!/bin/sh\nexec /bin/date -d "3 seconds ago" "$@"\n' >/usr/local/bin/date && chmod 755 /usr/local/bin/date"#)
            try await clinic.finds("clock", on: "n3", "clock", " behind those of the others")
            try await bed.host("n3").run("rm /usr/local/bin/date")

            // Origins and ids.
            try await bed.psql("n2", "SELECT pg_replication_origin_create('spk_app_n9_sub_n9_n2')")
            try await clinic.findsAndMends("stale_origin", on: "n2", "replication origin spk_app_n9_sub_n9_n2")
            try await bed.psql(
                "n2",
                """
                SELECT pg_replication_origin_create('gone'); SELECT pg_replication_origin_advance('gone', '0/1000'); SET allow_system_table_mods = on;
                DELETE FROM pg_replication_origin WHERE roname = 'gone'
                """)
            let number = try await bed.psql(
                "n2", "SELECT local_id FROM pg_replication_origin_status s WHERE NOT EXISTS (SELECT FROM pg_replication_origin o WHERE o.roident = s.local_id)")
            try await clinic.findsAndMends("ownerless_state", on: "n2", "replication state \(number)", "it stands at 0/1000")
            try await bed.psql("n1", "CREATE DATABASE crm")
            try await bed.psql("n1", "CREATE EXTENSION spock", database: "crm")
            try await bed.psql("n1", "SELECT spock.node_create('n2', 'host=10.77.0.11 dbname=crm user=spock_admin')", database: "crm")
            try await clinic.finds("shared_node_id", on: "n1", "database crm", "(n2 here, n2 there)")
            try await bed.psql("n1", "SELECT spock.node_drop('n2')", database: "crm")
            try await clinic.isWell("origins and ids")

            // Sets, tables and sequences.
            try await bed.psql("n2", "SELECT spock.sub_remove_repset('sub_n1_n2', 'regional')")
            try await bed.waitUntilWhole()
            let adding = try await clinic.finds("set_left_out", on: "n2", "subscription sub_n1_n2", "the replication set regional of n1, which has app.orders")
            try await bed.psql("n2", String(adding.dropFirst("compare the tables, then ".count)))
            try await bed.waitUntilWhole()
            try await bed.psql("n3", "CREATE TABLE app.notes (id integer PRIMARY KEY)")
            try await clinic.finds("table_in_no_set", on: "n3", "table app.notes")
            try await bed.psql("n3", "DROP TABLE app.notes")
            try await bed.psql("n1", "CREATE TABLE app.keyless (id integer CONSTRAINT one PRIMARY KEY); SELECT spock.repset_add_table('default', 'app.keyless')")
            try await bed.psql("n1", "ALTER TABLE app.keyless DROP CONSTRAINT one")
            try await clinic.finds("table_without_key", on: "n1", "table app.keyless", "is in default, which replicates UPDATE and DELETE")
            try await bed.psql("n1", "SELECT spock.repset_remove_table('default', 'app.keyless'); DROP TABLE app.keyless")
            for node in ["n1", "n2"] {
                let key = node == "n1" ? "serial" : "integer GENERATED BY DEFAULT AS IDENTITY"
                try await bed.psql(node, "CREATE TABLE app.numbered (id \(key) PRIMARY KEY); SELECT spock.repset_add_table('default', 'app.numbered')")
            }
            let numbering = try await clinic.finds(
                "colliding_sequence", on: "n1 and n2", "sequence app.numbered_id_seq", "n1 goes on with 1 in steps of 1, n2 goes on with 1 in steps of 1")
            for line in numbering.split(separator: "\n") where line.contains(": ALTER SEQUENCE") {
                let words = line.split(separator: ":", maxSplits: 1)
                try await bed.psql(String(words[0]), String(words[1]))
            }
            try await clinic.isWell("the steps of the sequence")
            for node in ["n1", "n2"] { try await bed.psql(node, "SELECT spock.repset_remove_table('default', 'app.numbered'); DROP TABLE app.numbered") }

            // What a member must be.
            try await bed.psql(
                "n2",
                """
                INSERT INTO spock.exception_log (remote_origin, remote_commit_ts, command_counter, retry_errored_at, remote_xid, table_schema, table_name, error_message)
                VALUES (1, now(), 1, now(), 7, 'app', 'ledger', 'duplicate key')
                """)
            try await clinic.finds("exceptions", on: "n2", "spock.exception_log", ", of app.ledger: duplicate key")
            try await bed.psql("n2", "DELETE FROM spock.exception_log")
            // A worker that stands still, and whose sender is gone.
            let worker = try await bed.psql(
                "n2", "SELECT pid FROM pg_stat_activity a JOIN spock.subscription s ON a.backend_type LIKE '% apply %:' || s.sub_id WHERE s.sub_name = 'sub_n1_n2'")
            try await bed.host("n2").run("kill -STOP \(worker)")
            try await bed.psql("n1", "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name LIKE '%sub_n1_n2'")
            try await eventually("the slot to be unread", within: .seconds(30)) {
                try await bed.psql("n1", "SELECT NOT active FROM pg_replication_slots WHERE slot_name LIKE '%sub_n1_n2'") == "t"
            }
            try await clinic.finds("unread_subscription", on: "n2", "subscription sub_n1_n2", "its status is replicating, and nobody reads its slot ")
            try await bed.host("n2").run("kill -CONT \(worker)")
            try await bed.waitUntilWhole()
            try await bed.psql("n3", "ALTER SYSTEM SET track_commit_timestamp = off")
            try await clinic.findsAndMends("no_commit_times", on: "n3", "setting track_commit_timestamp", "off from the next start on")
            try await clinic.restart("n3", "ALTER SYSTEM SET max_wal_senders = 2")
            let raising = try await clinic.finds("limit", on: "n3", "setting max_wal_senders", "2")
            #expect(raising == "ALTER SYSTEM SET max_wal_senders = 3, and restart n3")
            try await clinic.restart("n3", "ALTER SYSTEM RESET max_wal_senders")
            try await clinic.isWell("all of it")

            try await bed.host("n3").stopPostgres()
            let found = try await clinic.findings()
            #expect(found.contains { $0.kind == "not_looked_at" && $0.node == "n3" && $0.found.contains("could not be looked at") }, "\(found)")
            let unread = found.filter { $0.kind == "unread_slot" }
            #expect(unread.map(\.node) == ["n1", "n2"] && unread.allSatisfy { $0.mend.hasPrefix("it may be that of n3, which could not be looked at") }, "\(found)")
        }
    }
}
