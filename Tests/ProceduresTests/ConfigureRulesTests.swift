import EventLoop
import Foundation
import Instance
import PostgresClient
import PostgresConfig
import Report
import Scratch
import Testing

@testable import Procedures

extension Configured {
    /// Whether the server lets a role in, over TCP from an address of this machine.
    fileprivate func letsIn(_ role: String, from address: String = "127.0.0.1", to database: String = "postgres") async throws -> Bool {
        do {
            let connection = try await PostgresConnection.connect(
                to: Conninfo(["host": address, "port": "\(instance.port)", "user": role, "dbname": database, "sslmode": "disable"]), node: "n1", deadline: soon)
            await connection.close()
            return true
        } catch let error as PostgresError where error.code == "28000" {
            return false
        }
    }

    /// Roles and a database on the server, for rules to name; the rules of the file behind the lines that let the superuser in.
    fileprivate func prepare(_ statements: [SQL] = [], rules: String) async throws {
        let connection = try await instance.connect()
        for statement in statements { _ = try await connection.query(statement, deadline: soon) }
        await connection.close()
        try await write("local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n" + rules, to: "pg_hba.conf")
        try await instance.reloadByLog(deadline: soon)
    }

    fileprivate func doubts(_ rule: String, accepting: [HBARisk] = []) async throws -> (problems: [String], remarks: [String]) {
        let plan = try await plan(.allow(rule: rule, accepting: accepting.map(\.flag)))
        return (plan.problems.map(\.description), plan.remarks)
    }
}

@Suite("Letting a connection in", .serialized) struct ConfigureRulesTests {
    @Test("a name with a slash is a regular expression from 16 on, quoted or not, which lets in whatever fits: it needs a word of its own", arguments: ScratchArea.versions)
    func slash(binaries: String) async throws {
        let n1 = try await Configured(binaries: binaries), knowsExpressions = n1.instance.version >= .postgres(16)
        try await n1.prepare(["CREATE ROLE x LOGIN", "CREATE ROLE fox LOGIN", "CREATE DATABASE xen"], rules: "")
        for rule in ["host all \"/x\" 127.0.0.1/32 trust", "host all /x 127.0.0.1/32 trust"] {
            let plan = try await n1.doubts(rule)
            guard knowsExpressions else {
                #expect(plan.problems.isEmpty)
                #expect(plan.remarks.contains("there is no role /x on n1: until there is, the rule matches nobody"), "\(plan.remarks)")
                continue
            }
            #expect(
                plan.problems == [
                    "n1: the rule is for every role that fits /x: a regular expression that need fit only a part of the name\n  HINT: name the risk, if that is meant: --regex"
                ])
        }
        let meant = try await n1.doubts("host /x /x 127.0.0.1/32 trust", accepting: [.regularExpression])
        #expect(meant.problems.isEmpty == knowsExpressions, "\(meant.problems)")
        // Of one that refuses there is nothing to fear, and the word may be said all the same.
        let refusing = try await n1.doubts("host all /x 127.0.0.1/32 reject", accepting: [.regularExpression])
        #expect(refusing.problems == (knowsExpressions ? [] : meant.problems))
        if knowsExpressions {
            #expect(meant.remarks.contains("/x fits today: fox, x and xen"), "\(meant.remarks)")
            let broken = try await n1.doubts("host all \"/(x\" 127.0.0.1/32 trust", accepting: [.regularExpression])
            #expect(broken.problems.first?.hasPrefix("n1: the server cannot read the regular expression") == true, "\(broken.problems)")
        } else {
            #expect(meant.problems == ["n1: in pg_hba.conf PostgreSQL 15 knows no regular expressions: what begins with a slash is a name there"])
        }

