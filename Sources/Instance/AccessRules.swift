public import EventLoop
public import PostgresClient
public import PostgresConfig
public import RemoteHost

/// Who may connect to an instance, as its files say and its server reads them.
public struct AccessRules: Sendable {
    public let file: HostPath
    /// The main file; `nil` where there is none.
    public let content: [UInt8]?
    public let rules: HBARules
    /// Why the server would not take these files over, in its own words; nothing where nobody asks it.
    public let problems: [ConfigurationProblem]
    /// The files were changed since the running server has read them: what it does now may be something else.
    public let isNewerThanServer: Bool

    public var server: HBAServer { rules.server }

    /// Why the server refuses a line: in its own words, where it was asked.
    public func reason(against entry: HBARules.Entry) -> String? {
        problems.first { $0.file == entry.file && $0.line == entry.line }?.error ?? entry.reading.problem
    }
}

extension Instance {
    /// Reads `pg_hba.conf` and everything it refers to.
    ///
    /// - Parameter connection: to this instance; `nil` where it does not run or nobody can connect.
    public func accessRules(_ configuration: InstanceConfiguration, through connection: PostgresConnection?, deadline: Deadline) async throws -> AccessRules {
        let path = configuration.files.hbaFile
        async let asking = rulesProblems(through: connection, deadline: deadline)
        async let reading = looks(at: [.file(path.path)], deadline: deadline)
        let server = HBAServer(
            version, build: try await build(through: connection, deadline: deadline),
            sslIsOn: SettingValue(configuration.report("ssl").value ?? "off", kind: SettingKind(.bool, version: version)) == .bool(true),
            oauthValidators: (configuration.report("oauth_validator_libraries").value).flatMap { LibraryList($0)?.names } ?? [])
        let known = FileSnapshot(Dictionary(uniqueKeysWithValues: try await reading))
        let (rules, snapshot) = try await parse(known, deadline: deadline) {
            HBARules(file: path.path, in: $0, for: server)
        } missing: {
            Array($0.missing)
        }
        let files = Set(rules.entries.map(\.file) + [path.path]).sorted()
        var isNewer = false, content: [UInt8]?
        if let connection { isNewer = try await isAny(of: files, newerThan: connection, deadline: deadline) }
        if case .file(let bytes)? = snapshot[.file(path.path)] { content = bytes }
        return AccessRules(file: path, content: content, rules: rules, problems: try await asking, isNewerThanServer: isNewer)
    }

    /// Whether a file was changed since the server has read its configuration. By the host's `stat`: the server's knows whole
    /// seconds only.
    private func isAny(of files: [String], newerThan connection: PostgresConnection, deadline: Deadline) async throws -> Bool {
        async let looked = host.run(Command(words: ["stat", "-L", "-c", "%.6Y %.6Z", "--"] + files, user: user), deadline: deadline)
        let loaded: Double = try await connection.look("SELECT extract(epoch FROM pg_conf_load_time())::float8 AS at", deadline: deadline).one().get("at")
        // Those that are not there are not newer. A file that was moved into place may be old, its place is new.
        let times = try await looked.text.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        return times.contains { $0 > loaded }
    }

    /// What the server was built with, where it can say so (from 9.6).
    private func build(through connection: PostgresConnection?, deadline: Deadline) async throws -> HBAServer.Build {
        guard let connection, version.number >= 906 else { return .packaged }
        let rows = try await connection.look("SELECT setting FROM pg_config WHERE name = 'CONFIGURE'", deadline: deadline)
        guard let row = rows.first else { return .packaged }
        let options: String = try row.get("setting")
        let known: [(String, HBAServer.Build)] = [
            ("--with-openssl", .ssl), ("--with-ssl", .ssl), ("--with-gssapi", .gss), ("--with-pam", .pam), ("--with-bsd-auth", .bsd), ("--with-ldap", .ldap),
            ("-Dssl=openssl", .ssl), ("-Dgssapi=enabled", .gss), ("-Dpam=enabled", .pam), ("-Dbsd_auth=enabled", .bsd), ("-Dldap=enabled", .ldap),
        ]
        return known.reduce(into: .plain) { build, option in if options.contains(option.0) { build.insert(option.1) } }
    }

    /// Which line decides over `client`. What the files do not say is asked of the server, of its host and of its resolver.
    ///
    /// - Parameter connection: without one, roles and regular expressions stay open questions.
    public func explain(
        _ client: HBAConnection, by access: AccessRules, through connection: PostgresConnection?, deadline: Deadline
    ) async throws -> HBAExplanation {
        // A regular expression that cannot be compiled is seen by the server only.
        let refused = access.rules.entries.filter { entry in access.problems.contains { $0.file == entry.file && $0.line == entry.line } }
        guard refused.isEmpty else { return .refused(refused) }
        var answers: [HBAQuestion: Bool] = [:]
        while true {
            let explanation = access.rules.explain(client, answers: answers)
            guard case .undecided(let questions) = explanation.decision else { return explanation }
            let open = questions.filter { answers[$0] == nil }
            let learnt = try await onEach(Array(Set(open))) { try await answer($0, about: client, through: connection, deadline: deadline) }.compactMapValues(\.self)
            guard !learnt.isEmpty else { return explanation }
            answers.merge(learnt) { $1 }
        }
    }

