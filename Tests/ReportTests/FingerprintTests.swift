import Report
import Testing

@Suite("Fingerprints") struct FingerprintTests {
    // From the test vectors of its authors.
    @Test(arguments: [("", 0xCBF2_9CE4_8422_2325), ("a", 0xAF63_DC4C_8601_EC8C), ("foobar", 0x8594_4171_F739_67E8)] as [(String, UInt64)])
    func `are FNV-1a`(text: String, expected: UInt64) { #expect(fnv1a(text.utf8) == expected) }
}
