import Foundation
import PostgresConfig
import Testing

/// Clients really connect, with a wrong password: the server writes to its log which line it took for them.
@Suite("The line that decides is the one a real server takes") struct HBADecisionTests {
    static let tables = [
        "host all all all password\nlocal all all password\n",
        "local sameuser all password\nlocal samerole all password\nhost app,grp member,+grp all password\nhost all \"+grp\" all password\n",
        "hostssl all all all password\nhost all all 10.0.0.0/8 password\nhost app all 127.0.0.0 255.0.0.0 password\nhost all app samehost password\n",
        "host replication all samenet password\nlocal replication +grp password\nlocal all,replication app password\nhost \"replication\" all all password\n",
        "local \"all\" all password\nlocal all \"all\" password\nlocal \"my db\" \"a\"\"b\" password\nlocal all boss password\n",
        "local @fz_names @fz_names password\nlocal all ghost,@fz_names password\nhost all +grp 127.0.0.1/32 password\nhost all all ::/0 password\n",
        "host all all \\\n 127.0.0.1/0 \\\n password\n# \\\nlocal all all reject\nlocal all all password\n",
    ]
    static let tables16 = [
        "local /^a all password\nlocal all \"/e.*b\" password\nlocal all /^(app|boss)$ password\nhost \"/[a-m]$\" all all password\n",
        "include_dir fz.d\nlocal all all password\n",
    ]
    static let others = [
        "fz_names": "app \"my db\"\nboss # and no more\n",
        "fz.d/2.conf": "\nhost app all all password\n", "fz.d/10.conf": "local all +grp password\n",
    ]

    static let users = ["app", "member", "deep", "boss", "ghost"]
    static let databases = ["app", "grp", "my db", "replication", "all"]
    static let isMember: Set<[String]> = [["member", "grp"], ["deep", "grp"], ["deep", "member"]]

    @Test("users, databases and ways in", arguments: Programs.judges.map(\.version))
    func decisions(version: MajorVersion) throws {
        let bin = try #require(Programs.judges.first { $0.version == version }).bin
        // An address of its own: other servers on this machine have the usual port.
        let address = "127.77.0.\(version.number / 100)"
        let server = try ScratchServer(settings: "listen_addresses = '\(address)'\nlog_filename = 'server.log'\nlog_line_prefix = ''\n", bin: bin)
        defer { #expect(throws: Never.self) { try server.stop() } }
        let session = try ServerSession(server)
        defer { #expect(throws: Never.self) { try session.close() } }
        for statement in [
            "CREATE ROLE grp", "CREATE ROLE app LOGIN PASSWORD 'x'", "CREATE ROLE member LOGIN PASSWORD 'x' IN ROLE grp",
            "CREATE ROLE deep LOGIN PASSWORD 'x' IN ROLE member", "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'x'",
        ] { _ = try session.rows(statement) }
        try HBARules.write(Self.others, in: server.data)

        let path = "\(server.data)/pg_hba.conf"
        let client = HBAConnection.Origin.address(try #require(IPAddress("127.0.0.1")))
        var decided = 0, lines: Set<String> = []
        for table in Self.tables + (version >= .postgres(16) ? Self.tables16 : []) {
            let text = "local postgres postgres trust\n" + table
            try Disk.write(Array(text.utf8), to: path)
            let reloads = try log(server).filter { $0.contains("received SIGHUP") }.count
            _ = try session.rows("SELECT pg_reload_conf()")
            try waitUntil { try log(server).filter { $0.contains("received SIGHUP") }.count > reloads }

            let attempts = Self.users.flatMap { user in
                Self.databases.flatMap { database in
                    [.socket, client].flatMap { origin in
                        [false, true].map { HBAConnection(user: user, database: database, from: origin, isPhysicalReplication: $0) }
                    }
                }
            }
            let before = try log(server).filter { $0.hasPrefix("FATAL") }.count
            try connect(attempts, to: server, address: address, bin: bin)
            try waitUntil { try log(server).filter { $0.hasPrefix("FATAL") }.count >= before + attempts.count }
            let answers = try decisions(in: log(server), skipping: before)
            try #require(answers.count == attempts.count)

            var snapshot = FileSnapshot()
            let rules = HBARules.read(path, into: &snapshot, for: HBAServerTests.reader(version))
            for (connection, theirs) in zip(attempts, answers) {
                let explanation = try explain(connection, by: rules, session)
                let ours: String? =
                    switch explanation.decision {
                    case .rule(let entry, let rule): rule.method == "reject" ? "reject" : version >= .postgres(16) ? entry.location : "\(entry.line)"
                    case .noLine: nil
                    default: "\(explanation.decision)"
                    }
                #expect(ours == theirs, "PostgreSQL \(version), \(connection)\n\(text)")
                decided += 1
                if let ours { lines.insert("\(table)\(ours)") }
            }
        }
        print("pg_hba.conf, PostgreSQL \(version): \(decided) connections, decided by \(lines.count) different lines")
        #expect(lines.count > 15)
    }

    private func explain(_ connection: HBAConnection, by rules: HBARules, _ session: ServerSession) throws -> HBAExplanation {
        var answers: [HBAQuestion: Bool] = [:]
        while true {
            let explanation = rules.explain(connection, answers: answers)
            guard case .undecided(let questions) = explanation.decision else { return explanation }
            for question in questions {
                answers[question] =
                    switch question {
                    case .isMember(let role): role == connection.user || Self.isMember.contains([connection.user, role])
                    case .matches(let regex, let text): try session.json("SELECT to_json('\(text)' ~ '\(regex)')")
                    case .clientIsHost: false
                    case .clientIsServerAddress, .clientIsInServerNetwork: true
                    }
            }
        }
    }

    private func log(_ server: ScratchServer) throws -> [Substring] {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: "\(server.data)/log/server.log")), as: UTF8.self).split(separator: "\n")
    }

    /// What each failed connection was decided by: the place of the line, `reject`, or `nil` for no line.
    private func decisions(in log: [Substring], skipping count: Int) throws -> [String?] {
        var answers: [String?] = []
        for line in log {
            if line.hasPrefix("FATAL") {
                answers.append(line.contains("pg_hba.conf rejects") ? "reject" : nil)
            } else if let place = line.firstMatch(of: /Connection matched (?:file "(.+?)" line|pg_hba.conf line) (\d+):/) {
                answers[answers.count - 1] = (place.1.map { "\($0):" } ?? "") + place.2
            }
        }
        return Array(answers.dropFirst(count))
    }

    private func connect(_ attempts: [HBAConnection], to server: ScratchServer, address: String, bin: String) throws {
        let commands = attempts.map { attempt in
            let host = attempt.origin == .socket ? server.directory : address
            let words = "host=\(host) user=\(attempt.user) dbname='\(attempt.database)' sslmode=disable"
            return "\(bin)/psql -Xwc 'SELECT 1' \"\(words)\(attempt.isPhysicalReplication ? " replication=true" : "")\" 2>&1\n"
        }
        try Programs.run(["sh", "-c", "export PGPASSWORD=wrong\n" + commands.joined() + "true"], asPostgres: true)
    }

    private func waitUntil(_ condition: () throws -> Bool) throws {
        let limit = ContinuousClock.now + .seconds(60)
        while try !condition() {
            guard ContinuousClock.now < limit else { throw Programs.Failed(description: "the server's log does not say it") }
        }
    }
}
