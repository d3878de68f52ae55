import Testing

@testable import ProcedureKit

@Suite("The programs of a copy") struct ProgramsMatchTests {
    @Test func `are told apart from the source's by what they were built with, as far as both say it`() {
        let theirs = ["block_size": "8192", "wal_block_size": "8192", "segment_size": "131072"]
        func words(_ ours: [String: String]) -> [String] { ProgramsMatch.differences(ours, theirs).map { "\($0.name) \($0.ours) \($0.theirs)" } }
        #expect(words(theirs) == [])
        #expect(words([:]) == [])
        #expect(words(["block_size": "16384", "wal_block_size": "8192", "segment_size": "65536"]) == ["block_size 16384 8192", "segment_size 65536 131072"])
    }
}
