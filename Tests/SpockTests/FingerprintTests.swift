import Testing

@testable import Spock

@Suite("What two looks at a table differ by")
struct FingerprintTests {
    @Test func `is the same as long as both get the same rows`() {
        let lacking = TableFingerprint(rows: 99, hash: "-9223372036854775800"), whole = TableFingerprint(rows: 100, hash: "9223372036854775800")
        let later = TableFingerprint(rows: 109, hash: "-27670116110564327400"), wholeLater = TableFingerprint(rows: 110, hash: "-9223372036854775800")
        #expect(lacking.offset(from: whole) == later.offset(from: wholeLater))
        #expect(lacking.offset(from: whole) != later.offset(from: whole))
        #expect(TableFingerprint(rows: 1, hash: "").offset(from: whole) == nil)
    }
}
