public import EventLoop
public import PostgresClient
import Report
import Server

/// What one coordinator showed of a cluster that works.
public struct DatanodeCheck: Sendable, CustomStringConvertible {
    /// Distributed and replicated tables of this database that were read.
    public var tables: Int
    /// Rows of those that were to be counted, as `schema.table`.
    public var counts: [(table: String, rows: Int64)]
    /// Whether a row was written: not while another coordinator is down, without which no table can be made.
    public var hasWritten: Bool

    public var description: String {
        let counted = counts.map { "\($0.table) \($0.rows) rows" }.joined(separator: ", ")
        let written = hasWritten ? "a row written to every datanode and removed" : "nothing written: for that every coordinator has to be there"
        return "\(tables) tables read, \(written)\(counted.isEmpty ? "" : "; \(counted)")"
    }

    /// Whether an error says that the GTM holds a transaction for open that the nodes have ended: a restart of it ends that.
    public static func isGTMBehind(_ error: any Error) -> Bool {
        (error as? PostgresError)?.says("Could not synchronize gxid") ?? false
    }

    /// Whether an error may be gone in a moment: of a coordinator that crashed when pools were reloaded, or of one that reaches such a one.
    public static func mayPass(_ error: PostgresError) -> Bool {
        if error.isServerAway || ["57P01", "57P02", "53000"].contains(error.code) { return true }
        // So are its own words for everything that goes wrong between nodes.
        guard error.code == "XX000", case .server(_, let said) = error else { return false }
        return !isGTMBehind(error) && said.message.firstMatch(of: #/^(Failed to|failed to|Could not|Error while running COMMIT|Cannot)/#) != nil
    }

    /// The tables that are on datanodes.
    static let distributed: SQL = """
        SELECT n.nspname AS schema, c.relname AS name FROM pgxc_class x JOIN pg_class c ON c.oid = x.pcrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
        WHERE c.relpersistence <> 't' ORDER BY 1, 2
        """

    static func read(_ schema: String, _ name: String) -> SQL { "SELECT 1 AS one FROM \(identifier: schema).\(identifier: name) LIMIT 1" }
    static func count(_ schema: String, _ name: String) -> SQL { "SELECT count(*) AS rows FROM \(identifier: schema).\(identifier: name)" }

    // A temporary table takes part in no two-phase commit. It is the session's own; all the same no coordinator may be away when it is made.
    // Where commits wait for a slave, a session of ours that said `local` would see nothing of it.
    static let making: [SQL] = ["SET synchronous_commit = on", "SET enforce_two_phase_commit = off", "CREATE TEMPORARY TABLE pggraft_probe (token text) DISTRIBUTE BY REPLICATION"]

    /// A row on every datanode, of which nothing is left.
    static let writing: [SQL] = [
        "INSERT INTO pggraft_probe VALUES ('written')",
        "DELETE FROM pggraft_probe",
        "DROP TABLE pggraft_probe",
        "SET synchronous_commit = local",
    ]
}

extension Coordinator {
    /// Reads every distributed table of this database, counts those that are named, and writes a row to every datanode.
    /// - Parameter writes: whether every other coordinator is there, so that a row can be written.
    /// - Throws: `PostgresError`: see ``DatanodeCheck/isGTMBehind(_:)``.
    public func check(counting tables: [(schema: String, name: String)], writes: Bool, deadline: Deadline) async throws -> DatanodeCheck {
        let connection = session.connection
        let all: [(String, String)] = try await connection.look(DatanodeCheck.distributed, deadline: deadline).map { (try $0.get("schema"), try $0.get("name")) }
        if !all.isEmpty { _ = try await connection.query(together: all.map(DatanodeCheck.read), deadline: deadline) }
        if writes { for statement in DatanodeCheck.making + DatanodeCheck.writing { try await connection.query(statement, deadline: deadline) } }
        let counted = try await tables.isEmpty ? [] : connection.query(together: tables.map { DatanodeCheck.count($0.schema, $0.name) }, deadline: deadline)
        return DatanodeCheck(tables: all.count, counts: try zip(tables, counted).map { ("\($0.schema).\($0.name)", try $1.one().get("rows")) }, hasWritten: writes)
    }
}
