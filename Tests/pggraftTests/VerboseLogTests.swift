import Foundation
import Logging
import Report
import Testing

@testable import pggraft

@Suite struct `A line of --verbose` {
    private static let moment = Date(timeIntervalSince1970: 43_384.1235)

    private func line(_ text: String, _ details: Logger.Metadata = [:]) throws -> String {
        VerboseLog.line(at: Self.moment, in: try #require(TimeZone(secondsFromGMT: 0)), text, details)
    }

    @Test func `says when, where, how long, what and how it ended`() throws {
        let details: Logger.Metadata = [Sending.node: "n1", Sending.took: "12 ms", Sending.ending: "exit code 0", Sending.user: "postgres"]
        #expect(try line("sudo -n -u postgres -- pg_ctl status", details) == "12:03:04.123 n1  12 ms  sudo -n -u postgres -- pg_ctl status  → exit code 0")
    }

    @Test func `is one line, whatever it is about`() throws {
        #expect(try line("a\nb", [Sending.ending: "c\nd"]) == "12:03:04.123  a b  → c d")
        #expect(try line("alone") == "12:03:04.123  alone")
    }

    @Test func `has the clock of the operator`() throws {
        let zone = try #require(TimeZone(secondsFromGMT: 19_800))
        #expect(VerboseLog.line(at: Self.moment, in: zone, "x", [:]) == "17:33:04.123  x")
    }
}
