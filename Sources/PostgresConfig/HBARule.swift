/// A line of `pg_hba.conf`: who may connect from where to what, and how they prove who they are.
/// <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>
///
/// ```swift
/// let rule = HBARule(.host, databases: [.replication], users: [.named("replicator")], from: .network(standby), method: "scram-sha-256")
/// rule.description   // host    replication     replicator      10.77.0.12/32           scram-sha-256
/// ```
public struct HBARule: Sendable, Hashable, CustomStringConvertible {
    public enum ConnectionType: String, Sendable, Hashable, CaseIterable {
        case local, host, hostssl, hostnossl, hostgssenc, hostnogssenc
    }

    public enum Database: Sendable, Hashable {
        case all, replication, sameUser, sameRole
        case named(String)
        /// `/regex` (from 16), without the slash.
        case regex(String)
        /// `@file`, without the sign: the words that stand in another file.
        case file(String)
    }

    public enum User: Sendable, Hashable {
        case all
        case named(String)
        /// `+role`: whoever belongs to it, directly or not.
        case memberOf(String)
        /// `/regex` (from 16), without the slash.
        case regex(String)
        /// `@file`, without the sign: the words that stand in another file.
        case file(String)
    }

    public enum Address: Sendable, Hashable {
        case all, sameHost, sameNet
        case network(IPNetwork)
        /// A host name, or `.suffix` of host names.
        case hostName(String)
    }

    public struct Option: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public var type: ConnectionType
    public var databases: [Database]
    public var users: [User]
    /// `nil` for ``ConnectionType/local``.
    public var address: Address?
    /// As the server names it: `ident` in a ``ConnectionType/local`` line is `peer`.
    public var method: String
    public var options: [Option]

    public init(
        _ type: ConnectionType, databases: [Database], users: [User], from address: Address, method: String, options: [Option] = []
    ) {
        (self.type, self.databases, self.users, self.address) = (type, databases, users, type == .local ? nil : address)
        (self.method, self.options) = (method, options)
    }

    /// A rule for connections over the Unix-domain socket.
    public init(localTo databases: [Database], users: [User], method: String, options: [Option] = []) {
        (type, self.databases, self.users, address) = (.local, databases, users, nil)
        (self.method, self.options) = (method, options)
    }

    /// The line, in the columns of PostgreSQL's own sample.
    public var description: String {
        let options = options.map { " " + HBAToken.quoted("\($0.name)=\($0.value)", keywords: []) }.joined()
        return column(type.rawValue, 8) + column(databases.map(\.written).joined(separator: ","), 16)
            + column(users.map(\.written).joined(separator: ","), 16) + column(address?.written ?? "", 24) + method + options
    }

    private func column(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(text.isEmpty || text.count < width ? 0 : 1, width - text.count))
    }
}

extension HBARule.Database {
    static let keywords = ["all", "replication", "sameuser", "samerole", "samegroup"]

    init(_ token: HBAToken, for server: HBAServer) {
        if let file = token.referencedFile {
            self = .file(file)
        } else if token.text.utf8.first == UInt8(ascii: "/"), server.knowsRegexAndIncludes {
            // Quoted or not.
            self = .regex(String(token.text.dropFirstByte))
        } else {
            switch (token.isQuoted, token.text) {
            case (false, "all"): self = .all
            case (false, "replication"): self = .replication
            case (false, "sameuser"): self = .sameUser
            case (false, "samerole"), (false, "samegroup"): self = .sameRole
            case (_, let text): self = .named(text)
            }
        }
    }

    var written: String {
        switch self {
        case .all: "all"
        case .replication: "replication"
        case .sameUser: "sameuser"
        case .sameRole: "samerole"
        case .named(let name): HBAToken.quoted(name, keywords: Self.keywords)
        // Quotes do not take its meaning from the slash, but from the sign they would.
        case .regex(let pattern): HBAToken.quoted("/" + pattern, keywords: [])
        case .file(let path): "@" + HBAToken.quoted(path, keywords: [])
        }
    }
}

extension HBARule.User {
    init(_ token: HBAToken, for server: HBAServer) {
        if let file = token.referencedFile {
            self = .file(file)
        } else if !token.isQuoted, token.text.utf8.first == UInt8(ascii: "+") {
            self = .memberOf(String(token.text.dropFirstByte))
        } else if token.text.utf8.first == UInt8(ascii: "/"), server.knowsRegexAndIncludes {
            self = .regex(String(token.text.dropFirstByte))
        } else {
            self = token.isKeyword("all") ? .all : .named(token.text)
        }
    }

    var written: String {
        switch self {
        case .all: "all"
        case .named(let name): HBAToken.quoted(name, keywords: ["all"])
        // The sign must stand outside the quotes: in them it would be part of the name.
        case .memberOf(let role): "+" + HBAToken.quoted(role, keywords: [])
        case .regex(let pattern): HBAToken.quoted("/" + pattern, keywords: [])
        case .file(let path): "@" + HBAToken.quoted(path, keywords: [])
        }
    }
}

extension HBARule.Address {
    var written: String {
        switch self {
        case .all: "all"
        case .sameHost: "samehost"
        case .sameNet: "samenet"
        case .network(let network): network.description
        case .hostName(let name): HBAToken.quoted(name, keywords: ["all", "samehost", "samenet"])
        }
    }
}
