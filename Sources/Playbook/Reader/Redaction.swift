/// Takes what may be a password out of a text that is about to be shown. It rather takes too much.
enum Redaction {
    static let mark = "‹redacted›"

    static func redact(_ text: String) -> String {
        var scalars = String.UnicodeScalarView()
        scalars.append(contentsOf: redact(Array(text.unicodeScalars)))
        return String(scalars)
    }

    /// Cuts the line after a word such as `password=` or `"password":`, and after `scheme://user:`.
    static func redact(_ line: [Unicode.Scalar]) -> [Unicode.Scalar] {
        guard let cut = [secretAfterWord(in: line), passwordOfURI(in: line)].compactMap({ $0 }).min() else { return line }
        return line[..<cut] + Array(mark.unicodeScalars)
    }

    private static func secretAfterWord(in line: [Unicode.Scalar]) -> Int? {
        let lower = line.map { $0.isASCII ? $0.properties.lowercaseMapping.unicodeScalars.first ?? $0 : $0 }
        var found: Int?
        for word in ["pass", "pwd", "secret"].map({ Array($0.unicodeScalars) }) {
            for start in lower.indices where lower[start...].starts(with: word) {
                let rest = lower[(start + word.count)...]
                guard !rest.starts(with: "file".unicodeScalars) else { continue }
                let afterWord = rest.drop { $0.properties.isAlphabetic || "0123456789_-".unicodeScalars.contains($0) }
                let separator = afterWord.drop { "\"' ".unicodeScalars.contains($0) }
                guard let first = separator.first, first == "=" || first == ":" else { continue }
                let value = separator.dropFirst().drop { $0 == " " }
                if !value.isEmpty { found = min(found ?? value.startIndex, value.startIndex) }
            }
        }
        return found
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
