public import EventLoop
public import PostgresClient
import PostgresConfig

/// A role that standbys stream as.
public struct ReplicationRole: Sendable, Hashable {
    public var mayLogIn: Bool
    public var mayReplicate: Bool
    /// How many connections it may have; -1 for any number. A base backup takes two.
    public var connectionLimit: Int
    /// How many it has now.
    public var connections: Int
    public var password: Password

    /// What the server keeps of its password.
    public enum Password: String, Sendable, Hashable, PostgresDecodable {
        case none, md5, scram

        public init?(postgresText: String) { self.init(rawValue: postgresText) }
    }

    static func read(_ name: String) -> SQL {
        """
        SELECT r.rolcanlogin, r.rolreplication, r.rolconnlimit, (SELECT count(*)::integer FROM pg_stat_activity a WHERE a.usename = r.rolname) AS connections, \
        CASE WHEN a.rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram' WHEN a.rolpassword IS NULL THEN 'none' ELSE 'md5' END AS password \
        FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid WHERE r.rolname = \(name)
        """
    }

    /// The verifier in it is what the server keeps: no password is sent, logged or shown.
    static func create(_ name: String, connectionLimit: Int, verifier: Secret?) -> SQL {
        let password: SQL = verifier.map { " PASSWORD \(literal: $0)" } ?? ""
        return "CREATE ROLE \(identifier: name) LOGIN REPLICATION CONNECTION LIMIT \(SQL(stringLiteral: "\(connectionLimit)"))\(password)"
    }

    static func drop(_ name: String) -> SQL { "DROP ROLE \(identifier: name)" }

    init(row: Row) throws {
        mayLogIn = try row.get("rolcanlogin")
        mayReplicate = try row.get("rolreplication")
        connectionLimit = try row.get("rolconnlimit")
        connections = try row.get("connections")
        password = try row.get("password")
    }
}

extension ServerSession {
    /// The role called `name`; `nil` where there is none. For superusers.
    public func replicationRole(_ name: String, deadline: Deadline) async throws -> ReplicationRole? {
        try await look(ReplicationRole.read(name), deadline).first.map(ReplicationRole.init(row:))
    }

    /// Makes a role that may log in and replicate.
    /// - Parameter password: of which the server gets the verifier alone; `nil` for none.
    public func createReplicationRole(_ name: String, connectionLimit: Int, password: Secret?, deadline: Deadline) async throws {
        var verifier: Secret?
        if let password { verifier = try await connection.verifier(of: password, role: name, isSCRAM: features.hasSCRAM) }
        try await query(ReplicationRole.create(name, connectionLimit: connectionLimit, verifier: verifier), deadline)
    }

    public func dropRole(_ name: String, deadline: Deadline) async throws { try await query(ReplicationRole.drop(name), deadline) }
}
