import PostgresClient
import PostgresConfig
import RemoteHost
import Testing

@testable import Instance

@Suite("pg_basebackup")
struct BaseBackupTests {
    private func words(_ options: BaseBackupOptions, _ version: String) throws -> [String] {
        options.arguments(into: try #require(HostPath("/data")), ServerFeatures(try #require(MajorVersion(version))))
    }

    @Test func `is told all in the words of each version, and never a password`() throws {
        let options = BaseBackupOptions(
            conninfo: Conninfo(["host": "db1", "port": "5433", "user": "replicator", "password": "hunter2", "passfile": "/home/pass file"]), slot: "db2",
            tablespaces: ["/srv/a=b": try #require(HostPath("/srv/c"))], walDirectory: HostPath("/wal"), maximumRate: 2048, compression: .lz4, label: "pggraft run")
        #expect(
            try words(options, "15") == [
                "--pgdata=/data", "--progress", "--no-password", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf",
                "--dbname=host=db1 port=5433 user=replicator passfile='/home/pass file'", "--label=pggraft run", "--slot=db2", "--tablespace-mapping=/srv/a\\=b=/srv/c",
                "--max-rate=2048k", "--waldir=/wal", "--compress=server-lz4",
            ])
        #expect(
            try words(options, "9.6") == [
                "--pgdata=/data", "--progress", "--no-password", "--checkpoint=fast", "--xlog-method=stream", "--write-recovery-conf",
                "--dbname=host=db1 port=5433 user=replicator passfile='/home/pass file'", "--label=pggraft run", "--slot=db2", "--tablespace-mapping=/srv/a\\=b=/srv/c",
                "--max-rate=2048k", "--xlogdir=/wal",
            ])
        #expect(
            try words(options, "9.2") == [
                "--pgdata=/data", "--progress", "--no-password", "--checkpoint=fast", "--xlog-method=stream", "--host=db1", "--port=5433", "--username=replicator",
                "--label=pggraft run",
            ])
        var spread = options
        spread.checkpointsFast = false
        #expect(try words(spread, "18").contains("--checkpoint=spread"))
    }

    @Test func `says how far it is`() {
        let progress = BaseBackupProgress("  31744/102400 kB (31%), 0/2 tablespaces (...in/base/16389/16424)")
        #expect(progress?.bytesDone == 31744 * 1024)
        #expect(progress?.bytesTotal == 102400 * 1024)
        // What is written meanwhile comes on top.
        #expect(BaseBackupProgress("102500/102400 kB (100%), 1/1 tablespace")?.bytesTotal == 102500 * 1024)
        #expect(BaseBackupProgress("waiting for checkpoint") == nil)
        #expect(BaseBackupProgress("pg_basebackup: error: could not connect") == nil)
    }

    @Test func `fails with its own words, without those of its progress`() {
        let failed = BaseBackupFailed(
            node: "db2", program: "pg_basebackup", status: .code(1),
            output: "  100/200 kB (50%), 0/1 tablespace\npg_basebackup: error: could not write to file: No space left on device\npg_basebackup: removing contents of data directory"
        )
        #expect(failed.fact == "db2: pg_basebackup ended with exit code 1\n  pg_basebackup: error: could not write to file: No space left on device")
        #expect(failed.hint?.contains("make room on db2") == true)
    }
}
