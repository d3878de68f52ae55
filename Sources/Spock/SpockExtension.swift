public import EventLoop
internal import PostgresClient

/// The extension `spock` of one database.
enum SpockExtension {
    static func version() -> SQL { "SELECT extversion FROM pg_extension WHERE extname = 'spock'" }

    /// A condition: whether the extension is there, at `version`.
    static func isOf(_ version: SpockVersion) -> SQL { "(SELECT extversion FROM pg_extension WHERE extname = 'spock') = \(version.description)" }

    /// Whether the library is loaded: only then the server knows its settings.
    static func isLoaded() -> SQL { "SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'spock.readonly') AS loaded" }

    /// What `DROP EXTENSION` without CASCADE stumbles over: whatever depends on a part of one of `extensions` and is no part itself.
    static func dependents(on extensions: [String]) -> SQL {
        """
        WITH RECURSIVE part(classid, objid) AS (\
        SELECT 'pg_extension'::regclass::oid, oid FROM pg_extension WHERE extname = ANY (\(extensions)::text[]) \
        UNION SELECT d.classid, d.objid FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid \
        WHERE d.deptype IN ('e', 'i', 'a', 'P', 'S')) \
        SELECT DISTINCT pg_describe_object(coalesce(o.refclassid, d.classid), coalesce(o.refobjid, d.objid), coalesce(o.refobjsubid, d.objsubid)) AS dependent \
        FROM (SELECT d.classid, d.objid, d.objsubid FROM pg_depend d JOIN part p ON d.refclassid = p.classid AND d.refobjid = p.objid \
        WHERE d.deptype = 'n' AND (d.classid, d.objid) NOT IN (SELECT q.classid, q.objid FROM part q)) d \
        LEFT JOIN pg_depend o ON o.classid = d.classid AND o.objid = d.objid AND o.deptype = 'i' ORDER BY 1
        """
    }

    static func drop() -> SQL { "DROP EXTENSION IF EXISTS spock" }
    static func create(_ version: SpockVersion) -> SQL { "CREATE EXTENSION IF NOT EXISTS spock WITH VERSION \(literal: version.description)" }
}

extension SpockSession {
    /// The version of the extension in this database, or `nil` where there is none; works where Spock is not loaded.
    public func extensionVersion(deadline: Deadline) async throws -> SpockVersion? {
        try await look(SpockExtension.version(), deadline).first?.get("extversion")
    }

    /// Whether Spock is loaded, with the extension in this database or without.
    public func isLoaded(deadline: Deadline) async throws -> Bool { try await look(SpockExtension.isLoaded(), deadline).one().get("loaded") }

    /// What would keep the extension from being dropped, as PostgreSQL describes it: `view public.sets`.
    public func extensionDependents(deadline: Deadline) async throws -> [String] {
        try await dependents(on: ["spock"], deadline: deadline)
    }

    func dependents(on extensions: [String], deadline: Deadline) async throws -> [String] {
        try await look(SpockExtension.dependents(on: extensions), deadline).map { try $0.get("dependent") }
    }

    /// Drops the extension without CASCADE. Its schema stays, with the privileges and the objects users have given it. On a clone that runs without Spock this is what
    /// takes the source's identity off it; the origins stay, see `ServerSession.dropOrigins`. Where Spock is loaded, use a new
    /// connection afterwards: a backend remembers its catalogs by OID.
    /// - Throws: ``SpockError/extensionHasDependents(node:dependents:)``; nothing is changed then.
    public func dropExtension(deadline: Deadline) async throws {
        let dependents = try await extensionDependents(deadline: deadline)
        guard dependents.isEmpty else { throw SpockError.extensionHasDependents(node: name, dependents: dependents) }
        try await query(SpockExtension.drop(), deadline)
    }
}

extension SpockSession {
    /// Of the extension, and of its schema, which stays when the extension is dropped.
    public static let schema = "spock"

    /// The versions of the extension that could be created in this database.
    public func availableVersions(deadline: Deadline) async throws -> [SpockVersion] {
        try await look("SELECT version FROM pg_available_extension_versions WHERE name = 'spock'", deadline).map { try $0.get("version") }
    }

    /// What the server gives sessions as settings of Spock's, whatever this session has set for itself.
    public func serverSettings(deadline: Deadline) async throws -> [String: String] {
        try await look("SELECT name, reset_val FROM pg_settings WHERE name LIKE 'spock.%'", deadline).reduce(into: [:]) {
            $0[try $1.get("name", as: String.self)] = try $1.optional("reset_val", as: String.self) ?? ""
        }
    }
}
