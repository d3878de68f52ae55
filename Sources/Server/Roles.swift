public import EventLoop
public import PostgresClient
import PostgresConfig

/// A role with everything that makes it what it is but its rights on objects.
public struct Role: Sendable, Hashable {
    public var name: String
    public var attributes: Attributes
    /// What the server keeps of its password; `nil` for none.
    public var verifier: Secret?
    /// The roles that it is a member of.
    public var memberOf: [String]
    /// `name=value`, as `ALTER ROLE … SET` has them.
    public var settings: [String]

    public struct Attributes: Sendable, Hashable {
        public var isSuperuser: Bool
        public var inherits: Bool
        public var createsRoles: Bool
        public var createsDatabases: Bool
        public var mayLogIn: Bool
        public var mayReplicate: Bool
        public var bypassesRowSecurity: Bool
        /// -1 for any number.
        public var connectionLimit: Int
        /// `nil` for ever.
        public var validUntil: String?
    }

    static func all() -> SQL {
        """
        SELECT r.*, a.rolpassword AS verifier, ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
        WHERE m.member = r.oid ORDER BY 1) AS member_of, coalesce((SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0), '{}') \
        AS settings FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid WHERE r.rolname !~ '^pg_' ORDER BY r.rolname
        """
    }

    init(row: Row) throws {
        name = try row.get("rolname")
        attributes = Attributes(
            isSuperuser: try row.get("rolsuper"), inherits: try row.get("rolinherit"), createsRoles: try row.get("rolcreaterole"),
            createsDatabases: try row.get("rolcreatedb"), mayLogIn: try row.get("rolcanlogin"), mayReplicate: try row.get("rolreplication"),
            bypassesRowSecurity: try row.get("rolbypassrls"), connectionLimit: try row.get("rolconnlimit"), validUntil: try row.optional("rolvaliduntil"))
        verifier = try row.optional("verifier", as: String.self).map { Secret($0) }
        memberOf = try row.get("member_of")
        settings = try row.get("settings")
    }

    /// The statement that makes it. The verifier in it is what the server keeps: no password is sent, logged or shown.
    func create() -> SQL {
        func word(_ isSo: Bool, _ name: String) -> String { isSo ? name : "NO\(name)" }
        let words = [
            word(attributes.isSuperuser, "SUPERUSER"), word(attributes.inherits, "INHERIT"), word(attributes.createsRoles, "CREATEROLE"),
            word(attributes.createsDatabases, "CREATEDB"), word(attributes.mayLogIn, "LOGIN"), word(attributes.mayReplicate, "REPLICATION"),
            word(attributes.bypassesRowSecurity, "BYPASSRLS"), "CONNECTION LIMIT \(attributes.connectionLimit)",
        ].joined(separator: " ")
        let password: SQL = verifier.map { " PASSWORD \(literal: $0)" } ?? "", until: SQL = attributes.validUntil.map { " VALID UNTIL \(literal: $0)" } ?? ""
        return "CREATE ROLE \(identifier: name) WITH \(SQL(stringLiteral: words))\(password)\(until)"
    }

    /// What else belongs to it, once all roles are there, on a server that has `features`.
    func complete(_ features: ServerFeatures) -> [SQL] {
        let grants: [SQL] = memberOf.map { "GRANT \(identifier: $0) TO \(identifier: name)" }
        return grants + settings.compactMap { Self.set($0, of: name, features) }
    }

    /// The statement that gives `role` a setting as the server keeps it, `name=value`.
    static func set(_ setting: String, of role: String, _ features: ServerFeatures) -> SQL? {
        let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let key = parts.first, let value = parts.last else { return nil }
        let name = SQL.joined(key.split(separator: ".").map { "\(identifier: String($0))" }, separator: ".")
        return "ALTER ROLE \(identifier: role) SET \(name) = \(values(value, of: key, features))"
    }

    /// A list whose elements the server quotes by itself has to be given element by element: one string would be one element.
    private static func values(_ value: String, of name: String, _ features: ServerFeatures) -> SQL {
        guard AlteredSetting.isQuotedList(name, features), case .list(let syntax) = ListSetting.of(name, in: features.version),
            let list = SettingList(value, syntax: syntax), !list.isEmpty
        else { return "\(literal: value)" }
        return SQL.joined(list.names.map { "\(literal: $0)" }, separator: ", ")
    }

    /// In what it differs from `other`, of the same name: `superuser, memberships`. Passwords are left out of account: each server has its own verifier.
    public func differences(from other: Role) -> [String] {
        var differences: [String] = []
        let (mine, theirs) = (attributes, other.attributes)
        func compare<Value: Equatable>(_ what: String, _ path: KeyPath<Attributes, Value>) { if mine[keyPath: path] != theirs[keyPath: path] { differences.append(what) } }
        compare("SUPERUSER", \.isSuperuser)
        compare("INHERIT", \.inherits)
        compare("CREATEROLE", \.createsRoles)
        compare("CREATEDB", \.createsDatabases)
        compare("LOGIN", \.mayLogIn)
        compare("REPLICATION", \.mayReplicate)
        compare("BYPASSRLS", \.bypassesRowSecurity)
        compare("CONNECTION LIMIT", \.connectionLimit)
        compare("VALID UNTIL", \.validUntil)
        if Set(memberOf) != Set(other.memberOf) { differences.append("its memberships") }
        if Set(settings) != Set(other.settings) { differences.append("its settings") }
        return differences
    }
}

extension ServerSession {
    /// Every role but those that PostgreSQL brings. For superusers.
    public func roles(deadline: Deadline) async throws -> [Role] { try await look(Role.all(), deadline).map(Role.init(row:)) }

    public func hasRole(_ name: String, deadline: Deadline) async throws -> Bool {
        try await look("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = \(name)) AS there", deadline).one().get("there")
    }

    /// Makes `roles`, all of them or none.
    public func createRoles(_ roles: [Role], deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in
            try await transaction.query(together: roles.map { $0.create() } + roles.flatMap { $0.complete(features) })
        }
    }
}
