import Report
import Testing

@testable import PgBackRest

@Suite struct BackRestErrorTests {
    /// Standard error of real runs of 2.45, with what they were.
    private static let recorded: [(String, Int32, BackRestError.Reason)] = [
        (
            """
            ERROR: [028]: backup and archive info files exist but do not match the database
                   HINT: is this the correct stanza?
                   HINT: did an error occur during stanza-upgrade?
            """, 28, .stanzaOfAnotherSystem
        ),
        (
            """
            ERROR: [051]: PostgreSQL version 15, system-id 7710473086429514151 do not match stanza version 15, system-id 7710472219068492593
                   HINT: is this the correct stanza?
            """, 51, .stanzaOfAnotherSystem
        ),
        (
            """
            ERROR: [055]: unable to load info file '/tmp/repo/archive/nx/archive.info' or '/tmp/repo/archive/nx/archive.info.copy':
                   FileMissingError: unable to open missing file '/tmp/repo/archive/nx/archive.info' for read
                   HINT: has a stanza-create been performed?
            """, 55, .noStanza
        ),
        ("ERROR: [055]: stop file does not exist for stanza 'n1'", 55, .other),
        (
            """
            ERROR: [103]: unable to find a valid repository:
                   repo1: [FileMissingError] unable to load info file '/tmp/repo/archive/nx/archive.info' or '/tmp/repo/archive/nx/archive.info.copy':
            """, 103, .noStanza
        ),
        ("WARN: repo1: [FileMissingError] x\nERROR: [075]: no backup set found to restore", 75, .noBackup),
        ("ERROR: [075]: backup set 20200101-000000F is not valid", 75, .noBackup),
        ("ERROR: [037]: check command requires option: pg1-path\n       HINT: does this stanza exist?", 37, .notConfigured),
        ("ERROR: [082]: WAL segment 00000001000000000000000F was not archived before the 1000ms timeout", 82, .archiveTimeout),
        (
            """
            ERROR: [050]: unable to acquire lock on file '/tmp/lock/n1-backup.lock': Resource temporarily unavailable
                   HINT: is another pgBackRest process running?
            """, 50, .lockHeld
        ),
        (
            """
            ERROR: [050]: unable to acquire pgBackRest advisory lock
                   HINT: is another pgBackRest backup already running on this cluster?
            """, 50, .serverHoldsLock
        ),
        ("ERROR: [050]: unable to acquire lock on file '/root/lock/n1-archive.lock': Permission denied", 50, .permissionDenied),
        ("ERROR: [041]: unable to get info for path/file '/root/repo/archive/n1/archive.info': [13] Permission denied", 41, .permissionDenied),
        (
            "ERROR: [125]: remote-0 process on 'nosuch.invalid' terminated unexpectedly [255]: ssh: Could not resolve hostname nosuch.invalid: Name or service not known", 125,
            .hostUnreachable
        ),
        ("ERROR: [125]: remote-0 process on '127.0.0.1' terminated unexpectedly [255]: ssh: connect to host 127.0.0.1 port 1: Connection refused", 125, .hostUnreachable),
        (
            """
            WARN: unable to check pg1: [DbConnectError] unable to connect to 'dbname='postgres' port=54999 host='/tmp'': connection failed
                  \tIs the server running locally and accepting connections on that socket?
            ERROR: [027]: no database found
                   HINT: check indexed pg-path/pg-host configurations
            """, 27, .noServer
        ),
        (
            "ERROR: [058]: version '15' and path '/tmp/src' queried from cluster do not match version '15' and '/tmp/dst' read from '/tmp/dst/global/pg_control'", 58,
            .serverOfAnotherDirectory
        ),
        ("ERROR: [038]: unable to restore while PostgreSQL is running", 38, .serverRunning),
        ("ERROR: [040]: unable to restore to path '/tmp/dst' because it contains files\n       HINT: try using --delta if this is what you intended.", 40, .directoryNotEmpty),
        ("ERROR: [068]: archive_command '/bin/true' must contain pgbackrest", 68, .archiveCommandForeign),
        ("ERROR: [072]: backup command must be run on the repository host", 72, .mustRunOnRepositoryHost),
        ("ERROR: [064]: unable to write log to stdout: [32] Broken pipe", 64, .outputLost),
    ]

    @Test(arguments: recorded)
    func `errors of real runs are recognised`(_ text: String, _ code: Int32, _ reason: BackRestError.Reason) throws {
        let failure = try #require(BackRestLog(text).failure)
        #expect(failure.code.rawValue == code)
        let error = BackRestError.failed(
            .init(host: "n1", command: "check", stanza: try stanza("n1"), code: failure.code, message: failure.message, hints: failure.hints))
        #expect(error.reason == reason)
        #expect(error.fact.hasPrefix("n1: pgbackrest check of stanza 'n1' failed: \(failure.message) [\(failure.code)]"))
    }

