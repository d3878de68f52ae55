import Bed
import Foundation
import Run
import Testing

/// `conf` and `hba`, over SSH, on nodes of the cluster.
@Suite("The configuration commands", .serialized)
struct ConfigurationTests {
    @Test(arguments: Bed.hasDebianPostgres ? [Bed.Layout.plain, .debian] : [.plain])
    func `a setting is shown, set, proven and taken back`(layout: Bed.Layout) async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh(layout: ["n1": layout])
            let someone = try Operator(of: bed), before = try await Fingerprint(bed)
            let file = try await bed.psql("n1", "SHOW config_file")
            #expect(file == (layout == .debian ? "/etc/postgresql/15/main/postgresql.conf" : "\(Bed.dataDirectory)/postgresql.conf"))

            let shown = try await someone.pggraft("conf", "show", "n1", "max_connections", "work_mem", "--playbook", someone.playbook)
            #expect(shown.status == 0)
            #expect(shown.standardOutput.contains(#/max_connections = \d+\n  from .*\/postgresql(\.auto)?\.conf:\d+\n/#), "\(shown.standardOutput)")
            #expect(shown.standardOutput.contains("work_mem = 4MB\n  from the server's default\n"), "\(shown.standardOutput)")
            let unasked = try await someone.pggraft("conf", "set", "n1", "work_mem=32MB", "--playbook", someone.playbook)
            #expect(unasked.status == 1)
            #expect(unasked.standardError.contains("nobody is there to say yes"), "\(unasked.standardError)")
            #expect(try await before.changes().isEmpty)

