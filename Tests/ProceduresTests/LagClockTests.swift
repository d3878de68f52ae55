import PostgresClient
import Testing

@testable import Procedures

@Suite("How far a reader is behind in time")
struct LagClockTests {
    private let begin = ContinuousClock.now
    private func clock(_ looks: [(Int, UInt64)]) -> LagClock {
        var clock = LagClock()
        for (seconds, position) in looks { clock.look("n1", at: LSN(position: position), begin + .seconds(seconds)) }
        return clock
    }
    private func lag(_ clock: LagClock, at position: UInt64, after seconds: Int, lastCommit: Duration? = nil) -> Lag? {
        clock.lag(at: LSN(position: position), behind: "n1", lastCommit: lastCommit, begin + .seconds(seconds))
    }

    @Test func `is nothing where it has everything, however old the last commit is`() {
        #expect(lag(clock([(0, 100)]), at: 100, after: 0, lastCommit: .seconds(7200)) == Lag.none)
        #expect(lag(clock([(0, 100)]), at: 120, after: 0) == Lag.none)
        #expect(lag(clock([]), at: 100, after: 0) == nil, "nobody has looked")
    }

    @Test func `is how long ago the provider stood where it stands`() {
        let three = clock([(0, 100), (1, 150), (2, 150), (3, 200)])
        #expect(lag(three, at: 150, after: 3) == .measured(.seconds(1)), "it was still there at the second second")
        #expect(lag(three, at: 160, after: 3) == .measured(.seconds(1)))
        #expect(lag(three, at: 120, after: 3) == .measured(.seconds(3)))
        #expect(lag(three, at: 120, after: 3, lastCommit: .seconds(2)) == .measured(.seconds(2)), "what it lacks is younger than what it has")
    }

    @Test func `is bounded by the last commit, or by the looks, where they do not reach back so far`() {
        #expect(lag(clock([(0, 100)]), at: 50, after: 0) == nil, "one look says nothing")
        #expect(lag(clock([(0, 100), (5, 100)]), at: 50, after: 5) == .atLeast(.seconds(5)))
        #expect(lag(clock([(0, 100)]), at: 50, after: 0, lastCommit: .seconds(90)) == .atMost(.seconds(90)))
    }

    @Test func `a provider that is behind itself is another one`() {
        #expect(lag(clock([(0, 1000), (5, 100)]), at: 50, after: 5) == nil)
    }

    @Test func `days of looks take little room, and what is old stays known`() {
        var clock = LagClock()
        for second in 0...20_000 { clock.look("n1", at: LSN(position: UInt64(second)), begin + .seconds(second)) }
        #expect(lag(clock, at: 19_999, after: 20_000) == .measured(.seconds(1)))
        guard case .measured(let time)? = lag(clock, at: 100, after: 20_000) else { return #expect(Bool(false), "it is not known") }
        #expect(time >= .seconds(19_900) && time <= .seconds(20_000))
    }
}
