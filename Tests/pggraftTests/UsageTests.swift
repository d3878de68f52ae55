import ArgumentParser
import Testing

@testable import pggraft

@Suite("A command line that makes no sense")
struct UsageTests {
    static let rule: [String] = ["hba", "allow", "n1", "--user", "app", "--database", "app", "--from", "10.0.0.1", "--method", "md5"]

    /// What is typed, the command whose usage is shown, and a part of what is said.
    static let lines: [(words: [String], command: String, said: String)] = [
        (["conf", "set", "n1", "work_mem"], "conf set", "work_mem is not NAME=VALUE"),
        (["conf", "set", "n1"], "conf set", "Missing expected argument"),
        (["conf", "reset", "n1", "a=b"], "conf reset", "a=b is no name of a setting"),
        (["conf", "show", "n1", "--prot", "5"], "conf show", "Unknown option '--prot'"),
        (["hba", "explain", "n1", "--user", "app", "--from", "10.0.0.1"], "hba explain", "--database or --replication is needed"),
        (["hba", "explain", "n1", "--user", "app", "--database", "app", "--from", "db.example.com"], "hba explain", "--from takes an IP address, or local; not db.example.com"),
        (["hba", "remove", "n1", " "], "hba remove", "The name of the run is empty."),
        (rule + ["--replication"], "hba allow", "--replication is for a standby's connections, which are to no database"),
        (rule + ["--regex"], "hba allow", "--regex is for a --user or a --database that begins with a slash"),
        (["check"], "check", "Missing expected argument '<playbook>'"),
    ]

    /// Options of a rule, each instead of the same of ``rule``, and a part of what is said.
    static let mistakes: [(option: String, value: String, said: String)] = [
        ("--user", "", "--user is empty"), ("--user", " ", "--user is empty"), ("--database", "", "--database is empty"), ("--from", "", "--from is empty"),
        ("--user", "@app", "@app stands for a file of names in pg_hba.conf"), ("--database", "@app", "@app stands for a file"), ("--user", "/", "nothing behind the /"),
        ("--user", "+", "nothing behind the +"), ("--user", "a\nb", "a line end in it"), ("--database", "replication", "for the connections of standbys say --replication"),
        ("--from", "10.0.0.256", "10.0.0.256 is no address, no network and no name of a host"), ("--from", "10.0.0.0 255.0.0.0", "HINT: a network is written ADDRESS/BITS"),
        ("--from", "ALL", "HINT: write all, in small letters"),
    ]

    private func message(_ words: [String]) throws -> (status: Int32, text: String) {
        let error = try #require(throws: (any Error).self, "\(words)") { try PGGraft.parseAsRoot(words) }
        return (PGGraft.exitCode(for: error).rawValue, PGGraft.fullMessage(for: error))
    }

    @Test("ends with 64, and shows the usage of the command itself", arguments: lines)
    func usage(words: [String], command: String, said: String) throws {
        let (status, text) = try message(words)
        #expect(status == 64)
        #expect(text.contains(said), "\(text)")
        #expect(text.contains("Usage: pggraft \(command) "), "\(text)")
        // Once, and before anything else.
        #expect(text.hasPrefix("Error: ") && text.ranges(of: said).count == 1, "\(text)")
    }

    @Test("also where a rule would say something else than it seems to", arguments: mistakes)
    func mistaken(option: String, value: String, said: String) throws {
        let place = try #require(Self.rule.firstIndex(of: option))
        var words = Self.rule
        words[place + 1] = value
        let (status, text) = try message(words)
        #expect(status == 64)
        #expect(text.contains(said) && text.contains("Usage: pggraft hba allow "), "\(text)")
    }

    @Test("and one that makes sense is read")
    func read() throws {
        for words in [Self.rule, Array(Self.rule.dropLast(2)) + ["--method", "password", "--clear-text-over-network"]] {
            #expect(try PGGraft.parseAsRoot(words) is HBAAllow)
        }
    }
}
