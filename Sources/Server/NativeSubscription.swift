public import PostgresClient

/// A subscription of PostgreSQL's own logical replication, on a copy of its subscriber.
public enum NativeSubscription {
    /// Removes a subscription without a word to its publisher, where its slots are those of the server that was copied.
    ///
    /// One whose first copy of the tables is not done has slots that `DROP SUBSCRIPTION` would drop there even without a slot of its
    /// own: it finds no publisher.
    public static func removal(of name: String) -> [SQL] {
        [
            "ALTER SUBSCRIPTION \(identifier: name) DISABLE", "ALTER SUBSCRIPTION \(identifier: name) SET (slot_name = NONE)",
            "ALTER SUBSCRIPTION \(identifier: name) CONNECTION 'host=/nonexistent dbname=none'", "DROP SUBSCRIPTION \(identifier: name)",
        ]
    }
}
