import Bed
import Foundation
import Run
import Testing

@testable import pggraft_bed

@Suite("Times in a journal")
struct RunJournalTests {
    private static func entry(_ seconds: Double, _ event: JournalEntry.Event, _ step: String, key: String? = nil, value: String? = nil) throws -> JournalEntry {
        JournalEntry(at: Date(timeIntervalSince1970: seconds), event, step: step, key: key, value: try value.map { try JSON(of: $0) })
    }

    private static func journal(_ told: String = "1.2 s (read-only 70 ms, drain 41 ms, read-write 138 ms)") throws -> RunJournal {
        RunJournal([
            try entry(99, .intent, "read-only"), try entry(100.07, .done, "read-only"), try entry(101.2, .fact, "read-write", key: "window", value: told),
            try entry(101.3, .done, "read-write"), try entry(101.5, .intent, "restart"), try entry(103, .done, "restart"), try entry(104.2, .done, "open-new-node"),
        ])
    }

    @Test func `the window begins with its first part, and ends where its length was told`() throws {
        #expect(abs(try Self.journal().window().seconds - 1.2) < 1e-5)
        #expect(abs(try Self.journal("9.1 s (read-only 1.1 s, drain 2 s)").window().seconds - 2.23) < 1e-5)
        #expect(abs(try Self.journal("9.1 s (read-only 1.1 s)").window().seconds - 2.23) < 1e-5)
    }

    @Test func `from the window's end until the new node is open is what comes after it`() throws { #expect(abs(try Self.journal().opening().seconds - 3) < 1e-5) }

    @Test func `a step took from its intent until it was done`() throws { #expect(abs(try Self.journal().took("restart") - 1.5) < 1e-5) }

    @Test func `the steps share the time of the run among them`() throws {
        let steps = try Self.journal().steps()
        #expect(steps.map(\.name) == ["read-only", "read-write", "restart", "open-new-node"])
        #expect(steps.map { ($0.seconds * 100).rounded() } == [107, 123, 170, 120])
    }

    @Test func `what is not there is said`() throws {
        #expect(throws: BedError.self) { try Self.journal().took("backup") }
        #expect(throws: BedError.self) { try Self.journal("").window() }
    }
}
