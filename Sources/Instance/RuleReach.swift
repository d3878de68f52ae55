public import EventLoop
public import PostgresClient
public import PostgresConfig
import RemoteHost

/// What there is on a server, and for its host, of what a rule names.
public struct RuleReach: Sendable, Hashable {
    /// All roles; `nil` where nobody could ask.
    public var roles: [String]?
    /// All databases; `nil` where nobody could ask.
    public var databases: [String]?
    /// The roles that belong to each `+role` today, and may log in.
    public var members: [String: [String]] = [:]
    /// The roles that may log in and the databases that fit each regular expression today.
    public var fitting: [String: [String]] = [:]
    /// What the server's host makes of the rule's host name; `nil` where the rule has none, or nobody can say.
    public var host: Host?

    /// A name as the server will look at it when somebody connects: the name of the client's address must be this one.
    public enum Host: Sendable, Hashable {
        case isFound
        case hasNoAddress
        /// None of its addresses is called so: the first names that they have; empty where they have none.
        case isCalled([String])
    }

    public init(roles: [String]? = nil, databases: [String]? = nil) { (self.roles, self.databases) = (roles, databases) }
}

extension Instance {
    /// Asks the server, its host and its resolver for what `rule` names.
    ///
    /// - Parameter connection: without one, nobody knows of roles and databases.
    /// - Throws: `PostgresError` for a regular expression that the server cannot read, too.
    public func reach(of rule: HBARule, through connection: PostgresConnection?, deadline: Deadline) async throws -> RuleReach {
        async let host = reach(of: rule.address, deadline: deadline)
        var reach = RuleReach()
        if let connection {
            func names(_ query: SQL) async throws -> [String] { try await connection.look(query, deadline: deadline).map { try $0.get("name") } }
            reach.roles = try await names("SELECT rolname AS name FROM pg_roles ORDER BY 1")
            reach.databases = try await names("SELECT datname AS name FROM pg_database ORDER BY 1")
            for user in rule.users {
                switch user {
                case .memberOf(let role): reach.members[role] = try await names(ServerAnswers.members(of: role))
                case .regex(let regex): reach.fitting[regex] = try await names(ServerAnswers.roles(fitting: regex))
                case .all, .named, .file: break
                }
            }
            for case .regex(let regex) in rule.databases {
                reach.fitting[regex] = try await (reach.fitting[regex] ?? []) + names(ServerAnswers.databases(fitting: regex))
            }
        }
        reach.host = try await host
        return reach
    }

    private func reach(of address: HBARule.Address?, deadline: Deadline) async throws -> RuleReach.Host? {
        // What ends in the suffix nobody can list.
        guard case .hostName(let name) = address, !name.hasPrefix(".") else { return nil }
        let result = try await host.run(.script(ServerAnswers.namesOfHost, name), deadline: deadline)
        switch result.status {
        case .code(0): return ServerAnswers.host(name, in: result.text)
        // "One or more supplied key could not be found in the database."
        case .code(2): return .hasNoAddress
        default: return nil
        }
    }
}
