import Testing

@testable import pggraft_bed

@Suite("What was sent and waited for in a row")
struct SentLogTests {
    /// n1 and n2 are asked at once; n1 is slower, and the script is waited for on its own.
    private let log = SentLog(
        """
        Warning: this is no sending
        12:00:00.110 localhost  10 ms  ssh -G -- n1  → exit code 0
        12:00:00.210 n2  100 ms  SELECT 1  → SELECT 1
        12:00:00.290 n1  170 ms  SELECT 1  → SELECT 1
        12:00:00.300 n1  5 ms  SELECT 2  → SELECT 1
        12:00:02.600 repo  2.3 s  sudo -n -u postgres -- pgbackrest --config=/a.conf --stanza=app backup --type=full  → exit code 0
        12:00:02.650 repo  40 ms  sudo -n -u postgres -- pgbackrest --config=/a.conf --stanza=app info --output=json  → exit code 0
        12:03:05.000 n4  2 min 1 s  pgbackrest --config=/a.conf --stanza=app restore --type=standby  → exit code 0
        """)
    private let noon = 12.0 * 3600

    @Test func `a line is a sending, with its beginning`() {
        #expect(log.sendings.count == 7)
        #expect(log.sendings[2].node == "n1")
        #expect(log.sendings[2].text == "SELECT 1  → SELECT 1")
        #expect(abs(log.sendings[2].began - (noon + 0.12)) < 1e-6)
        #expect(abs(log.sendings[6].took - 121) < 1e-6)
    }

    @Test func `of what goes on side by side only the slowest is in the row`() {
        let row = log.inARow(from: noon, to: noon + 3)
        #expect(row.map(\.node) == ["localhost", "n1", "n1", "repo", "repo"])
        #expect(log.inARow(from: noon + 0.115, to: noon + 0.3).map(\.text) == ["SELECT 1  → SELECT 1", "SELECT 2  → SELECT 1"])
        #expect(log.inARow(from: noon + 100, to: noon + 100.5).isEmpty)
    }

    @Test func `a list also shows the time in which nothing was under way`() {
        #expect(
            log.list(from: noon + 0.09, to: noon + 0.32) == """
                3 in a row, in 0.230 s
                   0.000    0.010  -
                   0.010    0.010  localhost  ssh -G -- n1  → exit code 0
                   0.020    0.010  -
                   0.030    0.170  n1  SELECT 1  → SELECT 1
                   0.200    0.005  -
                   0.205    0.005  n1  SELECT 2  → SELECT 1
                   0.210    0.020  -

                """)
    }

    @Test func `what pgBackRest did for the copy is not what it was asked`() { #expect(abs(log.backRest - 123.3) < 1e-6) }
}
