import PostgresConfig
import Testing

@Suite("The parsers against a real server") struct RealServerTests {
    /// Settings as `pg_file_settings` shows them; the server gives `nil` names to lines it cannot parse.
    struct Line: Decodable, Hashable, CustomStringConvertible {
        var line: Int
        var name: String?
        var setting: String?
        var description: String { "\(line): \(name ?? "-") = \(setting ?? "-")" }
    }

    static let settings = [
        "x.a = 1\nx.b=2\nx.c 3\nx.d\t=\t'four' # comment\n#x.e = 5\n  X.F = 'it''s' #\n",
        "x.a = 'a\\nb\\tc\\\\d\\'e\\101\\7z\\q'\n",
        "x.a = on\nx.a = off\nX.A = maybe\n",
        "x.a = foo-bar_1.2:3/4\nx.b = -12kB\nx.c = 0x1FkB\nx.d = 1.5e-3\nx.e = .5\nx.f = 5.\nx.g = +7\n",
        "x.a = '' # empty\nx.b = ''''\nx.c = '#no'# yes\nx.d = 'tab\tin'\nx.f = 1",
        "x.a = 1\r\nx.b = 'c'\r\n\r\n# c\r\nx.d = e\r\n",
        "\n\n   \n\t# c\nx.a = 1",
        "größe.ä = ü\nx.ü = 'ß'\n",
    ] + [
        // The server reports one syntax error only: one line, one file.
        "x.a = 1e5", "x.b = a.b", "x.c = 1.2.3", "x.d = -", "x.e = 1,2", "x.f = $x", "x.g = \"a\"", "x.h = 0x", "x.i = 1.5GB",
        "x.a =", "x.b", "= 5", "'x.c' = 1", "x.d = = 1", "x.e = 'open", "x.f = 1 2", "x.g.h = 1", "1x = 2", "x-y = 3", "x = \u{0C}1",
        "x.a='b'#'c'", "x.b = 'c'd", "x.c = 'c''d'", "x.e = f'g'", "x._1$ = 2", "x.g = .", "x.h = +.5e+1", "x.i = 1.e", "x.j = 1.5e5", "x.k = 0x1Gx",
        "x.l = -0xff", "x.m = a.b.c", "x.n = a.", "x.o = a.1", "x.p = a:b", "x.q = /tmp", "x.r = 00x1", "x.s = 'a\\'", "x. = 1", "x.t ='\\", "x.u = 'a' \\",
    ]

    static let rules = [
        "local all all peer\nhost all all 127.0.0.1/32 md5\nhost all all ::1/128 scram-sha-256\n",
        "host all all 10.0.0.0 255.0.0.0 md5\nhost a,b , c +d,\"e f\" samehost trust # x\nhostnossl \"all\" \"+x\" all reject\n",
        "host \"a\"\"b\" x\"y z\" db.example.org md5\nhost all,, all .example.org md5\nhost , all all all md5\n",
        "host all all \\\n 10.0.0.0/8 \\\n md5\nlocal all all \\\nreject\nhost all all fe80::/10 trust\n",
        "# c\\\nontinued\nlocal all all peer\n",
        "local replication,sameuser,samerole all trust\nhost all all 1.2.3.4/0 ldap ldapserver=\"a b\" ldapport=389 ldapprefix=\"x=\" ldapsuffix=y\n",
        "nonsense\nlocal,host all all md5\nhost\nhost all\nhost all all\nhost all all all\nhost all all 1.2.3.4\nhost all all a,b md5\n"
            + "host all all 1.2.3.4 a,b md5\nhost all all all md5,trust\nhost all all all md5 option\nlocal all all peer map=x\n",
        "host all all 10.0.0.0/8 md5\r\n\thost\tall\tall\t10.0.0.0/8\tmd5\t\r\n",
    ]

    @Test("every line reads as the server reads it")
    func compare() throws {
        let server = try ScratchServer(settings: "include_if_exists 'under_test.conf'\n")
        defer { #expect(throws: Never.self) { try server.stop() } }

        for text in Self.settings.map({ $0.contains("\n") ? $0 : $0 + "\n" }) {
            try server.write(text, to: "under_test.conf")
            let theirs: [Line] = try server.json("""
                SELECT coalesce(json_agg(json_build_object('line', sourceline, 'name', name, 'setting', setting)
                                         ORDER BY sourceline, seqno), '[]')
                FROM pg_file_settings WHERE sourcefile LIKE '%/under_test.conf'
                """)
            let file = SettingsFile(text)
            let ours = file.settings.map { Line(line: $0.line, name: $0.name, setting: $0.value) }
                + file.syntaxErrors.map { Line(line: $0.line, name: nil, setting: nil) }
            #expect(ours.sorted { $0.line < $1.line } == theirs, "\(text)")
            #expect(!theirs.isEmpty)
        }
        try server.write("", to: "under_test.conf")

        for text in Self.rules {
            try server.write(text, to: "pg_hba.conf")
            let theirs: [Rule] = try server.json("""
                SELECT json_agg(json_build_object('line', line_number, 'type', type, 'databases', database, 'users', user_name,
                    'address', address, 'netmask', netmask, 'method', auth_method, 'error', error) ORDER BY line_number)
                FROM pg_hba_file_rules
                """)
            let file = HBAFile(text)
            let ours = file.entries.map(Rule.init) + file.invalidLines.map { Rule(line: $0.line, error: $0.problem) }
            #expect(ours.sorted { $0.line < $1.line } == theirs.map(\.comparable), "\(text)")
        }
    }

    /// A line as `pg_hba_file_rules` shows it.
    struct Rule: Decodable, Hashable {
        var line: Int
        var type: String?
        var databases: [String]?
        var users: [String]?
        var address: String?
        var netmask: String?
        var method: String?
        var error: String?

        init(line: Int, error: String) {
            self.line = line
            self.error = error
        }

        init(_ entry: HBAFile.Entry) {
            line = entry.line
            type = entry.rule.type.rawValue
            databases = entry.rule.databases.map { database in
                switch database {
                case .all: "all"
                case .replication: "replication"
                case .sameUser: "sameuser"
                case .sameRole: "samerole"
                case .named(let text), .indirect(let text): text
                }
            }
            users = entry.rule.users.map { user in
                switch user {
                case .all: "all"
                case .named(let text), .indirect(let text): text
                case .memberOf(let role): "+" + role
                }
            }
            address = switch entry.rule.address {
            case nil: nil
            case .all: "all"
            case .sameHost: "samehost"
            case .sameNet: "samenet"
            case .network(let network): network.description
            case .hostName(let name): name
            }
            method = entry.rule.method
        }

        /// With address and mask in one, the way the parser says it.
        var comparable: Rule {
            guard let address, let netmask else { return self }
            let bits = netmask.contains(":")
                ? netmask.split(separator: ":").reduce(0) { $0 + (Int($1, radix: 16)?.nonzeroBitCount ?? 0) }
                : netmask.split(separator: ".").reduce(0) { $0 + (Int($1)?.nonzeroBitCount ?? 0) }
            var copy = self
            copy.address = IPNetwork("\(address)/\(bits)")?.description
            copy.netmask = nil
            return copy
        }
    }
}
