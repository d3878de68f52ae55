import Testing

@testable import PgBackRest

@Suite struct CopyProgressTests {
    private let start = ContinuousClock.now

    private func progress(_ log: String, bytesTotal: UInt64? = nil) -> [CopyProgress] {
        var meter = ProgressMeter(bytesTotal: bytesTotal), second = 0
        return log.split(whereSeparator: \.isNewline).compactMap { line in
            second += 1
            return meter.read(String(line), at: start + .seconds(second))
        }
    }

    @Test(
        arguments: [
            ("2026-11-21 04:10:45.235 P02 DETAIL: backup file /srv/pg/base/5/1259 (bundle 2/264066, 112KB, 11.73%) checksum 96", 114_688, 11.73),
            ("2026-11-21 04:10:45.721 P01 DETAIL: backup file /srv/pg/base/5/16384 (160.9MB, 100.00%) checksum 7d13", 168_715_878, 100),
            ("2026-11-21 04:10:45.721 P01 DETAIL: backup file n1:/srv/pg/a (b)/1 (1GB, 2.5%) checksum 7d13", 1 << 30, 2.5),
            ("2026-11-21 04:12:21.918 P01 DETAIL: restore file /srv/pg/base/4/3598 (0B, 89.07%)", 0, 89.07),
            ("P01 DETAIL: restore file /srv/pg/1 - exists and matches backup (bundle 20261121-041043F/1/62, 1.6KB, 0.01%) checksum 71", 1638, 0.01),
            ("P01 DETAIL: checksum resumed file /srv/pg/1 (512B, 50.00%) checksum 71", 512, 50),
        ] as [(String, UInt64, Double)])
    func `lines that tell of a file`(_ line: String, _ bytes: UInt64, _ percent: Double) throws {
        let step = try #require(FileStep(line))
        #expect(step.bytes == bytes)
        #expect(step.percent == percent)
    }

    @Test(arguments: [
        "2026-11-21 04:10:45.106 P00 DETAIL: store zero-length file /srv/pg/base/1/13394",
        "2026-11-21 04:10:45.957 P00   INFO: full backup size = 183.0MB, file total = 967",
        "2026-11-21 04:10:45.924 P00 DETAIL: wrote 'backup_label' file returned from backup stop function",
        "WARN: (8KB, 1.00%)", "", "x",
    ])
    func `lines that do not`(_ line: String) { #expect(FileStep(line) == nil) }

    @Test func `a recorded backup goes from nothing to all`() throws {
        let seen = progress(Recorded.backup, bytesTotal: 191_887_160)
        #expect(seen.count == 11)
        #expect(seen.first?.percent == 0)
        #expect(seen.first?.remaining == nil)
        #expect(seen.last?.percent == 100)
        #expect(seen.last?.bytesDone == 191_887_160)
        #expect(seen.last?.remaining == .zero)
        #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.bytesDone <= $1.bytesDone })
    }

    @Test func `a recorded delta restore too`() throws {
        let seen = progress(Recorded.restoreDelta, bytesTotal: 191_887_160)
        #expect(seen.count == 6)
        #expect(seen.last?.bytesDone == 191_887_160)
    }

    @Test func `without a known size the total is estimated from the lines`() throws {
        let seen = progress("P01 DETAIL: backup file /a (100MB, 25.00%)\nP01 DETAIL: backup file /b (100MB, 50.00%)")
        #expect(seen.map(\.bytesTotal) == [400 << 20, 400 << 20])
        #expect(seen.map(\.bytesDone) == [100 << 20, 200 << 20])
    }

    @Test func `the time that remains follows the rate of the last window`() throws {
        var meter = ProgressMeter(bytesTotal: 1000, window: .seconds(10))
        let line = { (percent: Int) in "P01 DETAIL: backup file /a (1KB, \(percent).00%) checksum 7d" }
        #expect(meter.read(line(0), at: start)?.remaining == nil)
        #expect(meter.read(line(10), at: start + .seconds(100))?.remaining == .seconds(900))
        // Ten times as fast from here on; the slow stretch leaves the window.
        #expect(meter.read(line(20), at: start + .seconds(110))?.remaining == .seconds(80))
        // Nothing for ten seconds: the estimate grows with the silence.
        #expect(meter.progress(at: start + .seconds(120))?.remaining == .seconds(160))
    }

    @Test func `no line, no progress`() { #expect(ProgressMeter().progress(at: start) == nil) }
}
