import Testing

@testable import pggraft_bed

@Suite("Figures of the bench")
struct FiguresTests {
    @Test func `the line of least squares has round trips as its slope and the local part where it begins`() throws {
        let exact = try #require(Line(through: [(0, 0.5), (0.04, 0.9), (0.08, 1.3), (0.2, 2.5)]))
        #expect(abs(exact.slope - 10) < 1e-9)
        #expect(abs(exact.intercept - 0.5) < 1e-9)
        let near = try #require(Line(through: [(0, 1), (1, 3), (2, 2)]))
        #expect(abs(near.slope - 0.5) < 1e-9)
        #expect(abs(near.intercept - 1.5) < 1e-9)
    }

    @Test func `one place has no line`() {
        #expect(Line(through: []) == nil)
        #expect(Line(through: [(1, 2), (1, 3)]) == nil)
    }

    @Test func `the median of an even number lies between the middle two`() {
        #expect(median([9, 1, 3]) == 3)
        #expect(median([4, 1, 9, 2]) == 3)
    }
}