    @Test func `message and hints are taken apart`() throws {
        let failure = try #require(
            BackRestLog(
                """
                2026-11-21 04:12:22.204 P00   INFO: restore command begin 2.45: --stanza=n1
                ERROR: [038]: unable to restore while PostgreSQL is running
                       HINT: presence of 'postmaster.pid' in '/srv/pg' indicates PostgreSQL is running.
                       HINT: remove 'postmaster.pid' only if PostgreSQL is not running.
                2026-11-21 04:12:22.214 P00   INFO: restore command end: aborted with exception [038]
                """
            ).failure)
        #expect(
            failure
                == .init(
                    code: BackRestErrorCode(rawValue: 38), message: "unable to restore while PostgreSQL is running",
                    hints: [
                        "presence of 'postmaster.pid' in '/srv/pg' indicates PostgreSQL is running.",
                        "remove 'postmaster.pid' only if PostgreSQL is not running.",
                    ]))
    }

    @Test func `a failed restore says what it leaves and keeps pgBackRest's hints`() throws {
        let failure = BackRestError.Failure(
            host: "n4", command: "restore", stanza: try stanza("n1"), code: BackRestErrorCode(rawValue: 38),
            message: "unable to restore while PostgreSQL is running", hints: ["stop it.", "then try again."])
        #expect(
            "\(BackRestError.failed(failure))" == """
                n4: pgbackrest restore of stanza 'n1' failed: unable to restore while PostgreSQL is running [038 pg-running]; a data directory that was begun has no global/pg_control and will not start
                  HINT: stop it.
                  HINT: then try again.
                """)
    }

    @Test func `what was warned of before the error is the reason, and is shown`() throws {
        let log = BackRestLog(
            """
            WARN: option 'repo1-retention-full' is not set for 'repo1-retention-full-type=count', the repository may run out of space
            WARN: unable to check pg1: [VersionNotSupportedError] unexpected control version = 1800 and catalog version = 202506291
                  HINT: is this version of PostgreSQL supported?
            ERROR: [056]: unable to find primary cluster - cannot proceed
                   HINT: are all available clusters in recovery?
            """)
        let failure = try #require(log.failure)
        let error = BackRestError.failed(
            .init(
                host: "n1", command: "stanza-create", stanza: try stanza("n1"), code: failure.code, message: failure.message, hints: failure.hints,
                warnings: [log.warnings[1].fact]))
        #expect(
            "\(error)" == """
                n1: pgbackrest stanza-create of stanza 'n1' failed: unable to find primary cluster - cannot proceed [056 db-connect]
                WARN: unable to check pg1: [VersionNotSupportedError] unexpected control version = 1800 and catalog version = 202506291
                  HINT: are all available clusters in recovery?
                """)
    }

    @Test(
        arguments: [
            (
                "unable to create path '/mnt/fast/PG_15_202209061/5': [13] Permission denied",
                "the OS user that runs pgBackRest must get at /mnt/fast/PG_15_202209061/5: see who owns it, and the directories above."
            ),
            (
                "unable to get info for path/file '/root/repo/archive/n1/archive.info': [13] Permission denied",
                "the OS user that runs pgBackRest must own the repository, its lock and its log directory."
            ),
            (
                "unable to acquire lock on file '/root/lock/n1-archive.lock': [13] Permission denied",
                "the OS user that runs pgBackRest must own the repository, its lock and its log directory."
            ),
        ])
    func `the hint fits the path that may not be touched`(_ message: String, _ hint: String) throws {
        let failure = BackRestError.Failure(host: "n4", command: "restore", stanza: try stanza("n1"), code: BackRestErrorCode(rawValue: 47), message: message, hints: [])
        #expect(BackRestError.failed(failure).hint == hint)
    }

    @Test func `warnings and labels are found in a whole log`() throws {
        let log = BackRestLog(Recorded.backup)
        #expect(log.newBackup == "20261121-041043F")
        #expect(log.failure == nil)
        #expect(
            log.warnings == [
                Problem(
                    "option 'repo1-retention-full' is not set for 'repo1-retention-full-type=count', the repository may run out of space",
                    hint: "to retain full backups indefinitely (without warning), set option 'repo1-retention-full' to the maximum.")
            ])
        #expect(BackRestLog(Recorded.restoreDelta).restoredBackup == "20261121-041043F")
    }

    @Test(arguments: [(28, "028 file-invalid"), (125, "125 unknown"), (82, "082 archive-timeout"), (2, "002")])
    func `codes have the names pgBackRest gives them`(_ code: Int32, _ text: String) {
        #expect(BackRestErrorCode(rawValue: code).description == text)
    }
}
