import PostgresConfig
import Testing

@Suite("The parsers against a real server") struct RealServerTests {
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
        let server = try ScratchServer(settings: "")
        defer { #expect(throws: Never.self) { try server.stop() } }

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
