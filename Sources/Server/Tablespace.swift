public import EventLoop
import PostgresClient
import PostgresConfig

/// A tablespace beside the built-in ones.
public struct Tablespace: Sendable, Hashable {
    /// The name of its link in `pg_tblspc`.
    public var oid: UInt32
    public var name: String
    /// Its directory; relative for one that has no link (`allow_in_place_tablespaces`).
    public var location: String

    public init(oid: UInt32, name: String, location: String) { (self.oid, self.name, self.location) = (oid, name, location) }

    static func all(_ features: ServerFeatures) -> SQL {
        let location: SQL = features.hasTablespaceLocation ? "pg_tablespace_location(oid)" : "spclocation"
        return "SELECT oid, spcname::text AS name, \(location) AS location FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY spcname"
    }

    init(row: Row) throws {
        oid = try row.get("oid")
        name = try row.get("name")
        location = try row.get("location")
    }
}

extension ServerSession {
    /// The tablespaces beside the built-in ones, in order of name.
    public func tablespaces(deadline: Deadline) async throws -> [Tablespace] {
        try await look(Tablespace.all(features), deadline).map(Tablespace.init(row:))
    }
}
