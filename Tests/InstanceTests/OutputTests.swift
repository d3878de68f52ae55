import PostgresClient
import PostgresConfig
import RemoteHost
import Testing

@testable import Instance

@Suite("What programs say") struct OutputTests {
    static let controlData = """
        pg_control version number:            1300
        Catalog version number:               202209061
        Database system identifier:           7301234567890123456
        Database cluster state:               in archive recovery
        pg_control last modified:             Mon 20 Oct 2025 10:11:12 AM UTC
        Latest checkpoint location:           0/3000060
        Latest checkpoint's REDO location:    0/3000028
        Latest checkpoint's REDO WAL file:    000000020000000000000003
        Latest checkpoint's TimeLineID:       2
        Latest checkpoint's PrevTimeLineID:   2
        Latest checkpoint's full_page_writes: on
        Minimum recovery ending location:     0/3000110
        Min recovery ending loc's timeline:   2
        wal_level setting:                    logical
        max_connections setting:              100
        max_wal_senders setting:              10
        track_commit_timestamp setting:       on
        Data page checksum version:           1
        """

    @Test(
        "what a fast stop waits for",
        arguments: [
            ("postgres: walsender replicator 10.77.0.32(50124) streaming 0/64049D0", true), ("postgres: 15/main: walsender replicator [local] idle", true),
            ("postgres: wal sender process replicator 10.77.0.32(50124) streaming 0/64049D0", true), ("postgres: archiver archiving 000000010000000000000006", true),
            ("postgres: archiver process", true), ("postgres: checkpointer", false), ("postgres: app archiver 10.77.0.9(4711) idle", false),
            ("/usr/lib/postgresql/15/bin/postgres -D /x", false),
        ])
    func stops(_ title: String, _ holds: Bool) { #expect(DataDirectoryProcess(pid: 1, title: title).holdsStopUp == holds) }

    @Test("pg_controldata")
    func control() throws {
        let data = try #require(ControlData(Self.controlData))
        #expect(data.systemIdentifier == SystemIdentifier(7_301_234_567_890_123_456))
        #expect(data.state == .inArchiveRecovery)
        #expect(data.catalogVersion == 202_209_061)
        #expect(data.checkpoint == LSN("0/3000060"))
        #expect(data.checkpointRedo == LSN("0/3000028"))
        #expect(data.timeline == 2)
        #expect(data.minimumRecoveryEnd == LSN("0/3000110"))
        #expect(data.hasDataChecksums)
        #expect(data.settings["max_connections"] == "100")
        #expect(data.settings["track_commit_timestamp"] == "on")
        #expect(data.settings["wal_level"] == "logical")
    }

    @Test("pg_controldata of 9.4 and before says current settings")
    func oldControl() {
        let old = Self.controlData.replacing("max_connections setting:      ", with: "Current max_connections setting:")
        #expect(ControlData(old)?.settings["max_connections"] == "100")
    }

    @Test("pg_controldata with a line missing is not guessed at", arguments: ["Database system identifier", "Database cluster state", "TimeLineID"])
    func incomplete(missing: String) {
        #expect(ControlData(lines(of: Self.controlData).filter { !$0.contains(missing) }.joined(separator: "\n")) == nil)
        #expect(ControlData(Self.controlData.replacing("in archive recovery", with: "unrecognized status code")) == nil)
    }

    @Test("postmaster.pid of a running server")
    func pidFile() throws {
        let file = try #require(PostmasterPID(["4711", "/srv/pg", "1700000000", "5433", "/tmp", "127.0.0.1", "  1234   5", "ready   "]))
        #expect(file.pid == 4711)
        #expect(file.dataDirectory == "/srv/pg")
        #expect(file.startTime == 1_700_000_000)
        #expect(file.port == 5433)
        #expect(file.socketDirectory == "/tmp")
        #expect(file.listenAddress == "127.0.0.1")
        #expect(file.phase == .ready)
    }

    @Test(
        "postmaster.pid before version 10, or just written, has no phase",
        arguments: [
            ["4711", "/srv/pg", "1700000000", "5433", "", "", ""], ["4711", "/srv/pg", "1700000000"],
        ])
    func noPhase(lines: [String]) {
        #expect(PostmasterPID(lines)?.phase == nil)
        #expect(PostmasterPID(lines)?.pid == 4711)
    }

    @Test("postmaster.pid of nothing that is a server", arguments: [[], [""], ["-4711", "/srv/pg", "1700000000"], ["x", "/srv/pg", "1"], ["1", "/d"]])
    func noServer(lines: [String]) {
        #expect(PostmasterPID(lines) == nil)
    }

    @Test(
        "the state of a data directory",
        arguments: [
            ("absent", .notACluster(.absent)),
            ("empty", .notACluster(.empty)),
            ("foreign\nlost+found\nmy file", .notACluster(.foreign(entries: ["lost+found", "my file"]))),
            ("cluster\n15", .stopped(.postgres(15), stalePID: nil)),
            ("cluster\n9.6\n/srv/pg\n\n4711\n/srv/pg\n1700000000", .stopped(MajorVersion(serverVersionNumber: 90600), stalePID: 4711)),
            ("cluster\n15\n/srv/pg\n/srv/other\n4711\n/srv/pg\n1700000000\n5432", .stopped(.postgres(15), stalePID: 4711)),
        ] as [(String, InstanceStatus)])
    func status(output: String, expected: InstanceStatus) {
        #expect(InstanceStatus.parse(output) == expected)
    }

    @Test("a server runs when its process works in this very directory")
    func running() {
        let output = "cluster\n15\n/mnt/disk/pg\n/mnt/disk/pg\n4711\n/srv/pg\n1700000000\n5432\n/tmp\n*\n 1 2\nstanding by"
        #expect(InstanceStatus.parse(output)?.isRunning == true)
        #expect(InstanceStatus.parse("nonsense") == nil)
        #expect(InstanceStatus.parse("cluster\nx") == nil)
    }

    @Test("pg_lsclusters")
    func clusters() {
        let output = """
            15 main     5432 down            postgres /var/lib/postgresql/15/main     /var/log/postgresql/postgresql-15-main.log
            16 odd-name 5433 online,recovery pgadmin  /srv/my data/16   log/postgresql-%Y.log
            nonsense
            """
        let clusters = DebianCluster.parse(output)
        #expect(clusters.map(\.name) == ["main", "odd-name"])
        #expect(clusters.map(\.port) == [5432, 5433])
        #expect(clusters.map(\.owner) == ["postgres", "pgadmin"])
        #expect(clusters.map(\.dataDirectory.path) == ["/var/lib/postgresql/15/main", "/srv/my data/16"])
        #expect(clusters.map { $0.logFile?.path } == ["/var/log/postgresql/postgresql-15-main.log", nil])
        #expect(clusters.map { $0.configDirectory?.path } == ["/etc/postgresql/15/main", "/etc/postgresql/16/odd-name"])
    }

    @Test(
        "the versions of programs",
        arguments: [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"), ("pg_ctl (PostgreSQL) 9.6.24", "9.6.24"),
            ("postgres (PostgreSQL) 18beta1", "18beta1"), ("postgres (Postgres-XC) 1.2.1", ""),
        ])
    func versions(answer: String, expected: String) {
        #expect(Binaries.versionText(answer) == expected)
    }

    @Test("programs are taken from the first directory that has them all, of the version wanted")
    func choose() throws {
        func all(_ directory: String, _ version: String) -> String {
            ["postgres", "pg_ctl", "pg_controldata"].map { "\(directory)\t\($0)\t\($0) (PostgreSQL) \(version)\n" }.joined()
        }
        let places = try ["/a", "/b", "/c"].map { try #require(HostPath($0)) }
        let output = "/a\tpg_ctl\tpg_ctl (PostgreSQL) 15.1\n" + all("/b", "14.9") + all("/c", "15.2")
        #expect(Binaries.choose(from: output, in: places, version: .postgres(15))?.directory.path == "/c")
        #expect(Binaries.choose(from: output, in: places, version: nil)?.directory.path == "/b")
        #expect(Binaries.choose(from: output, in: places, version: .postgres(16)) == nil)
        #expect(Binaries.choose(from: output, in: places, version: nil)?.versions["pg_ctl"] == "14.9")
        let xc = all("/a", "1.2").replacing("(PostgreSQL)", with: "(Postgres-XC)")
        #expect(Binaries.choose(from: xc, in: places, version: MajorVersion("9.3"))?.directory.path == "/a")
    }

    @Test("running servers")
    func servers() {
        let output = "4711\t5432\t/usr/lib/postgresql/15/bin/postgres\t/mnt/pg\t/srv/pg\n4712\t5433\t/opt/pg/bin/postgres (deleted)\t/mnt/b\tb\nx\t1\n"
        let servers = RunningServer.parse(output)
        #expect(servers.map(\.pid) == [4711, 4712])
        #expect(servers.map(\.dataDirectory.path) == ["/srv/pg", "/mnt/b"])
        #expect(servers.map(\.program.directory.path) == ["/usr/lib/postgresql/15/bin", "/opt/pg/bin"])
    }

    @Test("the size of a data directory and what lies elsewhere")
    func usage() throws {
        let usage = try #require(Usage.parse(".\t100\t/srv/pg\npg_tblspc/16401\t7\t/mnt/fast disk"))
        #expect(usage.dataDirectoryBytes == 102_400)
        #expect(usage.elsewhere == [Usage.Elsewhere(link: "pg_tblspc/16401", path: try #require(HostPath("/mnt/fast disk")), bytes: 7168)])
        #expect(usage.totalBytes == 109_568)
        #expect(Usage.parse("") == nil)
    }

    @Test func `a timeline that the upstream does not have, or left elsewhere, is a stray`() throws {
        let one = try #require(TimelineHistory("1\t0/3000110\tno recovery target specified\n"))
        let other = try #require(TimelineHistory("1\t0/5000110\tno recovery target specified\n"))
        #expect(TimelineHistory.strays(of: [2: one], behind: 1, upstream: [2: one]) == [])
        #expect(TimelineHistory.strays(of: [2: one, 3: other], behind: 1, upstream: [2: other]) == [2, 3])
        #expect(TimelineHistory.strays(of: [2: one], behind: 2, upstream: [:]) == [])
    }

    @Test("a timeline's history")
    func history() throws {
        let history = try #require(TimelineHistory("1\t0/3000110\tno recovery target specified\n\n# note\n2\tA/B0000000\tbefore 2025-10-20\n"))
        #expect(history.switches.map(\.timeline) == [1, 2])
        #expect(history.switches.map(\.at) == [LSN("0/3000110"), LSN("A/B0000000")])
        #expect(history.switches[0].reason == "no recovery target specified")
        #expect(TimelineHistory.fileName(of: 26) == "0000001A.history")
        #expect(TimelineHistory.timeline(ofFile: "0000001A.history") == 26)
    }

    @Test("a history file the server would not take", arguments: ["x\t0/1\t", "1\n", "1\t0\n", "2\t0/1\tx\n1\t0/2\tx\n"])
    func badHistory(text: String) {
        #expect(TimelineHistory(text) == nil)
    }
}
