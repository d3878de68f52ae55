public import EventLoop
import PostgresClient

/// A row in a table of pggraft's own that is written on a primary and read on a standby: the raw test of whether replication is functioning.
enum ReplicationProbe {
    static let create: [SQL] = ["CREATE SCHEMA IF NOT EXISTS pggraft", "CREATE TABLE IF NOT EXISTS pggraft.probe (token text PRIMARY KEY)"]
    static func write(_ token: String) -> SQL { "INSERT INTO pggraft.probe (token) VALUES (\(token)) ON CONFLICT DO NOTHING" }
    static let isThere: SQL = "SELECT to_regclass('pggraft.probe') IS NOT NULL AS there"
    static func read(_ token: String) -> SQL { "SELECT count(*)::integer AS rows FROM pggraft.probe WHERE token = \(token)" }
    static let drop: [SQL] = [
        "DROP TABLE IF EXISTS pggraft.probe",
        """
        DO $$ BEGIN
          IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pggraft') AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'pggraft')
          THEN DROP SCHEMA pggraft; END IF; END $$
        """,
    ]
}

extension ServerSession {
    /// Writes the row `token` on a primary.
    public func writeProbe(_ token: String, deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in
            try await transaction.query(together: ReplicationProbe.create + [ReplicationProbe.write(token)])
        }
    }

    /// Waits until the row `token` can be read here.
    /// - Throws: `DeadlineExceeded`.
    public func readProbe(_ token: String, deadline: Deadline) async throws {
        try await wait(for: "the row that was written on the primary to be read on \(name)", until: deadline) { () -> Look<Void> in
            guard try await hasProbe(deadline: deadline.forLook) else { return .notYet("its table is not there") }
            return try await look(ReplicationProbe.read(token), deadline.forLook).one().get("rows", as: Int.self) > 0 ? .found(()) : .notYet("the row is not there")
        }
    }

    /// Whether the table of such rows is here.
    public func hasProbe(deadline: Deadline) async throws -> Bool { try await look(ReplicationProbe.isThere, deadline).one().get("there") }

    /// Removes the table from a primary; what is not there is no error.
    public func dropProbe(deadline: Deadline) async throws {
        try await connection.transaction(deadline: deadline) { transaction in try await transaction.query(together: ReplicationProbe.drop) }
    }
}