        // What the server makes of such a line, written without that word.
        try await n1.prepare(rules: "host all \"/x\" 127.0.0.1/32 trust\n")
        #expect(try await n1.letsIn("fox") == knowsExpressions)
        #expect(try await n1.letsIn("x") == knowsExpressions)
        try await n1.prepare(rules: "host all /x 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust\n")
        #expect(try await n1.letsIn("fox") != knowsExpressions)
        try await n1.end()
    }

    @Test("members are named, and roles, databases and hosts that are not there")
    func names() async throws {
        let n1 = try await Configured()
        try await n1.prepare(
            ["CREATE ROLE team", "CREATE ROLE \"+ann\"", "CREATE ROLE ann LOGIN IN ROLE team", "CREATE ROLE bob LOGIN", "GRANT ann TO bob", "CREATE ROLE \"a,b\" LOGIN"], rules: "")
        let members = try await n1.doubts("host all +team 127.0.0.1/32 trust")
        #expect(members.problems.isEmpty && members.remarks.contains("to team belong today: ann and bob"), "\(members)")
        let two = try await n1.doubts("host all +ann 127.0.0.1/32 trust")
        #expect(two.remarks.contains("there is a role +ann, too: the rule is not for it, but for the members of ann"), "\(two.remarks)")
        let absent = try await n1.doubts("host postgrse +taem 127.0.0.1/32 trust")
        #expect(absent.problems.isEmpty)
        #expect(absent.remarks.contains("there is no role taem on n1: until there is, the rule matches nobody; did you mean team?"), "\(absent.remarks)")
        #expect(absent.remarks.contains("there is no database postgrse on n1: until there is, the rule matches nobody; did you mean postgres?"), "\(absent.remarks)")
        let capital = try await n1.doubts("host all ALL 127.0.0.1/32 trust")
        #expect(capital.remarks.contains { $0.hasSuffix("did you mean all?") }, "\(capital.remarks)")
        let several = try await n1.doubts("host all \"ann,bob\" 127.0.0.1/32 trust")
        #expect(several.problems == ["n1: ann,bob would be the name of one role, which is not there\n  HINT: a rule for each role"])
        let one = try await n1.doubts("host all \"a,b\" 127.0.0.1/32 trust")
        #expect(one.problems.isEmpty && one.remarks == ["the rule becomes line 3"], "\(one)")

        // The host's own resolver is asked, as the server will ask it.
        let found = try await n1.doubts("host all ann localhost scram-sha-256")
        #expect(found.problems.isEmpty, "\(found.problems)")
        for name in ["no-such-host.invalid", "10.0.0.256"] {
            let lost = try await n1.doubts("host all ann \(name) scram-sha-256")
            #expect(lost.problems.first?.hasPrefix("n1: its host finds no address of \(name): the rule would match nobody\n  HINT: ") == true, "\(lost.problems)")
        }

        // With nobody to ask, that is said.
        try await n1.instance.stop(deadline: soon)
        let unasked = try await n1.doubts("host all ann 127.0.0.1/32 trust")
        #expect(unasked.remarks.contains("nobody could ask whether there is a role ann on n1"), "\(unasked.remarks)")
        let doubtful = try await n1.doubts("host all \"ann,bob\" 127.0.0.1/32 trust")
        #expect(doubtful.problems == ["n1: ann,bob would be the name of one role, which nobody can ask for\n  HINT: a rule for each role"])
        n1.area.end()
    }

    /// A name of 127.0.0.1 that is not its first one, as /etc/hosts has it; `nil` where there is none.
    static let otherName: String? = {
        let lines = (try? String(contentsOfFile: "/etc/hosts", encoding: .utf8))?.split(separator: "\n") ?? []
        let names = lines.map { $0.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace) }.filter { $0.first == "127.0.0.1" }.flatMap { $0.dropFirst() }
        return names.dropFirst().first { $0 != names.first }.map(String.init)
    }()

    @Test("a name under which no address is known to the server's host matches nobody", .enabled(if: otherName != nil, "127.0.0.1 has one name in /etc/hosts"))
    func otherNames() async throws {
        let n1 = try await Configured(), name = try #require(Self.otherName)
        try await n1.prepare(["CREATE ROLE ann LOGIN", "CREATE ROLE bob LOGIN"], rules: "host all ann \(name) trust\nhost all bob localhost trust\n")
        // The server takes the one and not the other.
        #expect(try await n1.letsIn("bob"))
        #expect(try await !n1.letsIn("ann"))
        let doubts = try await n1.doubts("host all ann \(name) trust", accepting: [.trustOverNetwork])
        #expect(
            doubts.problems.first?.hasPrefix(
                "n1: to its host the addresses of \(name) are called localhost, and the server goes by the name of a client's address: the rule would match nobody") == true,
            "\(doubts.problems)")
        #expect(try await n1.doubts("host all ann LocalHost trust", accepting: [.trustOverNetwork]).problems.isEmpty)
        try await n1.end()
    }

    @Test("every reject that the rule goes before is shown, also behind others and in files that are included")
    func rejects() async throws {
        let n1 = try await Configured(binaries: ScratchArea.versions[1])
        try await n1.write("host all all 127.0.0.0/30 reject\n", to: "more.conf")
        try await n1.prepare(
            ["CREATE ROLE ann LOGIN", "CREATE ROLE bob LOGIN"],
            rules: "host all ann 127.0.0.9/32 trust\nhost all bob 127.0.0.2/32 reject\nhost all ann 127.0.0.2/32 reject\nhost sales ann all reject\ninclude more.conf\n")
        #expect(try await !n1.letsIn("ann", from: "127.0.0.1"))
        let rule = "host postgres ann 127.0.0.0/8 trust", data = n1.instance.dataDirectory
        let plan = try await n1.doubts(rule)
        let expected = ["\(data)/pg_hba.conf:5: host all ann 127.0.0.2/32 reject", "\(data)/more.conf:1: host all all 127.0.0.0/30 reject"]
        let said = plan.remarks.filter { $0.contains("reject") }
        #expect(said == expected.map { "\($0) refuses what it matches today, and will not where the rule matches it, too" }, "\(plan.remarks)")
        _ = try await n1.change(.allow(rule: rule, accepting: []))
        #expect(try await n1.letsIn("ann", from: "127.0.0.1"))

        // A reject takes nothing from another one, and what is there already is before them.
        let reject = try await n1.doubts("host postgres ann 127.0.0.0/8 reject")
        #expect(!reject.remarks.contains { $0.contains("refuses what it matches") }, "\(reject.remarks)")
        let again = try await n1.doubts(rule)
        #expect(again.remarks.isEmpty, "\(again.remarks)")
        try await n1.end()
    }

    @Test("the server does not look at the interface behind an address, which a rule therefore does not name")
    func zone() async throws {
        let n1 = try await Configured(settings: "listen_addresses = '127.0.0.1, ::1'\n")
        try await n1.prepare(["CREATE ROLE ann LOGIN", "CREATE ROLE bob LOGIN"], rules: "host all ann ::1%7/128 trust\nhost all bob ::2%7/128 trust\n")
        #expect(try await n1.letsIn("ann", from: "::1"))
        #expect(try await !n1.letsIn("bob", from: "::1"))
        try await n1.end()
    }
}
