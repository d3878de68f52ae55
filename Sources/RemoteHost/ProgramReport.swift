import Glibc
import Report

/// How a program tells on its own two output streams that it began, as which process, and how it ended.
///
/// SSH cannot tell "exit code 0" from "no exit code received", and a stream's end from a daemon that keeps it open. So
/// every command line is wrapped by a few words of shell that write a nonce nobody else knows before and after the
/// program; what stands between the two is the program's own. The program starts only if the first could be written,
/// so a line whose connection went away starts nothing.
struct ProgramReport {
    enum Stream { case output, errorOutput }

    let nonce: String
    private let mark: [UInt8]
    private var outputStream = MarkedStream()
    private var errorStream = MarkedStream()
    /// The process that watches the program on the host; the program is below it.
    private(set) var watcher: Int32?
    /// What else is below the watcher: the relays of a kept shell, see ``KeptShell``.
    private(set) var relays: [Int32] = []
    /// The nonce that stands in the watcher's command line: that of its shell, where the shell was there before the program.
    var watcherNonce: String
    private(set) var status: ExitStatus?

    init(nonce: String = Self.freshNonce()) {
        self.nonce = nonce
        watcherNonce = nonce
        mark = Array(nonce.utf8)
    }

    static func freshNonce() -> String {
        (0..<4).map { _ in String(UInt32.random(in: .min ... .max), radix: 16).zeroPadded(to: 8) }.joined()
    }

    /// `line`, wrapped so that it reports.
    func wrapped(_ line: String) -> String {
        // Descriptor 3 and the subshell keep the shell's own remarks ("Killed") out of the program's standard error.
        // English is asked for here too, for sudo's own messages.
        "exec "
            + Shell.line([
                "sh", "-c",
                #"""
                printf '%s\n' "$1" && printf '%s %s\n' "$1" "$$" >&2 || exit 1; LC_ALL=C; export LC_ALL; exec 3>&2 2>/dev/null; \#
                (exec sh -c "$2" 2>&3 3>&-); s=$?; printf '\n%s\n' "$1"; printf '\n%s %s\n' "$1" "$s" >&3
                """#, "sh", nonce, line,
            ])
    }

    var began: Bool { outputStream.began && errorStream.began }
    var ended: Bool { outputStream.ended && errorStream.ended && status != nil }

    /// What the program wrote, so far.
    var output: [UInt8] { outputStream.content }
    var errorOutput: [UInt8] { errorStream.content }

    /// What the login shell said before the program began, or instead of it.
    var noise: String {
        CommandResult(status: .code(0), output: outputStream.noise + errorStream.noise).text
    }

    mutating func take(_ bytes: UnsafeRawBufferPointer, from stream: Stream, onLine: ((String) -> Void)?) {
        switch stream {
        case .output:
            _ = outputStream.take(bytes, mark: mark, onLine)
        case .errorOutput:
            let said = errorStream.take(bytes, mark: mark, onLine)
            if let processes = said.atBegin?.split(separator: " ").map({ Int32($0) }) {
                watcher = processes.first ?? nil
                relays = processes.dropFirst().compactMap(\.self)
            }
            if let code = said.atEnd.flatMap({ Int32($0) }) { status = ExitStatus(shellStatus: code) }
        }
    }
}

/// One stream of a program between its two marks.
private struct MarkedStream {
    private var bytes: [UInt8] = []
    private var start: Int?
    private var end: Int?
    private var searched = 0
    private var lineStart = 0
    private var emptyLineHeld = false

    var began: Bool { start != nil }
    var ended: Bool { end != nil }
    var noise: [UInt8] { Array(bytes[..<(start ?? bytes.count)]) }
    var content: [UInt8] {
        guard let start else { return [] }
        return Array(bytes[start..<(end ?? bytes.count)])
    }

    /// Takes more of the stream; returns what stood beside the marks that were found in it.
    mutating func take(
        _ more: UnsafeRawBufferPointer, mark: [UInt8], _ onLine: ((String) -> Void)?
    ) -> (atBegin: String?, atEnd: String?) {
        guard end == nil else { return (nil, nil) }
        bytes.append(contentsOf: more)
        var said: (atBegin: String?, atEnd: String?)
        if start == nil {
            guard let found = line(beginningWith: mark, from: 0) else { return said }
            said.atBegin = found.rest
            start = found.next
            // The mark's own newline may be the one that the end mark follows.
            searched = found.next
            lineStart = found.next
        }
        guard let start else { return said }
        if let found = line(beginningWith: mark, from: max(start, searched)), found.first > start {
            said.atEnd = found.rest
            // The end mark brings its own newline before it: what the program wrote last may be half a line.
            end = found.first - 1
        }
        searched = max(start, bytes.count - mark.count - 24)
        if let onLine { emitLines(onLine) }
        return said
    }

    /// The first whole line that begins with `mark`, from `from` on: where it begins, what follows the mark, where the next begins.
    private func line(beginningWith mark: [UInt8], from: Int) -> (first: Int, rest: String, next: Int)? {
        bytes.withUnsafeBytes { all -> (Int, String, Int)? in
            guard let base = all.baseAddress else { return nil }
            func newline(from place: Int) -> Int? {
                guard place < all.count, let found = memchr(base + place, 0x0A, all.count - place) else { return nil }
                return base.distance(to: UnsafeRawPointer(found))
            }
            var place = from
            while place + mark.count < all.count {
                let beginsLine = place == 0 || all[place - 1] == 0x0A
                if beginsLine, memcmp(base + place, mark, mark.count) == 0, let last = newline(from: place + mark.count) {
                    let rest = String(decoding: all[(place + mark.count)..<last], as: UTF8.self)
                    return (place, String(rest.drop { $0 == " " }), last + 1)
                }
                guard let next = newline(from: place) else { return nil }
                place = next + 1
            }
            return nil
        }
    }

    private mutating func emitLines(_ onLine: (String) -> Void) {
        let limit = end ?? bytes.count
        while lineStart < limit, let newline = bytes[lineStart..<limit].firstIndex(of: 0x0A) {
            if emptyLineHeld { onLine("") }
            let line = bytes[lineStart..<newline]
            // An empty line may be the first half of the end mark: it waits for what follows it.
            emptyLineHeld = line.isEmpty && end == nil
            if !emptyLineHeld { onLine(String(decoding: line, as: UTF8.self)) }
            lineStart = newline + 1
        }
        guard end != nil else { return }
        if emptyLineHeld, lineStart <= limit { onLine("") }
        emptyLineHeld = false
        if lineStart < limit { onLine(String(decoding: bytes[lineStart..<limit], as: UTF8.self)) }
        lineStart = limit
    }
}

extension ExitStatus {
    /// What a shell's `$?` says. Above 128 it stands for a signal; a program that itself exits with such a code
    /// cannot be told apart, which is the convention of every shell.
    init(shellStatus: Int32) {
        if shellStatus > 128, let name = Self.signalNames[shellStatus - 128] { self = .signal(name) } else { self = .code(shellStatus) }
    }

    private static let signalNames: [Int32: String] = [
        1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1", 11: "SEGV",
        12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 16: "STKFLT", 24: "XCPU", 25: "XFSZ", 31: "SYS",
    ]
}
