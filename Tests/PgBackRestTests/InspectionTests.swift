import PostgresClient
import RemoteHost
import Report
import Testing

@testable import PgBackRest

@Suite struct ArchiveStateTests {
    @Test(
        arguments: [
            ("off", "", "", .off),
            ("off", "(disabled)", "", .off),
            ("off", "pgbackrest --stanza=n1 archive-push %p", "", .off),
            ("on", "", "", .emptyOrTrue),
            ("on", "/bin/true", "", .emptyOrTrue),
            ("on", " exit  0 ", "", .emptyOrTrue),
            ("on", "pgbackrest --stanza=n1 archive-push %p", "", .ready),
            ("always", "/usr/bin/pgbackrest --config=/srv/a.conf --stanza=n1 archive-push \"%p\"", "", .ready),
            ("on", "pgbackrest --stanza 'n1' archive-push %p", "", .ready),
            ("on", "pgbackrest --stanza=main archive-push %p", "", .pushes(to: "main")),
            ("on", "envdir /etc/e pgbackrest --stanza=main archive-push %p", "", .pushes(to: "main")),
            ("on", "cp %p /archive/%f", "", .other(command: "cp %p /archive/%f")),
            ("on", "pgbackrest archive-push %p", "", .other(command: "pgbackrest archive-push %p")),
            ("on", "pgbackrest --stanza=n1 info", "", .other(command: "pgbackrest --stanza=n1 info")),
            ("on", "", "basic_archive", .library("basic_archive")),
        ] as [(String, String, String, ArchiveState)])
    func `archive_mode and archive_command are classified`(_ mode: String, _ command: String, _ library: String, _ state: ArchiveState) throws {
        #expect(ArchiveState(mode: mode, command: command, library: library, stanza: try stanza("n1")) == state)
        #expect(state.needsRestart == (mode == "off"))
    }
}

@Suite struct RestoredDirectoryTests {
    @Test(
        arguments: [
            ("absent", .absent),
            ("empty", .empty),
            ("directories", .directories),
            ("", .foreign),
            ("has postmaster.pid", .foreign),
            ("has backup.manifest\nset 20261121-041043F", .incomplete(set: "20261121-041043F")),
            ("has PG_VERSION\nhas backup.manifest\nhas backup_label\nset 20261121-041043F\nstart 0/E000028", .incomplete(set: "20261121-041043F")),
            ("has PG_VERSION", .incomplete(set: nil)),
            (
                "has PG_VERSION\nhas backup_label\nhas global/pg_control\nhas standby.signal\nstart 0/E000028",
                .complete(.init(startLSN: LSN("0/E000028"), started: false, hasPostmaster: false, isStandby: true))
            ),
            (
                "has PG_VERSION\nhas backup_label.old\nhas global/pg_control\nhas postmaster.pid\nstart 0/E000028",
                .complete(.init(startLSN: LSN("0/E000028"), started: true, hasPostmaster: true, isStandby: false))
            ),
        ] as [(String, RestoredDirectory)])
    func `what lies in a directory tells how far a restore came`(_ seen: String, _ state: RestoredDirectory) {
        #expect(RestoredDirectory(seen) == state)
    }
}

@Suite struct BackRestProcessTests {
    @Test func `copying processes are found among others`() {
        let ps = """
                1 /sbin/init
            26490 runuser -u postgres -- env LC_ALL=C pgbackrest --config=/srv/n4.conf --stanza=n1 restore --type=standby
            26491 pgbackrest --config=/srv/n4.conf --stanza=n1 restore --type=standby --process-max=1 --log-level-console=detail
            26492 pgbackrest --config=/srv/n4.conf --exec-id=26491-9689ab9c --log-level-console=off --process=1 --remote-type=repo --stanza=n1 restore:local
            27085 /usr/bin/pgbackrest --stanza=n2 backup --type=full
            27086 pgbackrest --stanza=n1 archive-push pg_wal/00000001000000000000000F
            27087 ssh postgres@n1 pgbackrest --stanza=n1 backup:remote
            27088 pgbackrest --stanza=n1 info
            27089 [pgbackrest] <defunct>
            """
        #expect(
            BackRestProcess.list(ps) == [
                BackRestProcess(pid: 26491, stanza: "n1", command: "restore", main: 26491, configuration: "/srv/n4.conf"),
                BackRestProcess(pid: 26492, stanza: "n1", command: "restore:local", main: 26491, configuration: "/srv/n4.conf"),
                BackRestProcess(pid: 27085, stanza: "n2", command: "backup", main: 27085, configuration: nil),
            ])
    }
}

@Suite struct BackRestProbeTests {
    @Test func `the SSH test asks no questions`() {
        #expect(
            BackRestLayout.sshTest(SSHEndpoint(address: "10.77.0.11", user: "postgres", port: 2222)).as("postgres").line(loginUser: "dba")
                == "cd / && exec sudo -n -u postgres -- env LC_ALL=C ssh -o BatchMode=yes -o ConnectTimeout=10 -p 2222 postgres@10.77.0.11 true")
    }

    @Test func `versions are compared across hosts`() throws {
        let old = BackRestVersion(major: 2, minor: 44), new = BackRestVersion.minimum
        #expect(BackRestLayout.findings(inVersions: [("n1", new), ("n4", new)]).isEmpty)
        #expect(BackRestLayout.findings(inVersions: [("n1", old), ("n4", old)]) == [.tooOld(host: "n1", old), .tooOld(host: "n4", old)])
        #expect(BackRestLayout.findings(inVersions: [("n1", new), ("n4", nil)]) == [.notInstalled(host: "n4")])
        let differ = BackRestLayout.findings(inVersions: [("n4", BackRestVersion(major: 2, minor: 54, patch: 1)), ("n1", new)])
        #expect(
            differ.map(\.description) == [
                """
                versions of pgBackRest differ: n1 has 2.45, n4 has 2.54.1
                  HINT: pgBackRest talks only to its own version; install the same one on every host.
                """
            ])
    }

    @Test func `a copy that would archive into its source is found`() throws {
        let n1 = try stanza("n1"), find = { BackRestLayout.findArchiving(ofCopy: "n4", of: n1, mode: $0, command: $1) }
        let pushing = "pgbackrest --stanza=n1 archive-push %p"
        #expect(find("on", pushing) == [.archivesIntoSource(node: "n4", stanza: n1)])
        #expect(find("off", pushing).isEmpty)
        #expect(find("on", "pgbackrest --stanza=n4 archive-push %p").isEmpty)
    }

    @Test(arguments: [(0, "0 B"), (1023, "1023 B"), (1638, "1.6 KB"), (1 << 30, "1 GB"), (191_887_160, "183 MB")] as [(UInt64, String)])
    func `sizes are written for readers`(_ bytes: UInt64, _ text: String) { #expect(bytes.inBytes == text) }
}
