import PostgresConfig
import Testing

@Suite("Any pg_hba.conf") struct HBAPropertyTests {
    static let names = ["app", "all", "b c", "repl", "x"]

    static func rule(_ random: inout SeededGenerator) -> HBARule {
        let network = IPNetwork(random.one(of: ["10.77.0.9", "10.77.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "::/0", "10.77.0.9/0"]))
        let addresses: [HBARule.Address] =
            [.all, .sameHost, .sameNet, .hostName("db.example.org")]
            + (network.map { [.network($0), .network($0), .network($0)] } ?? [])
        let databases: [HBARule.Database] = [.all, .replication, .sameUser, .sameRole, .regex("^a"), .named(random.one(of: names)), .named(random.one(of: names))]
        let users: [HBARule.User] = [.all, .named(random.one(of: names)), .named(random.one(of: names)), .memberOf("dba"), .regex("b$")]
        let count = random.number(1...2)
        let types = HBARule.ConnectionType.allCases
        return HBARule(
            random.one(of: types), databases: (0..<count).map { _ in random.one(of: databases) }, users: (0..<count).map { _ in random.one(of: users) },
            from: random.one(of: addresses), method: random.one(of: ["reject", "md5", "scram-sha-256"]))
    }

    static func connection(_ random: inout SeededGenerator) -> HBAConnection {
        let addresses = ["10.77.0.9", "10.77.0.8", "10.1.1.1", "192.168.0.1", "::1"].compactMap(IPAddress.init(_:)).map(HBAConnection.Origin.address)
        return HBAConnection(
            user: random.one(of: names), database: random.one(of: names), from: random.one(of: addresses + [.socket]), usesSSL: random.chance(50),
            isPhysicalReplication: random.chance(25))
    }

    @Test("a rule that was ensured decides wherever it matches, ensured again it changes nothing, and taken out nothing is left")
    func ensured() throws {
        var random = SeededGenerator(seed: Fuzz.seed)
        let server = HBAServer(.postgres(16)), mark = try #require(HBAMark("pggraft test"))
        for round in 0..<Fuzz.count(usual: 3000, part: 20) {
            let text = (0..<random.number(0...8)).map { _ in "\(Self.rule(&random))\n" }.joined()
            let rule = Self.rule(&random), comment = Comment(rawValue: "PGGRAFT_FUZZ_SEED=\(Fuzz.seed), round \(round): \(rule)\n\(text)")
            var file = HBAFile(text, for: server)
            let outcome = file.ensure(rule, mark: mark)
            let bytes = file.render()
            try #require(file.ensure(rule, mark: mark).changed == false, comment)
            try #require(file.render() == bytes, comment)

            let line =
                switch outcome {
                case .present(let line), .inserted(let line, _): line
                }
            let rules = HBARules(file: "/hba", in: FileSnapshot(files: ["/hba": bytes]), for: server)
            let alone = HBARules(file: "/hba", in: FileSnapshot(files: ["/hba": Array("\(rule)\n".utf8)]), for: server)
            for _ in 0..<20 {
                let connection = Self.connection(&random)
                var answers: [HBAQuestion: Bool] = [:]
                while case .undecided(let questions) = rules.explain(connection, answers: answers).decision {
                    for question in questions { answers[question] = random.chance(50) }
                }
                while case .undecided(let questions) = alone.explain(connection, answers: answers).decision {
                    for question in questions { answers[question] = random.chance(50) }
                }
                guard case .rule = alone.explain(connection, answers: answers).decision else { continue }
                guard case .rule(let entry, let decided) = rules.explain(connection, answers: answers).decision else {
                    Issue.record(comment)
                    return
                }
                try #require(decided.method == rule.method && entry.line == line, comment)
            }
            try #require(file.remove(marked: mark) == outcome.changed, comment)
            try #require(file.text == text, comment)
        }
    }

    @Test("every byte stays, and a file alone is read as one of several", arguments: [15, 16])
    func bytes(version: Int) throws {
        var generator = HBAGenerator(random: SeededGenerator(seed: Fuzz.seed), version: .postgres(version))
        let server = HBAServer(.postgres(version))
        for round in 0..<Fuzz.count(usual: 1000, part: 20) {
            let bytes = generator.file(), comment = Comment(rawValue: "PGGRAFT_FUZZ_SEED=\(Fuzz.seed), file \(round)")
            let file = HBAFile(bytes, for: server)
            try #require(file.render() == bytes, comment)
            let rules = HBARules(file: "/hba", in: FileSnapshot(files: ["/hba": bytes]), for: server)
            guard rules.missing.isEmpty, !bytes.contains(UInt8(ascii: "@")), file.referencedFiles.isEmpty else { continue }
            try #require(file.entries.map(\.line) == rules.entries.filter { $0.reading.rule != nil }.map(\.line), comment)
            try #require(file.rules == rules.entries.compactMap(\.reading.rule), comment)
        }
    }
}
