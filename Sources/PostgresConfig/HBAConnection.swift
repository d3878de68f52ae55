/// Somebody who wants to connect.
public struct HBAConnection: Sendable, Hashable {
    public enum Origin: Sendable, Hashable {
        /// Over the Unix-domain socket.
        case socket
        /// Over TCP, from this address.
        case address(IPAddress)
    }

    public var user: String
    /// Without meaning for physical replication.
    public var database: String
    public var origin: Origin
    public var usesSSL: Bool
    /// Streaming of the whole server (`replication=true`). Logical replication connects to a database like everybody else.
    public var isPhysicalReplication: Bool

    public init(user: String, database: String, from origin: Origin, usesSSL: Bool = false, isPhysicalReplication: Bool = false) {
        (self.user, self.database, self.origin) = (user, database, origin)
        (self.usesSSL, self.isPhysicalReplication) = (usesSSL, isPhysicalReplication)
    }
}

/// What the files do not say about a connection, and the server knows.
public enum HBAQuestion: Sendable, Hashable, CustomStringConvertible {
    /// Whether the user belongs to the role, directly or not. A superuser does not belong to all of them.
    case isMember(of: String)
    /// Whether the server's regular expression finds something in the text.
    case matches(regex: String, text: String)
    /// Whether the client's address has this name (or this `.suffix`), and the name this address.
    case clientIsHost(String)
    /// Whether the client's address is one of the server's own (`samehost`).
    case clientIsServerAddress
    /// Whether the client is in a network that the server has an interface in (`samenet`).
    case clientIsInServerNetwork

    public var description: String {
        switch self {
        case .isMember(let role): "is the user a member of \(role)?"
        case .matches(let regex, let text): "does \(text) match /\(regex)?"
        case .clientIsHost(let name): "is the client's address that of \(name)?"
        case .clientIsServerAddress: "is the client's address one of the server's own?"
        case .clientIsInServerNetwork: "is the client in a network of the server's own?"
        }
    }
}

/// Why a line does not match a connection: the first of its fields that does not, in the server's order.
public enum HBAMismatch: Sendable, Hashable, CustomStringConvertible {
    case needsSocket(IPAddress)
    case needsNetwork
    case needsSSL
    case needsNoSSL
    case needsGSSEncryption
    case address(IPAddress, of: HBARule.Address)
    case database(String, of: [HBARule.Database], user: String)
    /// The line does not name `replication`.
    case physicalReplication(of: [HBARule.Database])
    case user(String, of: [HBARule.User])

    public var description: String {
        switch self {
        case .needsSocket(let address): "the line is for the Unix-domain socket, the client comes from \(address)"
        case .needsNetwork: "the line is for TCP connections, the client comes over the Unix-domain socket"
        case .needsSSL: "the line is for SSL connections only"
        case .needsNoSSL: "the line is for connections without SSL only"
        case .needsGSSEncryption: "the line is for connections with GSSAPI encryption only"
        case .address(let address, .network(let network)):
            network.isSingleAddress ? "the client comes from \(address), the line is for \(network.address)" : "\(address) is not in \(network)"
        case .address(let address, .sameHost): "\(address) is not an address of the server"
        case .address(let address, .sameNet): "\(address) is in no network of the server"
        case .address(let address, let other): "\(address) is not the address of \(other.written)"
        case .database(let database, let listed, let user):
            "the database is \(database), the line is for: \(list(listed.map(\.written)))" + hints(listed, user)
        case .physicalReplication(let listed):
            listed.contains(.all) ? "all does not include physical replication" : "the line is for: \(list(listed.map(\.written))), not for replication"
        case .user(let user, let listed): "the user is \(user), the line is for: \(list(listed.map(\.written)))"
        }
    }

    private func hints(_ listed: [HBARule.Database], _ user: String) -> String {
        listed.contains(.sameUser) || listed.contains(.sameRole)
            ? " (the user is \(user))"
            : listed.contains(.replication) ? " (replication is physical replication only)" : ""
    }

    private func list(_ words: [String]) -> String {
        words.count > 8 ? words.prefix(8).joined(separator: ", ") + " and \(words.count - 8) more" : words.joined(separator: ", ")
    }
}
