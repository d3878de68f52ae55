import PostgresClient
import RemoteHost
import Report
import Testing

@testable import PgBackRest

@Suite struct BackRestCommandTests {
    private func backRest(configuration: String? = nil) throws -> BackRest {
        BackRest(stanza: try stanza("n1"), configuration: try configuration.map { try path($0) })
    }

    private func line(_ command: Command) throws -> String { command.line(loginUser: "dba") }

    @Test func `commands of the repository's host`() throws {
        let backRest = try backRest(), sudo = "cd / && exec sudo -n -u postgres -- env LC_ALL=C "
        #expect(try line(backRest.version()) == sudo + "pgbackrest version")
        #expect(try line(backRest.info()) == sudo + "pgbackrest --stanza=n1 info --output=json --log-level-stderr=warn")
        #expect(
            try line(backRest.stanzaCreate())
                == sudo + "pgbackrest --stanza=n1 stanza-create --log-level-console=info --log-level-stderr=warn")
        #expect(
            try line(backRest.check(archiveTimeout: .seconds(30)))
                == sudo + "pgbackrest --stanza=n1 check --archive-timeout=30 --log-level-console=info --log-level-stderr=warn")
        #expect(
            try line(backRest.backup(processes: 2))
                == sudo + "pgbackrest --stanza=n1 backup --type=full --start-fast --no-expire-auto --process-max=2"
                + " --log-level-console=detail --log-level-stderr=warn")
        #expect(try line(backRest.stop()) == sudo + "pgbackrest --stanza=n1 stop --log-level-console=info --log-level-stderr=warn")
        #expect(
            try line(backRest.stanzaDelete())
                == sudo + "pgbackrest --stanza=n1 stanza-delete --force --log-level-console=info --log-level-stderr=warn")
    }

    @Test func `a restore with quotes in primary_conninfo doubles them for the configuration file`() throws {
        let options = try RestoreOptions(
            primaryConninfo: Conninfo(["host": "10.77.0.11", "passfile": #"/srv/my \ pass"#]), set: "20261121-041043F", delta: true,
            archiveOff: true)
        #expect(
            try backRest(configuration: "/srv/n4.conf").restore(options, processes: 4).words == [
                "pgbackrest", "--config=/srv/n4.conf", "--stanza=n1", "restore", "--type=standby", "--set=20261121-041043F", "--delta",
                "--archive-mode=off", #"--recovery-option=primary_conninfo=host=10.77.0.11 passfile=''/srv/my \\\\ pass''"#, "--process-max=4",
                "--log-level-console=detail", "--log-level-stderr=warn",
            ])
    }

    @Test func `a restore of the newest backup into an empty directory of an old server`() throws {
        let options = try RestoreOptions(primaryConninfo: Conninfo(["host": "n1"]), archiveOff: false)
        #expect(
            try line(backRest().restore(options, processes: 1))
                == "cd / && exec sudo -n -u postgres -- env LC_ALL=C pgbackrest --stanza=n1 restore --type=standby"
                + " --recovery-option=primary_conninfo=host=n1 --process-max=1 --log-level-console=detail --log-level-stderr=warn")
    }

    @Test(arguments: ["password", "sslpassword"])
    func `a password never comes to stand on the command line`(_ keyword: String) {
        var conninfo = Conninfo(["host": "n1"])
        conninfo[keyword] = "geheim"
        let error = #expect(throws: SecretInConninfo.self) { try RestoreOptions(primaryConninfo: conninfo, archiveOff: true) }
        #expect(error?.description.contains("geheim") == false)
    }

    @Test func `the settings for PostgreSQL`() throws {
        #expect(try backRest().archiveCommand == "pgbackrest --stanza=n1 archive-push %p")
        #expect(try backRest().restoreCommand == #"pgbackrest --stanza=n1 archive-get %f "%p""#)
        #expect(
            try backRest(configuration: "/srv/100% it's.conf").archiveCommand
                == #"pgbackrest '--config=/srv/100%% it'\''s.conf' --stanza=n1 archive-push %p"#)
    }

    @Test(arguments: ["n1", "pg-cluster_2.a"])
    func `names of stanzas`(_ name: String) { #expect(StanzaName(name)?.name == name) }

    @Test(arguments: ["", "global", "-n1", ".", "a b", "a/b", "a:b", "a]", "ä"])
    func `names that cannot be stanzas`(_ name: String) { #expect(StanzaName(name) == nil) }

    @Test(
        arguments: [
            ("pgBackRest 2.45", "2.45"), ("pgBackRest 2.54.1\n", "2.54.1"), ("pgBackRest 2.60dev", "2.60"), ("pgBackRest", nil),
            ("2.45", nil), ("pgBackRest two", nil),
        ] as [(String, String?)])
    func `versions`(_ text: String, _ version: String?) { #expect(BackRestVersion(text)?.description == version) }

    @Test func `versions are ordered by number`() throws {
        #expect(BackRestVersion(major: 2, minor: 9) < .minimum)
        #expect(BackRestVersion(major: 2, minor: 54, patch: 1) > BackRestVersion(major: 2, minor: 54))
    }

    @Test(arguments: [(1, 1, 1), (2, 1, 2), (3, 2, 3), (8, 4, 8), (64, 8, 8), (0, 1, 1)])
    func `processes by cores`(_ cores: Int, _ backup: Int, _ restore: Int) {
        #expect(BackRest.backupProcesses(cores: cores) == backup)
        #expect(BackRest.restoreProcesses(cores: cores) == restore)
    }
}