            let set = try await someone.pggraft("conf", "set", "n1", "work_mem=32MB", "--playbook", someone.playbook, "--yes")
            #expect(set.status == 0, "\(set.standardOutput)")
            #expect(set.standardOutput.contains("+work_mem = '32MB'"), "\(set.standardOutput)")
            #expect(set.standardOutput.contains("reloaded and read back"), "\(set.standardOutput)")
            #expect(try await bed.psql("n1", "SHOW work_mem") == "32MB")
            let run = try #require(try someone.entries().first?.value?.decoded(as: RunHeader.self).run)
            #expect(try await bed.host("n1").run("ls \(file)*") == "\(file)\n\(file).before-\(run)")
            let runs = try await someone.pggraft("runs")
            #expect(runs.standardOutput.contains(#/conf-set +finished +1 of 1, configure/#), "\(runs.standardOutput)")
            for secret in try someone.secrets() { #expect(try !someone.journalText().contains(secret)) }

            let refused = try await someone.pggraft("conf", "set", "n1", "work_mem=lots", "--playbook", someone.playbook, "--yes")
            #expect(refused.status == 1)
            #expect(refused.standardError.contains("invalid value for parameter \"work_mem\": \"lots\""), "\(refused.standardError)")
            #expect(refused.standardError.contains("It failed. Everything is as it was."), "\(refused.standardError)")
            #expect(try await bed.psql("n1", "SHOW work_mem") == "32MB")

            // To a program, the same in JSON, on standard output alone.
            for (status, words) in [
                (0, ["conf", "show", "n1", "work_mem"]), (2, ["conf", "show", "n1", "wrk_mem"]), (0, ["conf", "set", "n1", "work_mem=32MB"]),
                (1, ["conf", "set", "n1", "work_mem=64MB"]),
                (1, ["conf", "set", "n1", "work_mem=lots", "--yes"]), (1, ["hba", "explain", "n1", "--user", "spock_admin", "--database", "app", "--from", "192.0.2.1"]),
                (2, ["hba", "explain", "n1", "--user", "nobody", "--database", "app", "--from", "192.0.2.1"]),
                (0, ["runs"]), (0, ["show", run]), (1, ["show", "nowhere"]), (0, ["plan", someone.playbook]), (0, ["check", someone.playbook]), (2, ["check", "/nowhere"]),
            ] {
                let hasNode = ["conf", "hba"].contains(words[0])
                let output = try await someone.start(words + (hasNode ? ["--playbook", someone.playbook] : []) + ["--output", "json"]).wait(within: .seconds(120))
                #expect(output.status == status, "\(words): \(output.standardOutput)\(output.standardError)")
                #expect(output.standardError.isEmpty, "\(words): \(output.standardError)")
                let lines = try output.standardOutput.split(separator: "\n").map { try JSONDecoder().decode([String: JSON].self, from: Data($0.utf8)) }
                #expect(lines.last?["status"] == .integer(Int64(status)), "\(words): \(lines)")
                #expect(lines.count == 1 || lines.allSatisfy { $0["event"] != nil }, "\(words)")
            }
            #expect(try await bed.psql("n1", "SHOW work_mem") == "32MB")

            let undone = try await someone.pggraft("undo", run)
            #expect(undone.status == 0, "\(undone.standardOutput)")
            #expect(try await bed.psql("n1", "SHOW work_mem") == "4MB")
            #expect(try await bed.host("n1").run("ls \(file)*") == file)
            let again = try await someone.pggraft("conf", "reset", "n1", "work_mem", "--playbook", someone.playbook, "--yes")
            #expect(again.status == 0 && again.standardOutput.contains("work_mem = 4MB, from the server's default"), "\(again.standardOutput)")
        }
    }

    @Test func `a rule is explained, let in where it takes effect, and taken back`() async throws {
        try await Bed.exclusively { bed in
            try await bed.mesh()
            let someone = try Operator(of: bed), file = "\(Bed.dataDirectory)/pg_hba.conf", before = try await bed.host("n1").run("cat \(file)")
            // As ssh knows the node, and as the role that may look.
            let node = ["n1", "--role", "spock_admin", "--maintenance-db", "app"]
            func pggraft(_ words: String...) async throws -> CommandOutput {
                try await someone.start(Array(words.prefix(2)) + node + words.dropFirst(2)).wait(within: .seconds(120))
            }
            let stranger = try await pggraft("hba", "explain", "--user", "nobody", "--database", "app", "--from", "192.0.2.1")
            #expect(stranger.status == 1)
            #expect(stranger.standardOutput.contains("no line matches: the connection is refused"), "\(stranger.standardOutput)")
            #expect(stranger.standardOutput.contains("192.0.2.1 is not in ") || stranger.standardOutput.contains("the client comes from 192.0.2.1"), "\(stranger.standardOutput)")

            let risky = try await pggraft("hba", "allow", "--user", "nobody", "--database", "app", "--from", "0.0.0.0/0", "--method", "trust", "--yes")
            #expect(risky.status == 1)
            #expect(risky.standardOutput.contains("--any-address") && risky.standardOutput.contains("--trust-over-network"), "\(risky.standardOutput)")
            let allowed = try await pggraft("hba", "allow", "--user", "nobody", "--database", "app", "--from", "192.0.2.0/24", "--method", "scram-sha-256", "--yes")
            #expect(allowed.status == 0, "\(allowed.standardOutput)")
            let run = try #require(try someone.entries().first?.value?.decoded(as: RunHeader.self).run)
            let explained = try await pggraft("hba", "explain", "--user", "nobody", "--database", "app", "--from", "192.0.2.1")
            #expect(explained.standardOutput.contains(#/pg_hba.conf:\d+ decides: scram-sha-256/#), "\(explained.standardOutput)")
            #expect(explained.standardOutput.contains("# pggraft \(run)"), "\(explained.standardOutput)")
            #expect(try await bed.psql("n1", "SELECT auth_method FROM pg_hba_file_rules WHERE address = '192.0.2.0'") == "scram-sha-256")
            let twice = try await pggraft("hba", "allow", "--user", "nobody", "--database", "app", "--from", "192.0.2.0/24", "--method", "scram-sha-256", "--yes")
            #expect(twice.status == 0 && twice.standardOutput.contains("does that already"), "\(twice.standardOutput)")

            let removed = try await pggraft("hba", "remove", run, "--yes")
            #expect(removed.status == 0, "\(removed.standardOutput)")
            #expect(try await bed.host("n1").run("cat \(file)") == before)
            #expect(try await bed.psql("n1", "SELECT count(*) FROM pg_hba_file_rules WHERE address = '192.0.2.0'") == "0")
            #expect(try await bed.host("n1").run("ls \(file)*") != file)
            let unasked = try await someone.pggraft("clean")
            #expect(unasked.status == 1 && unasked.standardOutput.contains("\(file).before-\(run) on n1\n"), "\(unasked.standardOutput)")
            let cleaned = try await someone.pggraft("clean", "--yes")
            #expect(cleaned.status == 0 && cleaned.standardOutput.hasSuffix("2 runs are removed.\n"), "\(cleaned.standardOutput)\(cleaned.standardError)")
            #expect(try await bed.host("n1").run("ls \(file)*") == file)
            #expect(try someone.journals() == [])
        }
    }
}
