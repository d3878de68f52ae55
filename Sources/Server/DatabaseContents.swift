public import EventLoop
import PostgresClient
import Report

/// What a database has of its users': schemas, extensions and tables.
public struct DatabaseContents: Sendable, Hashable {
    /// Without `public`, and without those that are an extension's.
    public var schemas: [String]
    public var extensions: [String]
    public var tables: [Table]

    public struct Table: Sendable, Hashable, CustomStringConvertible {
        public var schema: String
        public var name: String
        public var description: String { "\(schema).\(name)" }
    }

    /// Those that are in none of `schemas`.
    public func tables(outside schemas: [String]) -> [Table] { tables.filter { !schemas.contains($0.schema) } }

    /// The schemas that are nobody's but users', as `oid`s.
    private static let spaces: SQL = """
        SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND (nspname = 'public' OR oid NOT IN (SELECT extnamespace FROM pg_extension))
        """

    static func schemas() -> SQL { "SELECT nspname AS name FROM pg_namespace WHERE oid IN (\(spaces)) AND nspname <> 'public' ORDER BY 1" }
    static func extensions() -> SQL { "SELECT extname AS name FROM pg_extension ORDER BY 1" }
    static func tables() -> SQL {
        """
        SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.oid IN (\(spaces)) AND c.relkind IN ('r', 'p') \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1, 2
        """
    }

    /// What users have in the schemas of `spaces`; `turn` is the order in which it is dropped.
    private static let things: SQL = """
        SELECT 1 AS turn, 'pg_class'::regclass::oid AS classid, oid AS objid FROM pg_class WHERE relnamespace IN (SELECT oid FROM spaces) \
        AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f') UNION ALL SELECT 2, 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM spaces) \
        UNION ALL SELECT 3, 'pg_type'::regclass, t.oid FROM pg_type t WHERE typnamespace IN (SELECT oid FROM spaces) AND (typtype IN ('e', 'd', 'r') \
        OR typtype = 'c' AND (SELECT relkind FROM pg_class WHERE oid = t.typrelid) = 'c')
        """

    /// Neither an extension's nor a part of something else, with which it goes: the sequence of an identity column, the functions of a range type.
    private static let isOnItsOwn: SQL = "NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = t.classid AND d.objid = t.objid AND d.deptype IN ('e', 'i'))"

    /// What is in `public` besides tables, with the sequences of their columns, and is no extension's: so many at most.
    static func others(atMost limit: Int) -> SQL {
        """
        WITH spaces AS (SELECT oid FROM pg_namespace WHERE nspname = 'public'), things AS (\(things)) \
        SELECT i.type || ' ' || i.identity AS thing FROM things t LEFT JOIN pg_class c ON t.classid = 'pg_class'::regclass AND c.oid = t.objid, \
        pg_identify_object(t.classid, t.objid, 0) i WHERE \(isOnItsOwn) AND c.relkind IS DISTINCT FROM 'r' AND c.relkind IS DISTINCT FROM 'p' \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE c.relkind = 'S' AND d.classid = t.classid AND d.objid = t.objid AND d.refclassid = t.classid AND d.deptype = 'a') \
        ORDER BY t.turn, i.identity LIMIT \(limit)
        """
    }

    /// Statements, as the server itself words and quotes them, that drop what is in the schemas but those of `schemas`, and is no extension's: so many at most.
    static func drops(except schemas: [String], keeping extensions: [String], atMost limit: Int) -> SQL {
        """
        WITH spaces AS (SELECT oid, nspname FROM pg_namespace WHERE oid IN (\(spaces)) AND nspname <> ALL (\(schemas)::text[])), things AS (\(things) \
        UNION ALL SELECT 4, 'pg_namespace'::regclass, oid FROM spaces WHERE nspname <> 'public' \
        UNION ALL SELECT 0, 'pg_extension'::regclass, oid FROM pg_extension WHERE extname <> ALL (\(extensions)::text[])) \
        SELECT format('DROP %s IF EXISTS %s CASCADE', i.type, i.identity) AS statement FROM things t, pg_identify_object(t.classid, t.objid, 0) i \
        WHERE \(isOnItsOwn) ORDER BY t.turn, t.objid LIMIT \(limit)
        """
    }
}

