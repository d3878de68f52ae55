import Foundation
import PostgresConfig
import Testing

@Suite("pg_hba.conf against real servers") struct HBAServerTests {
    /// A row of `pg_hba_file_rules`.
    struct Row: Decodable, Hashable, CustomStringConvertible {
        var line: Int
        var file: String?
        var rule: Int?
        var type: String?
        var databases: [String]?
        var users: [String]?
        var address: String?
        var netmask: String?
        var method: String?
        var options: [String]?
        var error: String?

        var description: String {
            let fields: [(String, Any?)] = [
                ("file", file), ("rule", rule), ("type", type), ("databases", databases), ("users", users), ("address", address), ("netmask", netmask),
                ("method", method), ("options", options), ("error", error),
            ]
            return "\(line): " + fields.compactMap { name, value in value.map { "\(name) \($0)" } }.joined(separator: "; ")
        }

        /// The old name of `samerole` is shown as written.
        var comparable: Row {
            var row = self
            row.databases = databases?.map { $0 == "samegroup" ? "samerole" : $0 }
            return row
        }
    }

    static func query(_ version: MajorVersion) -> String {
        let since16 = version >= .postgres(16) ? "'file', file_name, 'rule', rule_number, " : ""
        return """
            SELECT coalesce(json_agg(json_build_object('line', line_number, \(since16)'type', type, 'databases', database, 'users', user_name,
                'address', address, 'netmask', netmask, 'method', auth_method, 'options', options, 'error', error)), '[]') FROM pg_hba_file_rules
            """
    }

    /// What the judges were built and are run with.
    static func reader(_ version: MajorVersion) -> HBAServer {
        HBAServer(version, build: version == .postgres(15) ? .packaged : .plain, sslIsOn: false, oauthValidators: ["val_a", "val_b"])
    }

    static func settings(_ version: MajorVersion) -> String {
        version >= .postgres(18) ? "oauth_validator_libraries = 'val_a, val_b'\n" : ""
    }

    static func rows(of rules: HBARules) -> [Row] {
        var number = 0
        return rules.entries.map { entry in
            var row = Row(line: entry.line)
            if rules.server.version >= .postgres(16) {
                row.file = entry.file
                if entry.reading.problem == nil {
                    number += 1
                    row.rule = number
                }
            }
            row.error = entry.reading.problem
            if let rule = entry.reading.rule { row.show(rule) }
            return row
        }
    }

