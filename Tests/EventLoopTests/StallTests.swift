import EventLoop
import Report
import Testing

@Suite("A wait for what moves") struct StallTests {
    private struct Lost: Error {}
    private let patience = Patience(limit: .milliseconds(400), tellsAfter: .milliseconds(100))

    @Test func `lasts as long as it moves, and is silent`() async throws {
        var looks = 0, told: [String] = []
        let began = ContinuousClock.now
        let found = try await wait(for: "the end", with: patience, every: .milliseconds(20), tell: { told.append($0) }) { () -> MovingLook<String, Int> in
            looks += 1
            return began.duration(to: .now) > .milliseconds(900) ? .found("there") : .notYet("look \(looks)", looks)
        }
        #expect(found == "there")
        #expect(told == [])
    }

    @Test func `tells why it does not move, and ends with that`() async throws {
        var told: [String] = []
        // Between the two no busy machine comes without a look.
        let patience = Patience(limit: .seconds(5), tellsAfter: .milliseconds(100))
        let stalled = await #expect(throws: Stalled.self) {
            try await wait(for: "n4 to stream", with: patience, every: .milliseconds(20), why: { Obstacle("nobody\nis there") }, tell: { told.append($0) }) {
                () -> MovingLook<Void, Int> in .notYet("not yet", 1)
            }
        }
        #expect(stalled?.fact.hasPrefix("gave up waiting for n4 to stream, after ") == true)
        #expect(stalled?.fact.hasSuffix(" without a move: nobody\nis there") == true)
        #expect((stalled?.still ?? .zero) >= patience.limit)
        #expect(told.count == 1)
        #expect(told.first?.wholeMatch(of: #/waiting for n4 to stream, which has not moved for \d+ ms: nobody is there/#) != nil, "\(told)")
    }

    @Test func `says what it saw last where nobody knows why, and that finding out failed`() async throws {
        let unknown = await #expect(throws: Stalled.self) {
            try await wait(for: "it", with: patience, every: .milliseconds(20), tell: { _ in }) { () -> MovingLook<Void, Int> in .notYet("10 bytes behind", 1) }
        }
        #expect(unknown?.reason == Obstacle("10 bytes behind"))
        let failed = await #expect(throws: Stalled.self) {
            try await wait(for: "it", with: patience, every: .milliseconds(20), why: { throw Problem("the log is gone") }, tell: { _ in }) {
                () -> MovingLook<Void, Int> in .notYet("", 1)
            }
        }
        #expect(failed?.reason.text == "why cannot be found out: the log is gone")
    }

    @Test func `does not go on for a reason that stays`() async throws {
        let long = Patience(limit: .seconds(600), tellsAfter: .milliseconds(100))
        let stalled = await #expect(throws: Stalled.self) {
            try await wait(for: "n4 to stream", with: long, every: .milliseconds(20), why: { Obstacle("the slot is not there", isFinal: true) }, tell: { _ in }) {
                () -> MovingLook<Void, Int> in .notYet("not yet", 1)
            }
        }
        #expect(stalled?.fact == "waiting for n4 to stream is in vain: the slot is not there")
    }

    @Test func `watches work that says nothing itself, and cancels it when it does not move`() async throws {
        let done = try await moving("it", with: patience, every: .milliseconds(20), tell: { _ in }, by: { () -> (String, Int) in throw Lost() }) { _ in 7 }
        #expect(done == 7)
        await #expect(throws: Lost.self) {
            try await moving("it", with: patience, every: .milliseconds(20), tell: { _ in }, by: { ("at it", 1) }) { _ -> Int in throw Lost() }
        }
        let stalled = await #expect(throws: Stalled.self) {
            try await moving("it", with: patience, every: .milliseconds(20), tell: { _ in }, by: { ("reads nothing", 1) }) { _ in try await Task.sleep(for: .seconds(600)) }
        }
        #expect(stalled?.reason.text == "reads nothing")
    }
}
