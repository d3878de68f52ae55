import InMemoryLogging
import Logging
import Report
import Testing

@Suite struct `What is sent` {
    private struct Refused: Explained {
        let fact = "n1: refused: password=hunter2\n  DETAIL: more"
        let hint: String? = "ask"
    }

    private let memory = InMemoryLogHandler()

    private func log(_ level: Logger.Level) -> Logger {
        var log = Logger(label: "test") { _ in memory }
        log.logLevel = level
        return log
    }

    @Test func `is logged when its end is known`() async throws {
        let answer = try await log(.debug).sending("ask", to: "n1", as: "postgres", ending: { (number: Int) in "answer \(number)" }) {
            #expect(memory.entries.isEmpty)
            return 42
        }
        #expect(answer == 42)
        let entry = try #require(memory.entries.first)
        #expect(entry.message == "ask")
        #expect(entry.metadata.filter { $0.key != Sending.took } == [Sending.node: "n1", Sending.user: "postgres", Sending.ending: "answer 42"])
    }

    @Test func `is logged with the error it ended in, in one line and without secrets`() async throws {
        await #expect(throws: Refused.self) {
            try await log(.debug).sending("ask", to: "n1", ending: { (_: Int) in "" }) { throw Refused() }
        }
        #expect(memory.entries.first?.metadata[Sending.ending] == "refused: password=‹redacted›")
    }

    @Test func `is not even worded where nobody asks for it`() async throws {
        var isWorded = false
        func words() -> String {
            isWorded = true
            return "ask"
        }
        #expect(try await log(.info).sending(words(), to: "n1", ending: { (_: Int) in "" }) { 42 } == 42)
        #expect(!isWorded && memory.entries.isEmpty)
    }
}
