import PostgresClient
import PostgresConfig
import Testing

@testable import Server

/// What is sent to the servers, word for word, where versions differ.
@Suite("Statements") struct StatementTests {
    static func features(_ version: String) throws -> ServerFeatures { ServerFeatures(try #require(MajorVersion(version))) }

    @Test func `every session has the same settings, where the server has them`() {
        #expect(
            SessionSetting.apply([SessionSetting("timezone", "UTC"), SessionSetting("spock.x", "it's")]).description == """
                SELECT pg_catalog.set_config(known.name, wanted.value, false) FROM (VALUES ('timezone', 'UTC'), ('spock.x', 'it''s')) AS wanted(name, value) \
                JOIN pg_catalog.pg_settings known ON pg_catalog.lower(known.name) OPERATOR(pg_catalog.=) wanted.name
                """)
        #expect(SessionSetting.own.contains(SessionSetting("synchronous_commit", "local")))
        #expect(SessionSetting.own.allSatisfy { $0.name == $0.name.lowercased() })
    }

    @Test(
        arguments: [
            (
                "9.1",
                "SELECT a.procpid AS pid, coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application, host(a.client_addr) AS client, "
                    + "coalesce(\(state91), '') AS state, \(locks("a.procpid")) AS has_xid, \(age) FROM pg_stat_activity a "
                    + "WHERE a.client_port IS NOT NULL AND a.procpid NOT IN (SELECT procpid FROM pg_stat_replication) AND a.datname = current_database() "
                    + "AND a.procpid <> pg_backend_pid() AND a.procpid <> ALL ($1::int[]) AND (\(locks("a.procpid")) OR (\(state91) NOT LIKE 'idle%' "
                    + "AND (\(state91) <> 'disabled') AND \(began))) ORDER BY 1"
            ),
            (
                "9.3",
                "SELECT a.pid AS pid, coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application, host(a.client_addr) AS client, "
                    + "coalesce(a.state, '') AS state, \(locks("a.pid")) AS has_xid, \(age) FROM pg_stat_activity a "
                    + "WHERE a.client_port IS NOT NULL AND a.pid NOT IN (SELECT pid FROM pg_stat_replication) AND a.datname = current_database() "
                    + "AND a.pid <> pg_backend_pid() AND a.pid <> ALL ($1::int[]) AND (\(locks("a.pid")) OR (a.state NOT LIKE 'idle%' "
                    + "AND (a.state <> 'disabled') AND \(began))) ORDER BY 1"
            ),
            (
                "9.6",
                "SELECT a.pid AS pid, coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application, host(a.client_addr) AS client, "
                    + "coalesce(a.state, '') AS state, a.backend_xid IS NOT NULL AS has_xid, \(age) FROM pg_stat_activity a "
                    + "WHERE a.client_port IS NOT NULL AND a.pid NOT IN (SELECT pid FROM pg_stat_replication) AND a.datname = current_database() "
                    + "AND a.pid <> pg_backend_pid() AND a.pid <> ALL ($1::int[]) AND (a.backend_xid IS NOT NULL OR (a.state NOT LIKE 'idle%' "
                    + "AND (a.state <> 'disabled' OR a.backend_xmin IS NOT NULL) AND \(began))) ORDER BY 1"
            ),
            (
                "10",
                "SELECT a.pid AS pid, coalesce(a.usename, '') AS role, coalesce(a.application_name, '') AS application, host(a.client_addr) AS client, "
                    + "coalesce(a.state, '') AS state, a.backend_xid IS NOT NULL AS has_xid, \(age) FROM pg_stat_activity a "
                    + "WHERE a.backend_type = 'client backend' AND a.datname = current_database() "
                    + "AND a.pid <> pg_backend_pid() AND a.pid <> ALL ($1::int[]) AND (a.backend_xid IS NOT NULL OR (a.state NOT LIKE 'idle%' "
                    + "AND (a.state <> 'disabled' OR a.backend_xmin IS NOT NULL) AND \(began))) ORDER BY 1"
            ),
        ])
    func `clients that can still write`(version: String, text: String) throws {
        let sql = ClientTransaction.list(begunBefore: ServerMoment(microseconds: 7), sparing: [], try Self.features(version))
        #expect(sql.text == text)
    }

    private static let state91 =
        "CASE a.current_query WHEN '<IDLE>' THEN 'idle' WHEN '<IDLE> in transaction' THEN 'idle in transaction' "
        + "WHEN '<IDLE> in transaction (aborted)' THEN 'idle in transaction (aborted)' WHEN '<command string not enabled>' THEN 'disabled' ELSE 'active' END"
    private static func locks(_ pid: String) -> String {
        "EXISTS (SELECT 1 FROM pg_locks x WHERE x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock' AND x.granted AND x.pid = \(pid))"
    }
    private static let age = "(extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start)) * 1000)::bigint AS age_ms"
    private static let began = "coalesce(a.query_start, '-infinity') < to_timestamp($2::float8 / 1000000) + interval '50 milliseconds'"

    @Test func `only clients are ended, and never pggraft's own`() throws {
        #expect(
            ClientTransaction.terminate(begunBefore: ServerMoment(microseconds: 1_700_000_000_000_000), sparing: [7, 8], try Self.features("15")).description == """
                SELECT a.pid AS pid, pg_terminate_backend(a.pid) AS terminated FROM pg_stat_activity a WHERE a.backend_type = 'client backend' \
                AND a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.pid <> ALL ($1::int[]) AND (a.backend_xid IS NOT NULL \
                OR (a.state NOT LIKE 'idle%' AND (a.state <> 'disabled' OR a.backend_xmin IS NOT NULL) AND \(Self.began))) \
                AND a.application_name IS DISTINCT FROM $3  -- $1 = '{"7","8"}', $2 = '1700000000000000', $3 = 'pggraft'
                """)
        #expect(
            Sessions.terminateClients(except: ["postgres"], try Self.features("18")).description == """
                SELECT pg_terminate_backend(a.pid) AS terminated FROM pg_stat_activity a WHERE a.backend_type = 'client backend' \
                AND a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usename <> ALL ($1::text[])  -- $1 = '{"postgres"}'
                """)
        #expect(
            Sessions.terminateEarlier(named: "pggraft", try Self.features("9.1")).description == """
                SELECT pg_terminate_backend(a.procpid) AS terminated FROM pg_stat_activity a WHERE a.application_name = $1 AND a.usename = current_user \
                AND a.datname = current_database() AND a.backend_start < (SELECT a.backend_start FROM pg_stat_activity a WHERE a.procpid = pg_backend_pid())  \
                -- $1 = 'pggraft'
                """)
    }

    @Test(
        arguments: [
            (AlteredSetting.alter("spock.readonly", to: "user"), "ALTER SYSTEM SET \"spock\".\"readonly\" = 'user'"),
            (AlteredSetting.alter("archive_command", to: "it's \\"), "ALTER SYSTEM SET \"archive_command\" =  E'it''s \\\\'"),
            (AlteredSetting.alter("archive_command", to: nil), "ALTER SYSTEM RESET \"archive_command\""),
            (AlteredSetting.alter("a\"; b", to: ""), "ALTER SYSTEM SET \"a\"\"; b\" = ''"),
            (
                AlteredSetting.read("spock.readonly"),
                "SELECT current_setting($1) AS in_force, (SELECT setting FROM pg_file_settings WHERE lower(name) = lower($2) "
                    + "AND sourcefile = current_setting('data_directory') || '/postgresql.auto.conf' ORDER BY seqno DESC LIMIT 1) AS altered"
                    + "  -- $1 = 'spock.readonly', $2 = 'spock.readonly'"
            ),
            (AlteredSetting.reload(), "SELECT pg_reload_conf() AS reloaded, (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint AS loaded"),
            (
                AlteredSetting.look("work_mem"),
                "SELECT current_setting($1) AS in_force, (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint AS loaded, "
                    + "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now  -- $1 = 'work_mem'"
            ),
        ] as [(SQL, String)])
    func `settings that are altered`(sql: SQL, text: String) { #expect(sql.description == text) }

    @Test(arguments: [
        ("9.6", "search_path", true), ("15", "SHARED_preload_libraries", true), ("18", "temp_tablespaces", true), ("15", "unix_socket_directories", true),
        ("15", "synchronous_standby_names", false), ("15", "listen_addresses", false), ("15", "archive_command", false), ("15", "spock.readonly", false),
    ])
    func `lists whose elements the server quotes`(version: String, name: String, isQuoted: Bool) throws {
        #expect(AlteredSetting.isQuotedList(name, try Self.features(version)) == isQuoted)
    }

    @Test(arguments: [
        (
            "9.4",
            "SELECT slot_name, plugin, database, active, NULL::int AS active_pid, restart_lsn, NULL::pg_lsn AS confirmed_flush_lsn, NULL::text AS wal_status, "
                + "CASE WHEN NOT pg_is_in_recovery() THEN pg_xlog_location_diff(pg_current_xlog_location(), restart_lsn)::bigint END AS retained "
                + "FROM pg_replication_slots ORDER BY slot_name"
        ),
        (
            "9.6",
            "SELECT slot_name, plugin, database, active, active_pid, restart_lsn, confirmed_flush_lsn, NULL::text AS wal_status, "
                + "CASE WHEN NOT pg_is_in_recovery() THEN pg_xlog_location_diff(pg_current_xlog_location(), restart_lsn)::bigint END AS retained "
                + "FROM pg_replication_slots ORDER BY slot_name"
        ),
        (
            "15",
            "SELECT slot_name, plugin, database, active, active_pid, restart_lsn, confirmed_flush_lsn, wal_status, "
                + "CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END AS retained "
                + "FROM pg_replication_slots ORDER BY slot_name"
        ),
    ])
    func `slots that are there`(version: String, text: String) throws {
        let features = try Self.features(version)
        #expect(ReplicationSlot.all(features).description == text)
        #expect(ReplicationSlot.named("x", features).text == text.replacing(" ORDER BY", with: " WHERE slot_name = $1 ORDER BY"))
    }

    @Test(arguments: [
        ("9.4", "SELECT xlog_position AS lsn FROM pg_create_physical_replication_slot($1)", "SELECT xlog_position AS lsn FROM pg_create_logical_replication_slot($1, $2)"),
        ("9.6", "SELECT xlog_position AS lsn FROM pg_create_physical_replication_slot($1, true)", "SELECT xlog_position AS lsn FROM pg_create_logical_replication_slot($1, $2)"),
        ("10", "SELECT lsn FROM pg_create_physical_replication_slot($1, true)", "SELECT lsn FROM pg_create_logical_replication_slot($1, $2)"),
        ("18", "SELECT lsn FROM pg_create_physical_replication_slot($1, true)", "SELECT lsn FROM pg_create_logical_replication_slot($1, $2)"),
    ])
    func `slots that are made`(version: String, physical: String, logical: String) throws {
        let features = try Self.features(version)
        #expect(ReplicationSlot.createPhysical("n2", features).text == physical)
        #expect(ReplicationSlot.createLogical("n2", plugin: "pgoutput", features).description == logical + "  -- $1 = 'n2', $2 = 'pgoutput'")
    }

    @Test(
        arguments: [
            (ReplicationSlot.drop("spk_x"), "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1  -- $1 = 'spk_x'"),
            (
                ReplicationOrigin.drop(["a", "b"]),
                "SELECT roname, pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname = ANY ($1::text[])  -- $1 = '{\"a\",\"b\"}'"
            ),
            (
                PreparedTransaction.ofThisDatabase(),
                "SELECT gid, owner, database, (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint AS age_ms "
                    + "FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared"
            ),
            (Database.limitConnections(of: "a\"b", to: -1), "ALTER DATABASE \"a\"\"b\" CONNECTION LIMIT -1"),
            (AdvisoryLockKey.take(AdvisoryLockKey("pggraft app")), "SELECT pg_try_advisory_lock($1) AS taken  -- $1 = '-262550145638014367'"),
        ] as [(SQL, String)])
    func `what is the same in every version`(sql: SQL, text: String) { #expect(sql.description == text) }

    @Test(arguments: [
        (
            "9.1",
            "SELECT pg_is_in_recovery() AS in_recovery, pg_last_xlog_receive_location() AS received, pg_last_xlog_replay_location() AS replayed, "
                + "pg_last_xlog_receive_location() IS NOT NULL AS receives, pg_last_xlog_receive_location() IS NOT NULL AS streams",
            ["pg_current_xlog_location", "pg_current_xlog_insert_location"]
        ),
        (
            "9.6",
            "SELECT pg_is_in_recovery() AS in_recovery, pg_last_xlog_receive_location() AS received, pg_last_xlog_replay_location() AS replayed, "
                + "EXISTS (SELECT 1 FROM pg_stat_wal_receiver) AS receives, EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streams",
            ["pg_current_xlog_location", "pg_current_xlog_insert_location", "pg_current_xlog_flush_location"]
        ),
        (
            "18",
            "SELECT pg_is_in_recovery() AS in_recovery, pg_last_wal_receive_lsn() AS received, pg_last_wal_replay_lsn() AS replayed, "
                + "EXISTS (SELECT 1 FROM pg_stat_wal_receiver) AS receives, EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streams",
            ["pg_current_wal_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_flush_lsn"]
        ),
    ])
    func `positions in the WAL`(version: String, recovery: String, functions: [String]) throws {
        let features = try Self.features(version)
        #expect(RecoveryState.read(features).description == recovery)
        let asked: [ServerFeatures.WALFunction] = [.current, .currentInsert] + (features.hasFlushPosition ? [.currentFlush] : [])
        #expect(asked.map { WALPosition.of($0, features).description } == functions.map { "SELECT \($0)() AS lsn" })
    }

    @Test func `a file of the log of the timeline that is written`() throws {
        #expect(
            WALPosition.hasSegment("000000010000000000000004", try Self.features("10")).text == """
                SELECT CASE WHEN pg_is_in_recovery() THEN false ELSE left($1::text, 8) = left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) \
                AND EXISTS (SELECT FROM pg_ls_waldir() WHERE name = $2::text) END AS has
                """)
    }

    @Test(arguments: [
        ("9.1", "procpid AS pid", "_location"), ("9.3", "pid", "_location"), ("9.6", "pid", "_location"), ("10", "pid", "_lsn"), ("18", "pid", "_lsn"),
    ])
    func `who streams`(version: String, pid: String, suffix: String) throws {
        let positions = ["sent", "write", "flush", "replay"].map { "\"\($0)\(suffix)\" AS \"\($0)\"" }.joined(separator: ", ")
        #expect(
            StreamingStandby.all(try Self.features(version)).description == """
                SELECT \(pid), coalesce(application_name, '') AS application, host(client_addr) AS client, coalesce(state, '') AS state, \(positions), \
                coalesce(sync_state, 'async') AS sync FROM pg_stat_replication ORDER BY application_name, 1
                """)
    }

    @Test func `when a server was started, and when it was promoted`() {
        #expect(
            ServerMoment.started().text == """
                SELECT (extract(epoch FROM greatest(pg_postmaster_start_time(), (SELECT max(backend_start) FROM pg_stat_activity \
                WHERE backend_type = 'checkpointer'))) * 1000000)::bigint AS moment
                """)
        #expect(
            ServerMoment.began(timeline: 11).description == """
                SELECT (extract(epoch FROM (pg_stat_file('pg_wal/' || lpad(upper(to_hex($1::bigint)), 8, '0') || '.history')).modification) \
                * 1000000)::bigint AS moment  -- $1 = '11'
                """)
    }

    @Test(arguments: [("9.1", "a.procpid"), ("15", "a.pid")])
    func `who has an advisory lock`(version: String, pid: String) throws {
        #expect(
            AdvisoryLockKey.holder(of: AdvisoryLockKey("pggraft app"), try Self.features(version)).text == """
                SELECT \(pid) AS pid, coalesce(a.application_name, '') AS application, date_trunc('second', a.backend_start)::text AS since \
                FROM pg_stat_activity a JOIN pg_locks l ON l.pid = \(pid) WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 \
                AND l.classid = $1 AND l.objid = $2 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                """)
    }

    @Test(arguments: [("9.1", "spclocation"), ("9.2", "pg_tablespace_location(oid)")])
    func `tablespaces`(version: String, location: String) throws {
        #expect(
            Tablespace.all(try Self.features(version)).description
                == "SELECT oid, spcname::text AS name, \(location) AS location FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY spcname")
    }

    @Test(
        arguments: [
            ("9.6", "'{}'::text[]"),
            ("10", "ARRAY(SELECT format('%s (database %s)', s.subname, d.datname) FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid ORDER BY 1)"),
        ])
    func `what a copy brings along`(version: String, subscriptions: String) throws {
        #expect(
            CopySource.read(replicatingAs: "replicator", try Self.features(version)).description == """
                SELECT \(subscriptions) AS subscriptions, (SELECT rolreplication FROM pg_roles WHERE rolname = $1) AS replicates  -- $1 = 'replicator'
                """)
    }
}
