import EventLoop
import Testing

@testable import Instance

/// Lines as PostgreSQL 15 and pgBackRest 2.45 write them.
@Suite("What a standby's log says") struct RecoveryLogTests {
    private static let start = "2026-11-28 07:00:00.000 UTC [1] LOG:  starting PostgreSQL 15.18 on x86_64-pc-linux-gnu"
    private static func fatal(_ text: String) -> String { "2026-11-28 07:00:05.000 UTC [9] FATAL:  \(text)" }
    private static let slot = fatal(#"could not start WAL streaming: ERROR:  replication slot "gone" does not exist"#)
    private static let removed = fatal("could not receive data from WAL stream: ERROR:  requested WAL segment 000000010000000000000003 has already been removed")
    private static let password = fatal(
        #"could not connect to the primary server: connection to server at "10.77.0.11", port 5432 failed: FATAL:  password authentication failed for user "replicator""#)
    private static let archive = "ERROR: [047]: unable to create path '/var/spool/pgbackrest/archive': [13] Permission denied"

    static let cases: [(lines: [String], obstacle: Obstacle?)] = [
        ([], nil),
        ([start, "2026-11-28 07:00:01.000 UTC [5] LOG:  invalid record length at 0/3000060: wanted 24, got 0"], nil),
        ([start, fatal("the database system is starting up"), fatal(#"no pg_hba.conf entry for host "10.77.0.9", user "app", database "app", no encryption"#)], nil),
        ([start, slot], Obstacle(#"could not start WAL streaming: ERROR: replication slot "gone" does not exist"#)),
        ([start, slot, slot], Obstacle(#"could not start WAL streaming: ERROR: replication slot "gone" does not exist"#, isFinal: true)),
        (
            [start, removed, archive, removed],
            Obstacle(
                "could not receive data from WAL stream: ERROR: requested WAL segment 000000010000000000000003 has already been removed; "
                    + "restore_command: ERROR: [047]: unable to create path '/var/spool/pgbackrest/archive': [13] Permission denied", isFinal: true)
        ),
        // The archive had that one, and it is another one now.
        (
            [start, removed, removed.replacing("03 has", with: "04 has")],
            Obstacle("could not receive data from WAL stream: ERROR: requested WAL segment 000000010000000000000004 has already been removed")
        ),
        (
            [start, password, #"        password retrieved from file "/var/lib/postgresql/.pgpass""#, password],
            Obstacle(
                #"could not connect to the primary server: connection to server at "10.77.0.11", port 5432 failed: FATAL: password authentication failed for user "replicator""#
            )
        ),
        (
            [start, password, archive],
            Obstacle(
                #"could not connect to the primary server: connection to server at "10.77.0.11", port 5432 failed: FATAL: password authentication failed for user "replicator"; "#
                    + "restore_command: ERROR: [047]: unable to create path '/var/spool/pgbackrest/archive': [13] Permission denied")
        ),
        ([start, archive], Obstacle("restore_command: ERROR: [047]: unable to create path '/var/spool/pgbackrest/archive': [13] Permission denied")),
        (
            [start, "2026-11-28 07:00:01.000 UTC [5] WARNING:  hot standby is not possible because of insufficient parameter settings"],
            Obstacle("hot standby is not possible because of insufficient parameter settings", isFinal: true)
        ),
        (
            [start, "2026-11-29 14:00:02.825 UTC [1369] FATAL:  resource manager with ID 144 not registered"],
            Obstacle("resource manager with ID 144 not registered (\(RecoveryLog.foreignRecord))", isFinal: true)
        ),
        // What stands before the start was said by another server.
        ([slot, slot, start], nil),
        (
            [start, fatal("could not connect to the primary server: invalid password=hunter2 x")],
            Obstacle("could not connect to the primary server: invalid password=‹redacted› x")
        ),
    ]

    @Test(arguments: cases.indices)
    func `is its newest complaint about recovery, and final where the same is said again`(_ index: Int) {
        let (lines, obstacle) = Self.cases[index]
        #expect(RecoveryLog.obstacle(in: lines.joined(separator: "\n")) == obstacle)
    }
}
