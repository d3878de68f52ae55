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

    /// Goes back from every `=` and `:` to the word before it, so that a long line is gone over once.
    private static func secretAfterWord(in line: [Unicode.Scalar]) -> Int? {
        for separator in line.indices where line[separator] == "=" || line[separator] == ":" {
            let before = line[..<separator]
            let end = before.lastIndex { !"\"' ".unicodeScalars.contains($0) }.map { $0 + 1 } ?? 0
            let start = before[..<end].lastIndex { !isOfWord($0) }.map { $0 + 1 } ?? 0
            guard isSecret(line[start..<end]) else { continue }
            let value = line[(separator + 1)...].firstIndex { $0 != " " }
            if let value { return value }
        }
        return nil
    }

    private static func isOfWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic || "0123456789_-".unicodeScalars.contains(scalar)
    }

    private static func isSecret(_ word: ArraySlice<Unicode.Scalar>) -> Bool {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: word)
        let lower = String(text).lowercased().replacing("passfile", with: "")
        return ["pass", "pwd", "secret"].contains { lower.contains($0) }
    }

    private static func passwordOfURI(in line: [Unicode.Scalar]) -> Int? {
        for token in line.split(separator: " ") {
            guard let slashes = token.firstRange(of: Array("://".unicodeScalars)), let at = token.lastIndex(of: "@"),
                slashes.upperBound < at, let colon = token[slashes.upperBound..<at].firstIndex(of: ":")
            else { continue }
            return colon + 1
        }
        return nil
    }
}
