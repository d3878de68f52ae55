import Bed
import EventLoop
import Instance
import PostgresConfig
import ProcedureKit
import Procedures
import RemoteHost
import Testing

/// `hba explain` says which line decides; here clients of several hosts try to connect, and the server says which one did.
@Suite("Who can really log in", .serialized)
struct LoginTests {
    /// A `pg_hba.conf` behind the line by which the test itself looks, and what else stands in the directory.
    struct Rules: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var files: [String: String] = [:]
        var testDescription: String { name }
    }

    static let rules: [Rules] = [
        Rules(name: "nothing", text: "local all postgres peer\n"),
        Rules(
            name: "broad lines before narrow ones",
            text: """
                host all all 10.77.0.51/32 reject
                host app app 10.77.0.51/32 trust
                host all all 10.77.0.0/24 scram-sha-256
                local all all trust
                """),
        Rules(
            name: "roles",
            text: """
                host all +staff samenet scram-sha-256
                host sameuser all all md5
                host samerole all all password
                local all +staff trust
                local all all reject
                """),
        Rules(
            name: "replication",
            text: """
                host all all 10.77.0.52/32 trust
                host replication app all scram-sha-256
                host "replication" app all trust
                local replication all peer
                """),
        Rules(
            name: "ssl",
            text: """
                hostssl all all 10.77.0.51/32 trust
                hostnossl all all 10.77.0.51/32 reject
                hostssl all batch all scram-sha-256
                hostnossl app all all md5
                """),
        Rules(
            name: "host names",
            text: """
                host app all c1.example.org trust
                host app all .example.org scram-sha-256
                host all all liar.example.org trust
                host all all samehost password
                """),
        Rules(
            name: "quotes, lists and files",
            text: """
                host app,"odd db" app,"odd user" 10.77.0.51 255.255.255.255 scram-sha-256
                host "all" all 10.77.0.52/32 trust
                host @dbs @users 0.0.0.0/0 password
                host all "+staff" all trust
                host all all \\
                  10.77.0.0/24 \\
                  md5 # the rest
                """, files: ["dbs": "postgres\n@more\n", "more": "batch, \"odd db\"\n", "users": "# who\nbatch \"odd user\"\n"]),
        Rules(
            name: "a mask with holes, and one that masks nothing",
            text: """
                host app all 10.0.0.31 255.0.0.255 trust
                host all app 10.77.0.99/0 scram-sha-256
                """),
    ]

    static let newer: [Rules] = [
        Rules(
            name: "regular expressions",
            text: """
                host "/^o.d" "/user$" all trust
                host all /^(app|nobody)$ 10.77.0.0/24 scram-sha-256
                host /^p all all password
                local all /a trust
                """),
        Rules(
            name: "included files",
            text: """
                include first.conf
                include_if_exists nowhere.conf
                include_dir more.d
                host all all all reject
                """,
            files: [
                "first.conf": "host app app 10.77.0.51/32 trust\ninclude second.conf\n", "second.conf": "host all batch all scram-sha-256\n",
                "more.d/b.conf": "host all app all md5\n", "more.d/a.conf": "host postgres app 10.77.0.52/32 password\n", "more.d/.c.conf": "host all all all trust\n",
            ]),
    ]

    /// One attempt to connect.
    struct Attempt: Sendable {
        var from: String
        /// Where the client runs.
        var host: String
        /// What it gives for `host=`.
        var server: String
        var user: String
        var database: String
        var ssl: Bool
        var replication: Bool

        var connection: HBAConnection? {
            let origin: HBAConnection.Origin? = from == "local" ? .socket : IPAddress(from).map(HBAConnection.Origin.address)
            return origin.map { HBAConnection(user: user, database: database, from: $0, usesSSL: ssl, isPhysicalReplication: replication) }
        }

        var conninfo: String {
            func quoted(_ text: String) -> String { "'\(text.replacing("'", with: "\\'"))'" }
            return "host=\(server) port=5555 user=\(quoted(user)) \(replication ? "replication=true" : "dbname=\(quoted(database))") "
                + "sslmode=\(ssl ? "require" : "disable") gssencmode=disable connect_timeout=20"
        }
    }

    static let attempts: [Attempt] = {
        let origins = [
            ("local", "db", "/tmp"), ("127.0.0.1", "db", "127.0.0.1"), ("10.77.0.50", "db", "10.77.0.50"), ("10.77.0.51", "c1", "10.77.0.50"),
            ("10.77.0.52", "c2", "10.77.0.50"),
        ]
        let whoAndWhere = [
            ("app", "app"), ("app", "postgres"), ("app", "staff"), ("batch", "batch"), ("batch", "app"), ("odd user", "batch"), ("odd user", "odd db"),
            ("odd user", "app"), ("boss", "app"), ("boss", "staff"), ("app", nil), ("batch", nil),
        ]
        return origins.flatMap { from, host, server in
            whoAndWhere.flatMap { user, database in
                (from == "local" ? [false] : [false, true]).map { ssl in
                    Attempt(from: from, host: host, server: server, user: user, database: database ?? "", ssl: ssl, replication: database == nil)
                }
            }
        }
    }()

    static let data = "/srv/db"
    static let socket = "local all postgres peer\nhost all postgres 127.0.0.1/32 trust\n"

    /// A server on a host of its own, and two hosts for clients.
    private func server(_ bed: Bed, bin: String) async throws -> BedHost {
        for (name, address) in [("db", "10.77.0.50"), ("c1", "10.77.0.51"), ("c2", "10.77.0.52")] where try !bed.hasHost(name) {
            _ = try await bed.addHost(name, address: address)
        }
        let db = try bed.host("db")
        try await db.run(
            """
            cat >>/etc/hosts <<END
            10.77.0.51 c1.example.org c1
            10.77.0.52 c2.example.org c2
            10.77.0.77 liar.example.org
            END
            rm -rf \(Self.data); install -d -o postgres -m 700 \(Self.data)
            """)
        try await db.run(
            asUser: "postgres",
            """
            set -e
            \(bin)/initdb -D \(Self.data) -A trust -U postgres --no-sync >/dev/null
            openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=db -days 3 -keyout \(Self.data)/server.key -out \(Self.data)/server.crt 2>/dev/null
            chmod 600 \(Self.data)/server.key
            cat >>\(Self.data)/postgresql.conf <<'END'
            port = 5555
            listen_addresses = '*'
            unix_socket_directories = '/tmp'
            fsync = off
            \(bin.hasPrefix("/usr/lib/postgresql") ? "ssl = on" : "")
            END
            printf '%s' "$0" >\(Self.data)/pg_hba.conf
            \(bin)/pg_ctl -D \(Self.data) -l \(Self.data)/log -w -t 100 start >/dev/null
            """.replacing("\"$0\"", with: "'\(Self.socket)'"), within: .seconds(120))
        try await db.run(
            asUser: "postgres", "exec psql -h /tmp -p 5555 -qX -v ON_ERROR_STOP=1",
            input: """
                CREATE ROLE staff; CREATE ROLE devs IN ROLE staff;
                CREATE ROLE app LOGIN REPLICATION PASSWORD 'right' IN ROLE devs;
                CREATE ROLE batch LOGIN REPLICATION PASSWORD 'right';
                CREATE ROLE "odd user" LOGIN REPLICATION PASSWORD 'right' IN ROLE batch;
                CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'right';
                CREATE DATABASE app; CREATE DATABASE batch; CREATE DATABASE staff; CREATE DATABASE "odd db";
                """)
        return db
    }

    @Test func `explain says what the server does, for every rule, user, database and address`() async throws {
        try await judge(Self.rules, bin: "/usr/lib/postgresql/15/bin")
    }

    @Test func `explain says what PostgreSQL 16 does with its regular expressions and included files`() async throws {
        try await judge(Self.rules.filter { ["roles", "quotes, lists and files"].contains($0.name) } + Self.newer, bin: "/usr/local/lib/pggraft/postgresql/16/bin")
    }

    private func judge(_ table: [Rules], bin: String) async throws {
        try await Bed.exclusively { bed in
            let db = try await server(bed, bin: bin), config = bed.sshConfig
            let ways = Ways { try await SSHHost.connect(SSHTarget($0, configFile: config), name: $1, deadline: $2) }
            let node = try ConfiguredNode(NodeTarget(name: "db", ssh: "db", port: 5555, binDirectory: bin), ways)
            var tries = 0, admitted = 0
            for rules in table {
                let (these, letIn) = try await judge(rules, bed, db, node, hasSSL: bin.hasPrefix("/usr/lib"))
                (tries, admitted) = (tries + these, admitted + letIn)
            }
            report("logins on \(bin): \(table.count) files, \(tries) attempts, \(admitted) let in")
            #expect(admitted > 0 && admitted < tries)
            await node.close()
            try await db.run(asUser: "postgres", "\(bin)/pg_ctl -D \(Self.data) -m immediate -w stop >/dev/null", within: .seconds(60))
        }
    }

    /// - Returns: how many attempts there were, and how many of them were let in.
    private func judge(_ rules: Rules, _ bed: Bed, _ db: BedHost, _ node: ConfiguredNode, hasSSL: Bool) async throws -> (Int, Int) {
        for (name, text) in rules.files {
            try await db.run(asUser: "postgres", "mkdir -p \"$(dirname \(Self.data)/\(name))\" && cat >\(Self.data)/\(name)", input: text)
        }
        try await db.run(asUser: "postgres", "cat >\(Self.data)/pg_hba.conf && : >\(Self.data)/log", input: Self.socket + rules.text)
        let soon = Deadline.after(.seconds(120))
        let instance = try await node.instance(deadline: soon), connection = try #require(try await node.connection(deadline: soon))
        try await instance.reload(through: connection, deadline: soon)
        let configuration = try await instance.configuration(through: connection, deadline: soon)
        let access = try await instance.accessRules(configuration, through: connection, deadline: soon)
        #expect(!access.isNewerThanServer)

        let attempts = Self.attempts.filter { !$0.ssl || hasSSL && rules.text.contains("ssl") }
        var outcomes: [Int: String] = [:], refused: [Int] = []
        for host in ["db", "c1", "c2"] {
            let mine = attempts.indices.filter { attempts[$0].host == host }
            // One shell for all: each line is an attempt, with a wrong password and with the right one.
            let script = #"""
                while IFS='|' read -r number conninfo; do
                  for password in wrong right; do
                    answer=$(PGPASSWORD=$password psql -XAtq "$conninfo" -c 'IDENTIFY_SYSTEM' 2>&1 </dev/null | head -n 1)
                    printf '%s|%s|%s\n' "$number" "$password" "$answer"
                    case $answer in *'authentication failed'*) ;; *) break ;; esac
                  done
                done
                """#
            let input = mine.map { "\($0)|\(attempts[$0].conninfo)\n" }.joined()
            let output = try await bed.host(host).run(asUser: "dba", script, input: input, within: .seconds(300))
            for line in output.split(separator: "\n") {
                let fields = line.split(separator: "|", maxSplits: 2, omittingEmptySubsequences: false)
                guard fields.count == 3, let number = Int(fields[0]) else { throw BedError.unexpected("an attempt said: \(line)") }
                outcomes[number, default: ""] += "\(fields[1]): \(fields[2])\n"
                if fields[2].contains("authentication failed") { refused.append(number) }
            }
        }
        // Which line the server went by, as it says each time it refuses a password, in the order of the attempts.
        let log = try await db.run("grep -o 'Connection matched .* line [0-9]*:' \(Self.data)/log || true")
        let lines = try log.split(separator: "\n").map { line in
            let match = try #require(line.firstMatch(of: #/matched (?:file ")?([^" ]*)"? line (\d+):/#), "\(line)")
            return "\(match.1 == "pg_hba.conf" ? "\(Self.data)/pg_hba.conf" : String(match.1)):\(match.2)"
        }
        try #require(lines.count == refused.count)
        let matched = Dictionary(zip(refused, lines)) { first, second in first == second ? first : "\(first) and \(second)" }

        var admitted = 0
        for (index, attempt) in attempts.enumerated() {
            let outcome = try #require(outcomes[index])
            // The right password is tried where the wrong one was refused as such.
            let wrong = outcome.prefix { $0 != "\n" }, right = outcome.contains("\nright: ") ? outcome.dropFirst(wrong.count + 1) : wrong
            // A plain session does not know the command, one for replication answers it: both are in.
            func isIn(_ text: Substring) -> Bool { text.contains("syntax error") || text.contains(#/: \d+\|/#) }
            let explanation = try await instance.explain(try #require(attempt.connection), by: access, through: connection, deadline: soon)
            let what: Comment = "\(rules.name): \(attempt)\n\(outcome)\(matched[index] ?? "")\n\(explanation.decision)"
            switch explanation.decision {
            case .noLine: #expect(wrong.contains("no pg_hba.conf entry") && right.contains("no pg_hba.conf entry"), what)
            case .rule(_, let rule) where rule.method == "reject":
                #expect(wrong.contains("pg_hba.conf rejects") && right.contains("pg_hba.conf rejects"), what)
            case .rule(_, let rule) where rule.method == "trust": #expect(isIn(wrong) && isIn(right), what)
            case .rule(let entry, let rule) where rule.method == "peer":
                #expect(!isIn(wrong) && !isIn(right) && matched[index] == entry.location, what)
            case .rule(let entry, _): #expect(!isIn(wrong) && isIn(right) && matched[index] == entry.location, what)
            case .filesRefused, .undecided: Issue.record(what)
            }
            if isIn(right) { admitted += 1 }
        }
        return (attempts.count, admitted)
    }
}
