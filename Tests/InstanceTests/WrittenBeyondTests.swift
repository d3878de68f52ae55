import PostgresClient
import Testing

@testable import Instance

@Suite("What was written beyond a position") struct WrittenBeyondTests {
    private let commit =
        "rmgr: Transaction len (rec/tot):     46/    46, tx:        740, lsn: 0/060001A0, prev 0/06000160, desc: COMMIT 2026-11-28 22:15:11.846488 UTC; inval msgs: catcache 1"
    private let last = "last rmgr: Standby     len (rec/tot):     50/    50, tx:          0, lsn: 0/06000208, prev 0/060001D0, desc: RUNNING_XACTS nextXid 742"
    private let end = "pg_waldump: error: error in WAL record at 0/6000208: invalid record length at 0/6000240: wanted 24, got 0"

    @Test func `is the commits and the last record`() throws {
        let written = try #require(WrittenBeyond("\(commit)\n\(last)", errors: end))
        #expect(written.commits == [.init(transaction: "740", at: try #require(LSN("0/60001A0")), time: "2026-11-28 22:15:11.846488 UTC")])
        #expect(written.last == LSN("0/6000208"))
    }

    @Test func `is nothing where no record follows`() throws {
        let written = try #require(WrittenBeyond("", errors: "pg_waldump: error: could not find a valid record after 0/6000160"))
        #expect(written.commits.isEmpty && written.last == nil)
    }

    @Test(arguments: [
        "pg_waldump: error: could not open directory \"/data/pg_wal\": Permission denied",
        "pg_waldump: error: could not find file \"000000010000000000000006\": No such file or directory",
        "sh: 3: /usr/lib/postgresql/15/bin/pg_waldump: not found",
    ])
    func `is not known where the log cannot be read`(_ errors: String) { #expect(WrittenBeyond("", errors: errors) == nil) }
}
