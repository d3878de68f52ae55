import Foundation
import Glibc
import Synchronization

/// The operator's terminal: lines, colours where there are any, one line that is rewritten for progress.
final class Terminal: Sendable {
    enum Style: String { case plain = "", bold = "1", good = "32", bad = "31", warn = "33", dim = "2" }

    private let isTerminal = isatty(STDOUT_FILENO) == 1
    /// A question for a secret stands on standard error then.
    private let isForJSON: Bool
    private let colours: Bool
    private struct State { var progress = "", lastPlain = ContinuousClock.Instant.now - .seconds(60) }
    private let state = Mutex(State())

    init(isForJSON: Bool = false, environment: [String: String] = ProcessInfo.processInfo.environment) {
        self.isForJSON = isForJSON
        colours = isTerminal && environment["NO_COLOR"] == nil && environment["TERM"] != "dumb"
    }

    func styled(_ text: String, _ style: Style) -> String {
        colours && style != .plain ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Prints `text` as lines of their own.
    func print(_ text: String = "") {
        state.withLock { state in
            write(clearing(&state) + text + "\n")
        }
    }

    /// Prints `text` as lines of their own on standard error.
    func printError(_ text: String) {
        state.withLock { state in
            write(clearing(&state))
            write(text + "\n", to: STDERR_FILENO)
        }
    }

    /// Prints rows of cells in columns that fit; nothing but a head is nothing.
    func print(table rows: [[String]]) {
        for line in table(rows) { print(line) }
    }

    /// Rows of cells in columns that fit, a line each; nothing but a head is nothing.
    func table(_ rows: [[String]]) -> [String] {
        guard rows.count > 1 else { return [] }
        let widths = rows.reduce(into: [Int]()) { widths, row in
            for (column, cell) in row.enumerated() {
                if column < widths.count { widths[column] = max(widths[column], cell.count) } else { widths.append(cell.count) }
            }
        }
        return rows.map { row in
            let cells = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
            var line = cells.joined(separator: "  ")[...]
            while line.last == " " { line.removeLast() }
            return String(line)
        }
    }

    /// How many lines it has; `nil` where the output is none.
    var height: Int? {
        var size = winsize()
        guard isTerminal, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return nil }
        return Int(size.ws_row)
    }

    /// Shows `lines` in place of what is on the terminal, from its upper left corner on. What does not fit is cut off below.
    func screen(_ lines: [String]) {
        let fitting = lines.prefix(max(1, (height ?? .max) - 1))
        state.withLock { state in
            write(clearing(&state) + "\u{1B}[H" + fitting.map { $0 + "\u{1B}[K\n" }.joined() + "\u{1B}[J")
        }
    }

    /// Shows `text` until the next line: rewritten in place on a terminal, at most every five seconds in a log.
    func progress(_ text: String) {
        state.withLock { state in
            if isTerminal {
                write(clearing(&state) + text)
                state.progress = text
            } else if state.lastPlain.duration(to: .now) > .seconds(5) {
                state.lastPlain = .now
                write(text + "\n")
            }
        }
    }

    /// Asks a question that takes "yes"; `nil` when nobody is there to answer.
    func confirm(_ question: String) -> Bool? {
        guard isatty(STDIN_FILENO) == 1, isTerminal else { return nil }
        write("\(question) ")
        return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
    }

    /// Asks for a secret without showing it; `nil` when nobody is there to answer.
    func secret(_ question: String) -> String? {
        guard isatty(STDIN_FILENO) == 1 else { return nil }
        var before = termios()
        guard tcgetattr(STDIN_FILENO, &before) == 0 else { return nil }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
            write("\n", to: isForJSON ? STDERR_FILENO : STDOUT_FILENO)
        }
        write("\(question): ", to: isForJSON ? STDERR_FILENO : STDOUT_FILENO)
        return readLine()
    }

    private func clearing(_ state: inout State) -> String {
        defer { state.progress = "" }
        return state.progress.isEmpty ? "" : "\r\u{1B}[K"
    }

    /// A terminal that is gone or a log that is full ends nothing: the journal has it all.
    private func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
