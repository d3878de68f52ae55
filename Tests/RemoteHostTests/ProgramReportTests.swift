import Testing

@testable import RemoteHost

@Suite struct ProgramReportTests {
    static let nonce = String(repeating: "n", count: 32)

    /// A report that took `output` and `errorOutput` in pieces of `size` bytes.
    private func report(output: String, errorOutput: String, size: Int, onLine: ((String) -> Void)? = nil) -> ProgramReport {
        var report = ProgramReport(nonce: Self.nonce)
        for (text, stream) in [(output, ProgramReport.Stream.output), (errorOutput, .errorOutput)] {
            var bytes = Array(text.utf8)[...]
            while !bytes.isEmpty {
                Array(bytes.prefix(size)).withUnsafeBytes { report.take($0, from: stream, onLine: onLine) }
                bytes = bytes.dropFirst(size)
            }
        }
        return report
    }

    static let outputs = ["", "one\n", "one", "one\ntwo\n", "one\n\n", "\n", "\n\n\n", "\none\n\ntwo", "nnnn\nnn", "\u{0}\u{1}\n"]

    @Test(arguments: outputs, [1, 2, 7, 33, 1000])
    func whatStandsBetweenTheMarksIsTheProgramsHoweverItArrives(text: String, size: Int) {
        let report = report(
            output: "Welcome!\n\(Self.nonce)\n\(text)\n\(Self.nonce)\n", errorOutput: "\(Self.nonce) 4711\n\(text)\n\(Self.nonce) 3\nlate", size: size)
        #expect(report.ended)
        #expect(report.watcher == 4711)
        #expect(report.status == .code(3))
        #expect(report.output == Array(text.utf8))
        #expect(report.errorOutput == Array(text.utf8))
    }

    @Test(arguments: outputs, [1, 2, 7, 33, 1000])
    func linesComeWholeAndNoneIsMadeUp(text: String, size: Int) {
        var lines: [String] = []
        _ = report(output: "\(Self.nonce)\n\(text)\n\(Self.nonce)\n", errorOutput: "", size: size) { lines.append($0) }
        var expected = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if expected.last == "" { expected.removeLast() }
        #expect(lines == expected)
    }

    @Test func aStreamThatStopsEarlyHasNotEnded() {
        #expect(!report(output: "\(Self.nonce)\nhalf", errorOutput: "\(Self.nonce) 1\n\n\(Self.nonce) 0\n", size: 8).ended)
        #expect(!report(output: "\(Self.nonce)\n\n\(Self.nonce)\n", errorOutput: "\(Self.nonce) 1\n\n\(Self.nonce) 0", size: 8).ended)
        #expect(!report(output: "\(Self.nonce)\n", errorOutput: "\(Self.nonce) 1\n", size: 8).ended)
    }

    @Test func aLoginShellThatDoesNotBeginIsQuoted() {
        let report = report(output: "This account is currently not available.\n", errorOutput: "", size: 100)
        #expect(!report.began)
        #expect(report.noise == "This account is currently not available.")
    }

    @Test(arguments: [
        (Int32(0), RemoteHost.ExitStatus.code(0)), (1, .code(1)), (128, .code(128)), (137, .signal("KILL")), (143, .signal("TERM")), (129, .signal("HUP")),
        (255, .code(255)), (200, .code(200)),
    ]) func aShellsStatusIsAnExitCodeOrASignal(shell: Int32, status: RemoteHost.ExitStatus) {
        #expect(RemoteHost.ExitStatus(shellStatus: shell) == status)
    }

    @Test func theWrappedLineIsThisOne() {
        #expect(
            ProgramReport(nonce: "N").wrapped("cd / && exec env true") == #"""
                exec sh -c 'printf '\''%s\n'\'' "$1" && printf '\''%s %s\n'\'' "$1" "$$" >&2 || exit 1; LC_ALL=C; export LC_ALL; exec 3>&2 2>/dev/null; (exec sh -c "$2" 2>&3 3>&-); s=$?; printf '\''\n%s\n'\'' "$1"; printf '\''\n%s %s\n'\'' "$1" "$s" >&3' sh N 'cd / && exec env true'
                """#)
    }

    @Test func noTwoNoncesAreAlike() {
        let nonces = Set((0..<100).map { _ in ProgramReport.freshNonce() })
        #expect(nonces.count == 100)
        #expect(nonces.allSatisfy { $0.utf8.count == 32 })
    }
}
