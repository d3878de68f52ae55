import PostgresClient
import PostgresConfig

/// `pg_stat_activity` as a server has it: the same terms for every version, each for a row called `a`.
struct Activity {
    let features: ServerFeatures

    var pid: SQL { features.activityHasState ? "a.pid" : "a.procpid" }

    /// `active`, `idle`, `idle in transaction` …, `disabled` where the session has no `track_activities`.
    var state: SQL {
        features.activityHasState
            ? "a.state"
            : """
            CASE a.current_query WHEN '<IDLE>' THEN 'idle' WHEN '<IDLE> in transaction' THEN 'idle in transaction' \
            WHEN '<IDLE> in transaction (aborted)' THEN 'idle in transaction (aborted)' WHEN '<command string not enabled>' THEN 'disabled' ELSE 'active' END
            """
    }

    /// A session of a client: no worker, no sender. Before 10 a worker is known by having no port, not even that of a Unix-domain socket.
    var isClient: SQL {
        features.activityHasBackendType
            ? "a.backend_type = 'client backend'"
            : "a.client_port IS NOT NULL AND \(pid) NOT IN (SELECT \(features.activityHasState ? "pid" : "procpid" as SQL) FROM pg_stat_replication)"
    }

    /// It has written, or locked rows. Before 9.4 that shows in the lock that a transaction has on itself.
    var hasTransactionID: SQL {
        features.activityHasTransactionIDs
            ? "a.backend_xid IS NOT NULL"
            : "EXISTS (SELECT 1 FROM pg_locks x WHERE x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock' AND x.granted AND x.pid = \(pid))"
    }

    /// A statement is running, as far as can be seen: of a session without `track_activities`, that it sees data.
    var isRunning: SQL {
        "\(state) NOT LIKE 'idle%' AND (\(state) <> 'disabled'\(features.activityHasTransactionIDs ? " OR a.backend_xmin IS NOT NULL" : "" as SQL))"
    }
}
