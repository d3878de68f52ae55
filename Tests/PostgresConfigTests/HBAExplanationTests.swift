import PostgresConfig
import Testing

@Suite("Which line of pg_hba.conf decides") struct HBAExplanationTests {
    static let path = "/etc/pg/pg_hba.conf"

    static func rules(_ text: String, _ others: [String: String] = [:], version: Int = 16) -> HBARules {
        let files = others.merging([path: text]) { $1 }
        return HBARules(file: path, in: FileSnapshot(files: files.mapValues { Array($0.utf8) }), for: HBAServer(.postgres(version)))
    }

    static func client(_ address: String = "10.77.0.9", ssl: Bool = false, replication: Bool = false) throws -> HBAConnection {
        let address = try #require(IPAddress(address))
        return HBAConnection(user: "app", database: "app", from: .address(address), usesSSL: ssl, isPhysicalReplication: replication)
    }

    static let socket = HBAConnection(user: "app", database: "app", from: .socket)

    /// A line that does not match, and the words for it.
    static let mismatches: [(String, String)] = [
        ("local all all peer", "the line is for the Unix-domain socket, the client comes from 10.77.0.9"),
        ("hostssl all all all md5", "the line is for SSL connections only"),
        ("hostgssenc all all all gss", "the line is for connections with GSSAPI encryption only"),
        ("host all all 10.77.0.0/29 md5", "10.77.0.9 is not in 10.77.0.0/29"),
        ("host all all 10.77.0.1/32 md5", "the client comes from 10.77.0.9, the line is for 10.77.0.1"),
        ("host all all ::/0 md5", "10.77.0.9 is not in ::/0"),
        ("host postgres,\"a b\" all all md5", "the database is app, the line is for: postgres, \"a b\""),
        ("host replication all all md5", "the database is app, the line is for: replication (replication is physical replication only)"),
        ("host all postgres,\"+app\" all md5", "the user is app, the line is for: postgres, \"+app\""),
        ("host \"all\" all all md5", "the database is app, the line is for: \"all\""),
        // The first field that does not match, in the server's order.
        ("host postgres postgres 10.0.0.1/32 md5", "the client comes from 10.77.0.9, the line is for 10.0.0.1"),
    ]

    @Test("why a line does not match", arguments: mismatches)
    func mismatch(line: String, words: String) throws {
        let explanation = Self.rules(line + "\nhost all all 0.0.0.0/0 scram-sha-256\n").explain(try Self.client())
        #expect(explanation.steps.map(\.description) == ["\(Self.path):1: \(line): \(words)", "\(Self.path):2: host all all 0.0.0.0/0 scram-sha-256: decides"])
        #expect(explanation.decision.description == "\(Self.path):2 decides: scram-sha-256")
    }

    @Test("SSL, the socket and replication each have their lines")
    func kinds() throws {
        let rules = Self.rules(
            """
            hostnossl all all all reject
            hostssl all all all cert
            local sameuser all peer
            host replication all all scram-sha-256
            """)
        func decision(_ connection: HBAConnection) -> String { rules.explain(connection).decision.description }
        #expect(decision(try Self.client()) == "\(Self.path):1 decides: reject")
        #expect(decision(try Self.client(ssl: true)) == "\(Self.path):2 decides: cert")
        #expect(decision(Self.socket) == "\(Self.path):3 decides: peer")
        #expect(decision(HBAConnection(user: "app", database: "other", from: .socket)) == "no line matches: the connection is refused")
        let replication = rules.explain(try Self.client(ssl: true, replication: true))
        #expect(replication.decision.description == "\(Self.path):4 decides: scram-sha-256")
        #expect(replication.steps[1].description.hasSuffix("all does not include physical replication"))
    }