    private func answer(
        _ question: HBAQuestion, about client: HBAConnection, through connection: PostgresConnection?, deadline: Deadline
    ) async throws -> Bool? {
        switch question {
        case .isMember(let role):
            guard let connection else { return nil }
            return try await connection.look(ServerAnswers.isMember(client.user, of: role), deadline: deadline).one().get("is_so")
        case .matches(let regex, let text):
            guard let connection else { return nil }
            do {
                return try await connection.look("SELECT \(text)::text ~ \(regex)::text COLLATE \"C\" AS is_so", deadline: deadline).one().get("is_so")
            } catch let error as PostgresError where error.code == "2201B" {
                // The server refuses the line, and with it the file; its view says so.
                return nil
            }
        case .clientIsHost(let name):
            guard case .address(let address) = client.origin else { return false }
            let text = try await host.require(.script(ServerAnswers.names, "\(address)"), deadline: deadline).text
            return ServerAnswers.isHost(name, address, in: text)
        case .clientIsServerAddress, .clientIsInServerNetwork:
            guard case .address(let address) = client.origin else { return false }
            let text = try await host.require(Command("ip", "-o", "addr", "show"), deadline: deadline).text
            return ServerAnswers.interfaces(text).contains { question == .clientIsServerAddress ? $0.address == address : $0.contains(address) }
        }
    }
}

/// What a server would find out by itself about a client.
enum ServerAnswers {
    /// Whether a role belongs to another, directly or not: a superuser not to all, and nobody to a role that is not there.
    static func isMember(_ user: String, of role: String) -> SQL {
        """
        WITH RECURSIVE held(oid) AS (
            SELECT oid FROM pg_roles WHERE rolname = \(user)
            UNION SELECT roleid FROM pg_auth_members JOIN held ON member = held.oid)
        SELECT EXISTS (SELECT FROM held JOIN pg_roles USING (oid) WHERE rolname = \(role)) AS is_so
        """
    }

    /// Whoever belongs to a role, directly or not, and may log in; without the role itself.
    static func members(of role: String) -> SQL {
        """
        WITH RECURSIVE belonging(oid) AS (
            SELECT member FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = roleid WHERE rolname = \(role)
            UNION SELECT member FROM pg_auth_members JOIN belonging ON roleid = belonging.oid)
        SELECT rolname AS name FROM belonging JOIN pg_roles USING (oid) WHERE rolcanlogin ORDER BY 1
        """
    }

    /// The roles in which the server's regular expression finds something, and which may log in.
    static func roles(fitting regex: String) -> SQL {
        "SELECT rolname AS name FROM pg_roles WHERE rolcanlogin AND rolname::text ~ \(regex)::text COLLATE \"C\" ORDER BY 1"
    }

    /// The databases in whose names the server's regular expression finds something.
    static func databases(fitting regex: String) -> SQL {
        "SELECT datname AS name FROM pg_database WHERE datname::text ~ \(regex)::text COLLATE \"C\" ORDER BY 1"
    }

    /// The first name of an address, then the addresses of that name.
    static let names = """
        name=$(getent hosts "$1" | { read -r address name rest; printf '%s' "${name:-}"; })
        [ -n "$name" ] || exit 0
        printf '%s\\n' "$name"
        getent ahosts "$name" | while read -r address rest; do printf '%s\\n' "$address"; done
        """

    /// The first name of each address of a host; 2 where it has no address.
    static let namesOfHost = """
        addresses=$(getent ahosts "$1") || exit $?
        printf '%s\\n' "$addresses" | while read -r address rest; do printf '%s\\n' "$address"; done | sort -u | while read -r address; do
          getent hosts "$address" | { read -r address name rest; printf '%s\\n' "${name:-}"; }
        done
        """

    /// Reads what ``namesOfHost`` wrote.
    static func host(_ wanted: String, in text: String) -> RuleReach.Host {
        let names = lines(of: text).filter { !$0.isEmpty }
        return names.contains { $0.lowercased() == wanted.lowercased() } ? .isFound : .isCalled(Array(Set(names)).sorted())
    }

    /// Reads what ``names`` wrote: whether the address has the name (or one that ends in it, where it begins with a dot), and
    /// the name the address.
    static func isHost(_ wanted: String, _ address: IPAddress, in text: String) -> Bool {
        let lines = lines(of: text).filter { !$0.isEmpty }
        guard let name = lines.first?.lowercased() else { return false }
        let wanted = wanted.lowercased()
        guard wanted.hasPrefix(".") ? name.hasSuffix(wanted) && name.count > wanted.count : name == wanted else { return false }
        return lines.dropFirst().contains { IPAddress($0) == address }
    }

    /// Reads `ip -o addr show`.
    static func interfaces(_ text: String) -> [IPNetwork] {
        lines(of: text).compactMap { line in
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(where: { $0 == "inet" || $0 == "inet6" }), words.count > index + 1 else { return nil }
            // Of a point-to-point link the word is the own address alone.
            return IPNetwork(String(words[index + 1]))
        }
    }
}
