import Report
import Testing

private struct Plain: Error, CustomStringConvertible { var description: String { "a plain error" } }

private struct Refused: Explained {
    var fact = "n1: it is closed"
    var hint: String? = "open it\nor wait"
}

@Suite("An explanation")
struct ExplainedTests {
    @Test func `shows the fact, and each line of the hint behind a HINT of its own`() {
        #expect("\(Refused())" == "n1: it is closed\n  HINT: open it\n  HINT: or wait")
        #expect("\(Refused(hint: nil))" == "n1: it is closed")
    }

    static let causes: [(error: any Error, said: String)] = [
        (Refused(), "n2 waits: n1: it is closed\n  HINT: first this\n  HINT: open it\n  HINT: or wait"),
        (Plain(), "n2 waits: a plain error\n  HINT: first this"),
        (CancellationError(), "n2 waits: interrupted\n  HINT: first this"),
    ]

    @Test(arguments: causes.indices)
    func `of a cause keeps what the cause says to do, behind its own`(index: Int) {
        let (error, said) = Self.causes[index]
        #expect(Problem("n2 waits", because: error, hint: "first this").description == said)
    }

    @Test func `of any error is never cut out of its text`() {
        struct Odd: Error, CustomStringConvertible { var description: String { "the file says HINT: nothing" } }
        #expect(Problem(explaining: Odd()) == Problem("the file says HINT: nothing"))
    }
}

@Suite("Words and units")
struct WordTests {
    @Test func `names are listed as a reader says them`() {
        #expect([[], ["n1"], ["n1", "n2"], ["n1", "n2", "n3"]].map(list) == ["", "n1", "n1 and n2", "n1, n2 and n3"])
        #expect(alternatives(["full", "newest", "none"]) == "full, newest or none")
    }

    @Test func `white space goes from both ends and stays inside`() {
        #expect([" a b\t\n", "", " \n", "x"].map(\.trimmed) == ["a b", "", "", "x"])
        #expect([" a b\t\n", "", " \n", "x"].map { String(decoding: Array($0.utf8).trimmed, as: UTF8.self) } == ["a b", "", "", "x"])
    }

    @Test func `a text of several lines goes on one`() {
        #expect("  SELECT\n\t1;\r\n  SELECT 2\n".onOneLine == "SELECT 1; SELECT 2")
    }

    @Test func `bytes are said in powers of 1024`() {
        #expect([0, 512, 1024, 1640, 168_715_878, 1 << 40].map { (bytes: UInt64) in bytes.inBytes } == ["0 B", "512 B", "1 KB", "1.6 KB", "160.9 MB", "1 TB"])
    }
}
