import Testing

@testable import test_report

@Suite struct `The summary of a run of tests` {
    private func suite(_ id: String, _ name: String) -> String { #"{"kind":"test","payload":{"kind":"suite","id":"\#(id)","name":"\#(name)"},"version":0}"# }
    private func function(_ id: String, _ name: String) -> String {
        #"{"kind":"test","payload":{"kind":"function","id":"\#(id)","name":"f()","displayName":"\#(name)"},"version":0}"#
    }
    private func event(_ kind: String, _ id: String, at time: Double, _ rest: String = "") -> String {
        #"{"kind":"event","payload":{"kind":"\#(kind)","testID":"\#(id)","instant":{"absolute":\#(time),"since1970":0},"messages":[]\#(rest)},"version":0}"#
    }
    private let end = #"{"kind":"event","payload":{"kind":"runEnded","instant":{"absolute":9,"since1970":0},"messages":[]},"version":0}"#

    private func text(_ streams: [String]...) throws -> String { try Summary(streams: streams.map { try EventStream($0.map { $0 + "\n" }.joined()) }).text }

    @Test func `adds up what each suite took, with those inside of it, and names the slowest first`() throws {
        let hosts = [
            suite("T.Hosts", "Hosts"), suite("T.Hosts/Inner", "Inner"), function("T.Hosts/f()/F.swift:1:1", "one"), function("T.Hosts/Inner/g()/F.swift:2:1", "two"),
            event("testStarted", "T.Hosts/f()/F.swift:1:1", at: 1), event("testStarted", "T.Hosts/Inner/g()/F.swift:2:1", at: 2),
            event("testEnded", "T.Hosts/f()/F.swift:1:1", at: 3.5), event("testEnded", "T.Hosts/Inner/g()/F.swift:2:1", at: 3), end,
        ]
        let free = [function("B/f()/F.swift:1:1", "free"), event("testStarted", "B/f()/F.swift:1:1", at: 10), event("testEnded", "B/f()/F.swift:1:1", at: 70), end]
        #expect(
            try text(hosts, free) == """
                The slowest of 2 suites, of 1.1 minutes in tests:
                    60.0 s     1 test   B
                     3.5 s     2 tests  T/Hosts
                """)
    }

    @Test func `has no more than ten suites`() throws {
        let many = (1...12).flatMap { number in
            [
                suite("T.S\(number)", "S\(number)"), function("T.S\(number)/f()/F.swift:1:1", "f"), event("testStarted", "T.S\(number)/f()/F.swift:1:1", at: 0),
                event("testEnded", "T.S\(number)/f()/F.swift:1:1", at: Double(number)),
            ]
        }
        let lines = try text(many + [end]).split(separator: "\n")
        #expect(lines.count == 11)
        #expect(lines.last == "     3.0 s     1 test   T/S3")
    }

    @Test func `counts and names what was skipped, by the reason, and what failed`() throws {
        func skipped(_ id: String, _ message: String) -> String {
            event("testSkipped", id, at: 1).replacing(#""messages":[]"#, with: #""messages":[{"symbol":"skip","text":"\#(message)"}]"#)
        }
        let ids = (1...4).map { "T.S/f\($0)()/F.swift:\($0):1" }
        let report = try text(
            [suite("T.S", "S")] + zip(ids, ["one", "two", "three", "four"]).map(function) + [
                skipped("T.S", "Suite S skipped: \\\"there is no Spock\\\""), skipped(ids[0], "Test \\\"one\\\" skipped: \\\"there is no Spock\\\""),
                skipped(ids[1], "Test \\\"two\\\" skipped: \\\"there is no Spock\\\""), skipped(ids[2], "Test \\\"three\\\" skipped."),
                event("testStarted", ids[3], at: 1), event("issueRecorded", ids[3], at: 2, #","issue":{"isKnown":false}"#), event("testEnded", ids[3], at: 3), end,
            ])
        #expect(
            report.hasSuffix(
                """


                Skipped: 3 tests
                  2 because there is no Spock
                      T/S: one
                      T/S: two
                  1 because no reason is given
                      T/S: three

                FAILED: 1 test
                  T/S: four
                """), "\(report)")
    }

    @Test func `a known issue and a warning are no failures`() throws {
        let id = "T.S/f()/F.swift:1:1"
        let report = try text([
            suite("T.S", "S"), function(id, "f"), event("testStarted", id, at: 1), event("issueRecorded", id, at: 1, #","issue":{"isKnown":true}"#),
            event("issueRecorded", id, at: 1, #","issue":{"isKnown":false,"isFailure":false}"#), event("testEnded", id, at: 2), end,
        ])
        #expect(!report.contains("FAILED"))
    }

    @Test func `a run that died is told, and its last line may be cut off`() throws {
        let ids = ["T.S/f()/F.swift:1:1", "T.S/g()/F.swift:2:1"]
        let lines = [
            suite("T.S", "S"), function(ids[0], "f"), function(ids[1], "g"), event("testStarted", ids[0], at: 1), event("testEnded", ids[0], at: 2),
            event("testStarted", ids[1], at: 2),
        ]
        let stream = try EventStream(lines.joined(separator: "\n") + "\n{\"kind\":\"eve")
        #expect(Summary(streams: [stream]).text.hasSuffix("\n\nNOT TO THE END: a run of tests died; 1 test did not end"))
    }

    @Test func `a line that is no record is an error`() {
        #expect(throws: DecodingError.self) { try EventStream("not JSON\n") }
    }
}