    @Test("what only the server knows is asked, and the answers decide")
    func questions() throws {
        let rules = Self.rules(
            """
            host all +dba all reject
            host samerole all samehost md5
            host "/^a.*" all .example.org password
            host all all samenet trust
            host all all all scram-sha-256
            """)
        let first = rules.explain(try Self.client())
        let asked: [HBAQuestion] = [
            .isMember(of: "dba"), .clientIsServerAddress, .isMember(of: "app"), .clientIsHost(".example.org"), .matches(regex: "^a.*", text: "app"),
            .clientIsInServerNetwork,
        ]
        #expect(first.decision == .undecided(asked))

        var answers = Dictionary(uniqueKeysWithValues: asked.map { ($0, false) })
        #expect(rules.explain(try Self.client(), answers: answers).decision.description == "\(Self.path):5 decides: scram-sha-256")
        answers[.clientIsHost(".example.org")] = true
        #expect(rules.explain(try Self.client(), answers: answers).decision.description == "\(Self.path):5 decides: scram-sha-256")
        answers[.matches(regex: "^a.*", text: "app")] = true
        #expect(rules.explain(try Self.client(), answers: answers).decision.description == "\(Self.path):3 decides: password")
        answers[.isMember(of: "dba")] = true
        #expect(rules.explain(try Self.client(), answers: answers).decision.description == "\(Self.path):1 decides: reject")
    }

    @Test("what does not match anyway is not asked")
    func nothingToAsk() throws {
        let rules = Self.rules("host postgres +dba samenet md5\nhost all +dba,app all md5\n")
        #expect(rules.explain(try Self.client()).decision.description == "\(Self.path):2 decides: md5")
    }

    @Test("names are compared byte by byte")
    func bytes() throws {
        let rules = Self.rules("local \"u\u{0308}\" all reject\nlocal all all peer\n")
        #expect(rules.explain(HBAConnection(user: "app", database: "\u{00FC}", from: .socket)).decision.description == "\(Self.path):2 decides: peer")
    }

    @Test("with a line that is no rule the server keeps what it has")
    func refused() throws {
        let rules = Self.rules("local all all peer\nhost all all 10.0.0.0/33 md5\nnonsense\n")
        #expect(
            rules.explain(Self.socket).decision.description == "the server does not take the file over because of \(Self.path):2, \(Self.path):3: "
                + "a running one keeps the rules it has, and none starts")
        #expect(rules.refusals.map(\.reading.problem) == ["invalid CIDR mask in address \"10.0.0.0/33\"", "invalid connection type \"nonsense\""])
        guard case .filesRefused([]) = Self.rules("# nothing\n").explain(Self.socket).decision else {
            Issue.record("a file without rules was taken over")
            return
        }
    }

    @Test("lines of other files have their places, and what was not read is asked for")
    func files() throws {
        let main = "include conf.d/a.conf\nlocal @users all peer\n"
        let missing = Self.rules(main)
        #expect(missing.missing == [.file("/etc/pg/conf.d/a.conf"), .file("/etc/pg/users")])

        let rules = Self.rules(main, ["/etc/pg/conf.d/a.conf": "\nlocal @dbs all trust\n", "/etc/pg/conf.d/dbs": "one two\n", "/etc/pg/users": "# none\napp"])
        #expect(rules.missing.isEmpty)
        #expect(rules.entries.map(\.location) == ["/etc/pg/conf.d/a.conf:2", "\(Self.path):2"])
        #expect(rules.explain(Self.socket).decision.description == "\(Self.path):2 decides: peer")
        // Until 15 there is no such line.
        #expect(Self.rules(main, version: 15).refusals.first?.reading.problem == "invalid connection type \"include\"")
    }

    @Test(
        "versions know different words",
        arguments: [
            (13, "local all all \\\n peer", false), (14, "local all all \\\n peer", true), (9, "host all all all scram-sha-256", false),
            (11, "hostgssenc all all all gss", false), (12, "hostgssenc all all all gss", true), (17, "host all all all oauth", false),
        ])
    func versions(version: Int, text: String, isAccepted: Bool) {
        #expect(Self.rules(text, version: version).areAccepted == isAccepted)
    }
}
