extension SourceText {
    /// A line of the file with a caret under a column, as compilers show it, and without what may be a secret.
    func excerpt(line: Int, column: Int) -> String? {
        guard lines.indices.contains(line - 1) else { return nil }
        let whole = Redaction.redact(lines[line - 1])
        let caret = min(max(column - 1, 0), whole.count)
        // A line that is not written for people is cut around the caret.
        let start = caret > 120 ? caret - 60 : 0
        let shown = whole[start..<min(whole.count, start + 160)]
        var text = String.UnicodeScalarView(), indent = String.UnicodeScalarView()
        for (index, scalar) in shown.enumerated() {
            text.append(scalar.properties.generalCategory == .control && scalar != "\t" ? "\u{FFFD}" : scalar)
            if start + index < caret { indent.append(scalar == "\t" ? "\t" : " ") }
        }
        return String(text) + "\n" + String(indent) + "^"
    }
}

/// Takes what may be a password out of a text that is about to be shown.
enum Redaction {
    static let mark = "‹redacted›"

    static func redact(_ text: String) -> String {
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: redact(Array(text.unicodeScalars)))
        return String(scalars)
    }

    /// Cuts at `…password…=` and `…password…:` to the end of the line, and takes the password out of `scheme://user:password@`.
    static func redact(_ line: [Unicode.Scalar]) -> [Unicode.Scalar] {
        let cut = [secretAfterWord(in: line), passwordOfURI(in: line)].compactMap { $0 }.min()
        guard let cut else { return line }
        return line[..<cut] + Array(mark.unicodeScalars)
    }

    private static func secretAfterWord(in line: [Unicode.Scalar]) -> Int? {
        let lower = line.map { $0.isASCII ? $0.properties.lowercaseMapping.unicodeScalars.first ?? $0 : $0 }
        for word in ["pass", "pwd", "secret"].map({ Array($0.unicodeScalars) }) {
            for start in lower.indices where lower[start...].starts(with: word) {
                var index = start + word.count
                while index < lower.count, isWordOrQuote(lower[index]) { index += 1 }
                guard index < lower.count, lower[index] == "=" || lower[index] == ":" else { continue }
                index += 1
                while index < lower.count, lower[index] == " " { index += 1 }
                if index < lower.count { return index }
            }
        }
        return nil
    }

    private static func isWordOrQuote(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || "_-\"' ".unicodeScalars.contains(scalar)
    }

    private static func passwordOfURI(in line: [Unicode.Scalar]) -> Int? {
        let slashes = Array("://".unicodeScalars)
        for start in line.indices where line[start...].starts(with: slashes) {
            let rest = line[(start + slashes.count)...].prefix { $0 != " " }
            guard let at = rest.lastIndex(of: "@"), let colon = rest[..<at].firstIndex(of: ":") else { continue }
            return colon + 1
        }
        return nil
    }
}
