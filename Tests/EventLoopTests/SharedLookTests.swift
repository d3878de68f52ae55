import Synchronization
import Testing

@testable import EventLoop

@Suite("A shared look") struct SharedLookTests {
    private struct Failed: Error {}

    /// Looks that count themselves, and wait for a word to go on.
    private final class Looks: Sendable {
        private let begun = Mutex(0), ended = Mutex(0), isOpen = Mutex(false)
        var count: Int { begun.withLock { $0 } }
        var cancelled: Int { ended.withLock { $0 } }

        func open() { isOpen.withLock { $0 = true } }

        func look() async throws -> Int {
            let number = begun.withLock { count in
                count += 1
                return count
            }
            do {
                try await wait(for: "the word", until: .after(.seconds(60)), every: .milliseconds(1)) { isOpen.withLock { $0 } ? .found(()) : .notYet("") }
            } catch is CancellationError {
                ended.withLock { $0 += 1 }
                throw CancellationError()
            }
            return number
        }
    }

    private func until(_ what: String, _ isSo: () -> Bool) async throws {
        try await wait(for: what, until: .after(.seconds(60)), every: .milliseconds(1)) { isSo() ? .found(()) : .notYet("") }
    }

    @Test func `is taken once for all who ask meanwhile, and for those who ask later`() async throws {
        let shared = SharedLook<Int>(), looks = Looks()
        let asking = (0..<8).map { _ in Task { try await shared.value { try await looks.look() } } }
        try await until("the look to begin") { looks.count == 1 }
        looks.open()
        for task in asking { #expect(try await task.value == 1) }
        #expect(try await shared.value { try await looks.look() } == 1)
        #expect(await shared.settled == 1)
        #expect(looks.count == 1)
    }

    @Test func `that failed fails for all who waited, and is taken again for who asks next`() async throws {
        let shared = SharedLook<Int>(), looks = Looks()
        let asking = (0..<4).map { _ in
            Task {
                try await shared.value {
                    _ = try await looks.look()
                    throw Failed()
                }
            }
        }
        try await until("the look to begin") { looks.count == 1 }
        looks.open()
        for task in asking { await #expect(throws: Failed.self) { try await task.value } }
        #expect(looks.count == 1)
        #expect(await shared.settled == nil)
        #expect(try await shared.value { try await looks.look() } == 2)
    }

    @Test func `goes on when one of two gives up, and that one waits no longer`() async throws {
        let shared = SharedLook<Int>(), looks = Looks()
        let first = Task { try await shared.value { try await looks.look() } }
        try await until("the look to begin") { looks.count == 1 }
        let second = Task { try await shared.value { try await looks.look() } }
        try await wait(for: "both to ask", until: .after(.seconds(60)), every: .milliseconds(1)) { await shared.waiters.count == 2 ? .found(()) : .notYet("") }
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        looks.open()
        #expect(try await second.value == 1)
        #expect(looks.count == 1)
    }

    @Test func `ends when nobody waits for it any more, and the next one who asks has one of its own`() async throws {
        let shared = SharedLook<Int>(), looks = Looks()
        let only = Task { try await shared.value { try await looks.look() } }
        try await until("the look to begin") { looks.count == 1 }
        only.cancel()
        await #expect(throws: CancellationError.self) { try await only.value }
        try await until("the look to be told") { looks.cancelled == 1 }
        looks.open()
        #expect(try await shared.value { try await looks.look() } == 2)
    }
}
