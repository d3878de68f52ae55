import PostgresConfig
import Testing

@Suite("Own lines in pg_hba.conf") struct HBAEnsureTests {
    static let mark = HBAMark("pggraft 2026-11-21-a")

    @Test("says where the line went, and which one would have shadowed it")
    func shadow() throws {
        var file = HBAFile("# who\nlocal all all peer\nhost all all \\\n 0.0.0.0/0 reject\nhost all all ::/0 md5\n", for: HBAServer(.postgres(15)))
        let rule = try HBAFileTests.rule("md5")
        var app = rule
        app.databases = [.named("app")]
        let first = file.ensure(rule)
        #expect(first == .inserted(line: 6, before: nil))
        let second = file.ensure(app)
        #expect(second == .inserted(line: 3, before: .init(line: 3, text: "host all all \\ 0.0.0.0/0 reject")))
        let third = file.ensure(app)
        #expect(third == .present(line: 3))
        let fourth = file.ensure(rule)
        #expect(fourth == .present(line: 7))
    }

    @Test("marked lines are found and taken out, and only they", arguments: ["\n", "\r\n"])
    func marked(end: String) throws {
        let text = ["# pggraft 2026-11-21-a", "local all all peer # pggraft 2026-11-21-b", "host all all all reject", ""].joined(separator: end)
        var file = HBAFile(text, for: HBAServer(.postgres(16)))
        let mark = try #require(Self.mark)
        let rule = HBARule(.host, databases: [.named("a#b")], users: [.all], from: .sameNet, method: "md5")
        let first = file.ensure(rule, mark: mark)
        #expect(first.changed)
        let second = file.ensure(rule, mark: mark)
        #expect(second.changed == false)
        #expect(file.text.contains("md5  # pggraft 2026-11-21-a\(end)host all"))
        #expect(file.marked(mark) == [.init(line: 3, rule: rule)])
        let third = file.remove(marked: mark)
        #expect(third)
        #expect(file.text == text)
        let fourth = file.remove(marked: mark)
        #expect(fourth == false)
    }

    @Test("is no mark", arguments: ["", "a\nb", "a\\", " a", "a\r"])
    func noMark(text: String) { #expect(HBAMark(text) == nil) }

    @Test("a line at the end is not taken into the one before", arguments: ["local all all peer", "local all all peer \\", "local all all peer \\\n", "# x\\"])
    func end(text: String) throws {
        var file = HBAFile(text, for: HBAServer(.postgres(16)))
        file.ensure(try HBAFileTests.rule())
        #expect(file.rules.last == (try HBAFileTests.rule()))
        #expect(HBAFile(file.render(), for: file.server) == file)
        let line = try #require(file.entries.last).line
        #expect(file.ensure(try HBAFileTests.rule()) == .present(line: line))
    }

    @Test(
        "a line that cannot be judged alone stands behind",
        arguments: [
            "host replication @users 10.0.0.0/8 md5", "host @empty replication all all md5", "@type all all all md5",
            "include_dir conf.d", "host replication /^repl all md5",
        ])
    func doubt(line: String) throws {
        var file = HBAFile(line + "\n", for: HBAServer(.postgres(16)))
        #expect(file.ensure(try HBAFileTests.rule()) == .inserted(line: 1, before: .init(line: 1, text: line)))
        #expect(file.ensure(try HBAFileTests.rule()) == .present(line: 1))
    }

    @Test("a line for the socket is no shadow over TCP, whatever its users are")
    func otherTransport() throws {
        var file = HBAFile("local replication @users peer\nlocal all @x\n", for: HBAServer(.postgres(16)))
        #expect(file.ensure(try HBAFileTests.rule()) == .inserted(line: 3, before: nil))
    }

    @Test("what the server reads in another way is written so that it means the same")
    func readInAnotherWay() {
        var file = HBAFile("", for: HBAServer(.postgres(16)))
        let rule = HBARule(localTo: [.named("/a.b")], users: [.all], method: "ident")
        let first = file.ensure(rule)
        #expect(first.changed)
        #expect(file.rules == [HBARule(localTo: [.regex("^\\/a\\.b$")], users: [.all], method: "peer")] || file.text.contains("/^/a\\.b$"))
        let second = file.ensure(rule)
        #expect(second.changed == false)
        let third = file.remove(rule)
        #expect(third)
        #expect(file.text == "")
    }

    static let risks: [(String, [HBARisk])] = [
        ("local all all trust", []), ("host all all all md5", [.everyAddress]), ("host all all 0.0.0.0/0 md5", [.everyAddress]),
        ("host all all ::/0 md5", [.everyAddress]), ("host all all 127.0.0.1/0 trust", [.everyAddress, .trustOverNetwork]),
        ("host all all 10.0.0.1 0.0.0.0 md5", [.everyAddress]), ("host all all all reject", []), ("host all all 127.0.0.1/32 trust", []),
        ("host all all 127.0.0.0/7 trust", [.everyAddress, .trustOverNetwork]), ("host all all ::1/128 trust", []), ("host all all samehost trust", []),
        ("host all all samenet trust", [.trustOverNetwork]), ("host all all localhost trust", [.trustOverNetwork]),
        ("host all all 10.0.0.1/32 trust", [.trustOverNetwork]),
        ("host all all 10.0.0.1/32 md5", []), ("host all all 0.0.0.0/1 md5", [.everyAddress]), ("host all all 10.0.0.0/8 md5", []),
        ("host all all 10.0.0.0/7 md5", [.everyAddress]), ("host all all 2000::/3 md5", [.everyAddress]), ("host all all fc00::/7 md5", []),
        ("host all all fc00::/6 md5", [.everyAddress]), ("host all all 2001::/16 md5", []), ("host all all 10.0.0.1/32 password", [.clearTextOverNetwork]),
        ("hostnossl all all 10.0.0.1/32 pam", [.clearTextOverNetwork]), ("hostssl all all 10.0.0.1/32 password", []), ("local all all password", []),
        ("host all all 127.0.0.1/32 password", []), ("host all all samehost password", []), ("host all all db.example.com ldap ldapserver=x ldapprefix=y", [.clearTextOverNetwork]),
        ("host all /x 10.0.0.1/32 md5", [.regularExpression]), ("local \"/x\" all peer", [.regularExpression]), ("local /x all reject", []),
        ("host all all .com md5", [.everyAddress]), ("host all all \".COM\" md5", [.everyAddress]), ("host all all .example.com md5", []), ("host all all com md5", []),
        ("host all all .com reject", []),
    ]

    @Test("rules that open too much", arguments: risks)
    func dangers(line: String, expected: [HBARisk]) throws {
        let rule = try #require(HBAFile(line, for: HBAServer(.postgres(16))).rules.first)
        #expect(rule.risks == expected)
        #expect(Set(expected.map(rule.explanation)).count == expected.count)
    }

    @Test("every byte stays, whatever is in the file")
    func bytes() {
        let long = String(repeating: "host  all,b \"c d\"\t10.0.0.0/8   md5 # x\r\n\n", count: 5_000)
        for bytes in HBASamples.all.map({ Array($0.utf8) }) + HBASamples.bytes + [Array(long.utf8)] {
            for version in [9, 13, 15, 16, 18] { #expect(HBAFile(bytes, for: HBAServer(.postgres(version))).render() == bytes) }
        }
    }
}
