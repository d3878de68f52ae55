import Report

extension SQL {
    /// Statements that wait, a quarter of a second in all, as long as `condition` does not hold, each a little longer than the one before.
    ///
    /// A server process looks at its configuration files between two statements, not within one. A few of these and a look, sent
    /// together, are one round trip that ends soon after a new configuration is in force.
    public static func pauses(until condition: SQL) -> [SQL] {
        (0..<8).map { step in "SELECT pg_sleep(CASE WHEN \(condition) THEN 0 ELSE \(Int64(1) << Int64(step))::float8 / 1000 END)" }
    }
}