/// What a database has besides the structure and the rows of its tables.
public struct DatabaseExtras: Sendable, Hashable {
    /// `work_mem`, or `work_mem of reader`: settings of `ALTER DATABASE`, and of `ALTER ROLE … IN DATABASE`.
    public var settings: [String]
    public var largeObjects: Int
    /// The materialized views that have contents.
    public var materializedViews: [String]

    public init(settings: [String] = [], largeObjects: Int = 0, materializedViews: [String] = []) {
        (self.settings, self.largeObjects, self.materializedViews) = (settings, largeObjects, materializedViews)
    }

    static func read() -> SQL {
        """
        SELECT ARRAY(SELECT split_part(c, '=', 1) || coalesce(' of ' || r.rolname, '') FROM pg_db_role_setting s JOIN pg_database b ON b.oid = s.setdatabase \
        LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c WHERE b.datname = current_database() ORDER BY 1) AS settings, \
        (SELECT count(*) FROM pg_largeobject_metadata) AS large_objects, \
        ARRAY(SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated \
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') ORDER BY 1) AS views
        """
    }

    /// Each kind that there is, with some of its names and what makes it on another node.
    public func kinds(of database: String) -> [(found: String, remedy: String)] {
        func some(_ names: [String]) -> String { names.prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "") }
        var kinds: [(String, String)] = []
        if !settings.isEmpty {
            kinds.append(("\(settings.count) \(settings.count == 1 ? "setting" : "settings") of the database (\(some(settings)))", "ALTER DATABASE \(database) SET …"))
        }
        if largeObjects > 0 { kinds.append(("\(largeObjects) large \(largeObjects == 1 ? "object" : "objects")", "lo_import")) }
        if !materializedViews.isEmpty {
            let words = materializedViews.count == 1 ? "the contents of a materialized view" : "the contents of \(materializedViews.count) materialized views"
            kinds.append(("\(words) (\(some(materializedViews)))", "REFRESH MATERIALIZED VIEW"))
        }
        return kinds
    }
}

extension ServerSession {
    /// What this database has besides the structure and the rows of its tables.
    public func extras(deadline: Deadline) async throws -> DatabaseExtras {
        let row = try await look(DatabaseExtras.read(), deadline).one()
        return DatabaseExtras(settings: try row.get("settings"), largeObjects: try row.get("large_objects"), materializedViews: try row.get("views"))
    }

    /// What this database has of its users'.
    public func ownContents(deadline: Deadline) async throws -> DatabaseContents {
        async let schemas = look(DatabaseContents.schemas(), deadline), extensions = look(DatabaseContents.extensions(), deadline)
        async let tables = look(DatabaseContents.tables(), deadline)
        return DatabaseContents(
            schemas: try await schemas.map { try $0.get("name") }, extensions: try await extensions.map { try $0.get("name") },
            tables: try await tables.map { DatabaseContents.Table(schema: try $0.get("schema"), name: try $0.get("name")) })
    }

    /// What users have in `public` besides tables, each with its kind (`function public.total(integer)`): so many at most.
    public func othersInPublic(atMost limit: Int, deadline: Deadline) async throws -> [String] {
        try await look(DatabaseContents.others(atMost: limit), deadline).map { try $0.get("thing") }
    }

    /// Drops everything that users have in this database, but what is in `schemas`, and `extensions`: as many things in one transaction as there are locks for.
    /// - Throws: `Problem` where it does not get on.
    public func removeContents(except schemas: [String], keeping extensions: [String], deadline: Deadline) async throws {
        var last: [String] = []
        while true {
            let drops: [String] = try await look(DatabaseContents.drops(except: schemas, keeping: extensions, atMost: 200), deadline).map { try $0.get("statement") }
            guard let first = drops.first else { return }
            guard drops != last else { throw Problem("\(name): what was copied cannot be dropped: \(first) has no effect") }
            last = drops
            try await connection.transaction(deadline: deadline) { try await $0.query(together: drops.map { SQL(stringLiteral: $0) }) }
        }
    }
}
