import Foundation
import PostgresConfig
import Testing

@Suite("pg_hba.conf") struct HBAFileTests {
    static let standby = IPNetwork("10.77.0.12")
    static let server = HBAServer(.postgres(16))

    static func rule(_ method: String = "scram-sha-256") throws -> HBARule {
        HBARule(.host, databases: [.replication], users: [.named("replicator")], from: .network(try #require(standby)), method: method)
    }
    static let line = "host    replication     replicator      10.77.0.12/32           scram-sha-256\n"

    @Test(
        "keeps every byte",
        arguments: [
            "", "# only a comment", "local all all peer\r\n\r\nhost all all 0.0.0.0/0 md5", "host all all \\\n  10.0.0.0/8 \\\n  md5 # x\nnonsense\n",
        ])
    func roundTrip(text: String) {
        #expect(HBAFile(text, for: Self.server).text == text)
    }

    @Test(
        "a rule is written so that it is read back as itself",
        arguments: [
            HBARule(localTo: [.all], users: [.named("postgres")], method: "peer"),
            HBARule(
                .hostssl, databases: [.named("my db"), .named("all"), .replication], users: [.named("@x"), .memberOf("my group"), .named("+y")],
                from: .hostName("db.example.org"), method: "cert", options: [.init("map", "a b"), .init("clientcert", "verify-full")]),
            HBARule(.hostnossl, databases: [.sameUser, .sameRole], users: [.all], from: .sameNet, method: "reject"),
            HBARule(.host, databases: [.file("dbs"), .named("a\"b")], users: [.regex("^app.*$"), .named("")], from: .all, method: "md5"),
        ])
    func writtenAndRead(rule: HBARule) {
        #expect(HBAFile("\(rule)\n", for: Self.server).rules == [rule])
    }

    @Test("a rule is written in the usual columns")
    func columns() throws {
        #expect("\(try Self.rule())\n" == Self.line)
        #expect(
            "\(HBARule(localTo: [.all], users: [.named("postgres")], method: "peer"))"
                == "local   all             postgres                                peer")
    }

    /// A file before and after; RULE stands for the line of the rule.
    static let insertions: [(String, String)] = [
        // Nothing there, or nothing that concerns it: at the end.
        ("", "RULE"),
        ("local all all peer", "local all all peer\nRULE"),
        ("host all all 0.0.0.0/0 reject\n", "host all all 0.0.0.0/0 reject\nRULE"),
        ("host replication other 10.77.0.12/32 md5\n", "host replication other 10.77.0.12/32 md5\nRULE"),
        ("host replication all 10.78.0.0/16 md5\n", "host replication all 10.78.0.0/16 md5\nRULE"),
        // A broad line before.
        ("# who\nhost replication all 127.0.0.1/0 trust\n", "# who\n" + "RULEhost replication all 127.0.0.1/0 trust\n"),
        (
            "local all all peer\nhostssl replication +dba 10.77.0.0/24 reject\nx\n",
            "local all all peer\n" + "RULEhostssl replication +dba 10.77.0.0/24 reject\nx\n"
        ),
        ("host replication replicator samenet md5\n", "RULEhost replication replicator samenet md5\n"),
        ("host replication @repl db.example.org md5\n", "RULEhost replication @repl db.example.org md5\n"),
        ("host @all replicator 10.0.0.0 255.0.0.0 md5\n", "RULEhost @all replicator 10.0.0.0 255.0.0.0 md5\n"),
        ("include other.conf\n", "RULEinclude other.conf\n"),
        // Already there, but shadowed.
        ("host replication all all reject\nRULE", "RULEhost replication all all reject\nRULE"),
    ]

    @Test("a rule goes before the first line that would decide in its place", arguments: insertions)
    func ensure(text: String, expected: String) throws {
        let expected = expected.replacingOccurrences(of: "RULE", with: Self.line)
        var file = HBAFile(text.replacingOccurrences(of: "RULE", with: Self.line), for: Self.server)
        #expect(file.ensure(try Self.rule()).changed)
        #expect(file.text == expected)
        #expect(file.ensure(try Self.rule()).changed == false)
        #expect(file.text == expected)
    }

    @Test(
        "a rule that holds already changes nothing",
        arguments: [
            Self.line,
            "host replication replicator 10.77.0.0/24 scram-sha-256 # by hand\n",
            "host all,replication all 10.77.0.12 255.255.255.255 scram-sha-256\nhost replication all all reject\n",
            "host replication all all scram-sha-256\n",
        ])
    func unchanged(text: String) throws {
        var file = HBAFile(text, for: Self.server)
        #expect(file.ensure(try Self.rule()).changed == false)
        #expect(file.text == text)
    }

    @Test("a rule is taken out again, and nothing else")
    func remove() throws {
        var file = HBAFile("local all all peer\n" + Self.line + "host all all all reject\n", for: Self.server)
        #expect(file.remove(try Self.rule()))
        #expect(file.text == "local all all peer\nhost all all all reject\n")
        #expect(file.remove(try Self.rule()) == false)
    }

    @Test("a closed file holds the given lines and no other")
    func closed() throws {
        let rules = [HBARule(localTo: [.all], users: [.named("postgres")], method: "peer"), try Self.rule()]
        let file = HBAFile(only: rules, comment: "closed until the node has joined", for: Self.server)
        #expect(file.text == "# closed until the node has joined\nlocal   all             postgres                                peer\n" + Self.line)
        #expect(file.rules == rules)
    }

    @Test("names the files it needs")
    func references() {
        let file = HBAFile("host @dbs,x @\"my users\" all md5\ninclude_dir hba.d\nlocal /re all peer\n", for: Self.server)
        #expect(file.referencedFiles == ["dbs", "my users", "hba.d"])
    }

    @Test(
        "addresses",
        arguments: [
            ("10.77.0.0/24", "10.77.0.12", true, true), ("10.77.0.12", "10.77.0.0/24", false, true), ("0.0.0.0/0", "10.0.0.1", true, true),
            ("127.0.0.1/0", "10.0.0.1", true, true), ("10.77.1.0/24", "10.77.0.12", false, false), ("::/0", "10.0.0.1", false, false),
            ("fd00::/8", "fd00:1::7", true, true), ("10.0.0.0/9", "10.128.0.0/9", false, false),
        ])
    func networks(outer: String, inner: String, contains: Bool, overlaps: Bool) throws {
        let (outer, inner) = (try #require(IPNetwork(outer)), try #require(IPNetwork(inner)))
        #expect(outer.contains(inner) == contains)
        #expect(outer.overlaps(inner) == overlaps)
    }

    @Test("is no address", arguments: ["", "10.0.0", "10.0.0.0/33", "10.0.0.0/", "db1", "10.0.0.1/-1", "1.2.3.4/24/1"])
    func noNetwork(text: String) {
        #expect(IPNetwork(text) == nil)
    }
}