    @Test("values, lines and errors are those of pg_hba_file_rules", arguments: Programs.judges.map(\.version))
    func compare(version: MajorVersion) throws {
        let bin = try #require(Programs.judges.first { $0.version == version }).bin
        let server = try ScratchServer(settings: Self.settings(version), bin: bin)
        defer { #expect(throws: Never.self) { try server.stop() } }
        let session = try ServerSession(server)
        defer { #expect(throws: Never.self) { try session.close() } }
        try HBARules.write(HBAGenerator.auxiliary(version), in: server.data)

        let query = Self.query(version), reader = Self.reader(version), path = "\(server.data)/pg_hba.conf"
        var generator = HBAGenerator(random: SeededGenerator(seed: Fuzz.seed), version: version)
        let samples = HBASamples.all.map { Array($0.utf8) } + HBASamples.bytes
        let count = Fuzz.count(usual: 300, part: 20)
        var snapshot = FileSnapshot(), lines = 0, differences = 0, undecided = 0
        for index in 0..<(samples.count + count) {
            let bytes = index < samples.count ? samples[index] : generator.file()
            try Disk.write(bytes, to: path)
            snapshot[.file(path)] = .file(bytes)
            let rules = HBARules.read(path, into: &snapshot, for: reader)
            let ours = Self.rows(of: rules).map(\.comparable)
            let theirs: [Row] = try session.json(query, as: [Row].self).map(\.comparable)
            lines += theirs.count
            // Which regular expressions can be compiled is not judged here.
            guard !theirs.contains(where: { $0.error?.hasPrefix("invalid regular expression") ?? false }) else {
                undecided += 1
                continue
            }
            guard ours != theirs else { continue }
            let place = zip(ours, theirs).enumerated().first { $1.0 != $1.1 }?.offset ?? min(ours.count, theirs.count)
            // Nor which interfaces there are, which an address may name.
            guard place >= rules.entries.count || !rules.entries[place].text.contains("%") else {
                undecided += 1
                continue
            }
            differences += 1
            let text = place < rules.entries.count ? rules.entries[place].text.debugDescription : "-"
            Issue.record(
                """
                PostgreSQL \(version), PGGRAFT_FUZZ_SEED=\(Fuzz.seed), file \(index): \(text)
                we:  \(place < ours.count ? ours[place].description : "-")
                it:  \(place < theirs.count ? theirs[place].description : "-")
                """)
            if differences == 10 { break }
        }
        print(
            "pg_hba.conf, PostgreSQL \(version): \(samples.count + count) files, \(lines) lines, \(differences) differ, "
                + "\(undecided) undecided, seed \(Fuzz.seed)")
        #expect(lines > count)
    }
}

extension HBARules {
    /// The rules of a file on this machine. What `snapshot` does not hold is read into it.
    static func read(_ path: String, into snapshot: inout FileSnapshot, for server: HBAServer) -> HBARules {
        while true {
            let rules = HBARules(file: path, in: snapshot, for: server)
            if rules.missing.isEmpty { return rules }
            for request in rules.missing { snapshot[request] = Disk.answer(request) }
        }
    }

    static func write(_ files: [String: String], in directory: String) throws {
        for (name, text) in files {
            let parts = name.split(separator: "/").dropLast()
            try Disk.makeDirectory(([Substring(directory)] + parts).joined(separator: "/"))
            try Disk.write(Array(text.utf8), to: "\(directory)/\(name)")
        }
    }
}

extension ServerSession {
    /// The value that `query` answers with, decoded from JSON. What is no UTF-8 is repaired as the parsers repair it.
    func json<Value: Decodable>(_ query: String, as type: Value.Type = Value.self) throws -> Value {
        let line = try rows(query).first ?? []
        return try JSONDecoder().decode(type, from: Data(String(decoding: line, as: UTF8.self).utf8))
    }
}

extension HBAServerTests.Row {
    init(line: Int) { self.line = line }

    mutating func show(_ rule: HBARule) {
        type = rule.type.rawValue
        databases = rule.databases.map { database in
            switch database {
            case .all: "all"
            case .replication: "replication"
            case .sameUser: "sameuser"
            case .sameRole: "samerole"
            case .named(let name): name
            case .regex(let regex): "/" + regex
            case .file(let path): "@" + path
            }
        }
        users = rule.users.map { user in
            switch user {
            case .all: "all"
            case .named(let name): name
            case .memberOf(let role): "+" + role
            case .regex(let regex): "/" + regex
            case .file(let path): "@" + path
            }
        }
        switch rule.address {
        case nil: break
        case .all: address = "all"
        case .sameHost: address = "samehost"
        case .sameNet: address = "samenet"
        case .hostName(let name): address = name
        case .network(let network): (address, netmask) = (network.address.description, network.netmask.description)
        }
        method = rule.method
        options = shown(rule)
    }

    /// The options as the view shows them: in its own order, with what they imply, of several the last.
    private func shown(_ rule: HBARule) -> [String]? {
        func last(_ name: String) -> String? { rule.options.last { $0.name == name }?.value }
        var shown: [String] = []
        func show(_ names: String...) { for name in names { if let value = last(name) { shown.append("\(name)=\(value)") } } }
        if rule.method == "gss" {
            if last("include_realm") ?? "1" == "1" { shown.append("include_realm=true") }
            show("krb_realm")
        }
        show("map")
        if rule.method == "cert" { shown.append("clientcert=verify-full") } else { show("clientcert") }
        show("pamservice")
        if rule.method == "ldap" {
            show("ldapserver")
            if let port = last("ldapport") { shown.append("ldapport=\(port.prefix { $0.isNumber })") }
            show("ldapscheme")
            if last("ldaptls") == "1" { shown.append("ldaptls=true") }
            show("ldapprefix", "ldapsuffix", "ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter")
            shown.append("ldapscope=2")
        }
        show("radiusservers", "radiussecrets", "radiusidentifiers", "radiusports", "issuer", "scope", "validator")
        if last("delegate_ident_mapping") == "1" { shown.append("delegate_ident_mapping=true") }
        return shown.isEmpty ? nil : shown
    }
}
