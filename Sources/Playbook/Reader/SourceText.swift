import Glibc

/// The text of a playbook, in lines as YAML counts them.
struct SourceText {
    let name: String
    /// As it stands there.
    let text: String
    let lines: [[Unicode.Scalar]]

    /// A playbook is a few kilobytes; more than this is some other file.
    static let limit = ByteCount(bytes: 128 << 10)

    init(_ text: String, name: String) {
        (self.name, self.text) = (name, text)
        lines = SourceText.lines(of: text.unicodeScalars)
    }

    /// Reads the file at `path`.
    init(file path: String) throws(PlaybookErrors) {
        func failure(_ problem: PlaybookProblem, at place: Place? = nil) -> PlaybookErrors {
            PlaybookErrors(file: path, errors: [PlaybookError(file: path, place: place, problem: problem, excerpt: nil)])
        }
        func unreadable() -> PlaybookErrors { failure(.unreadable(String(cString: strerror(errno)))) }

        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw unreadable() }
        defer { close(file) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = Glibc.read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw unreadable() }
            guard count > 0 else { break }
            bytes += buffer[..<count]
            guard bytes.count <= SourceText.limit.bytes else { throw failure(.tooLarge(limit: SourceText.limit)) }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            // What is readable up to there says in which line to look.
            let readable = String(decoding: bytes, as: UTF8.self).unicodeScalars.prefix { $0 != "\u{FFFD}" }
            let lines = SourceText.lines(of: readable)
            let place = Place(file: path, line: lines.count, column: (lines.last?.count ?? 0) + 1, path: "")
            throw failure(.notUTF8, at: place)
        }
        self.init(text, name: path)
    }

    /// `lines` with plain line feeds.
    static func text(of lines: [[Unicode.Scalar]]) -> String {
        var scalars = String.UnicodeScalarView()
        for (index, line) in lines.enumerated() {
            if index > 0 { scalars.append("\n") }
            scalars.append(contentsOf: line)
        }
        return String(scalars)
    }

    private static func lines(of scalars: some Sequence<Unicode.Scalar>) -> [[Unicode.Scalar]] {
        var lines: [[Unicode.Scalar]] = [[]], afterReturn = false
        for (index, scalar) in scalars.enumerated() {
            switch scalar {
            case "\u{FEFF}" where index == 0: break
            case "\n" where afterReturn: break
            case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": lines.append([])
            default: lines[lines.count - 1].append(scalar)
            }
            afterReturn = scalar == "\r"
        }
        return lines
    }
}
