/// A word of `pg_hba.conf`. Quoted, it has no meaning but itself.
struct HBAToken: Sendable, Hashable {
    var text: String
    /// Whether a quote stood before its first character.
    var isQuoted: Bool

    /// The fields of a line, each a list of words, as the server's `next_token` and `next_field_expand` cut them.
    static func fields(of line: [UInt8]) -> [[HBAToken]] {
        var fields: [[HBAToken]] = [], rest = line[...], continues = false
        while true {
            rest = rest.drop { isBlank($0) || $0 == UInt8(ascii: ",") }
            guard let (token, endsWithComma) = next(&rest) else { return fields }
            if continues { fields[fields.count - 1].append(token) } else { fields.append([token]) }
            continues = endsWithComma
        }
    }

    private static func next(_ rest: inout ArraySlice<UInt8>) -> (HBAToken, endsWithComma: Bool)? {
        var text: [UInt8] = [], isInQuotes = false, wasQuote = false, sawQuote = false, isQuoted = false, endsWithComma = false
        while let byte = rest.first, isInQuotes || !isBlank(byte) {
            if byte == UInt8(ascii: "#"), !isInQuotes {
                rest = []
                break
            }
            rest = rest.dropFirst()
            if byte == UInt8(ascii: ","), !isInQuotes {
                endsWithComma = true
                break
            }
            let isQuote = byte == UInt8(ascii: "\"")
            if !isQuote || wasQuote { text.append(byte) }
            wasQuote = isInQuotes && isQuote && !wasQuote
            if isQuote {
                isInQuotes.toggle()
                sawQuote = true
                if text.isEmpty { isQuoted = true }
            }
        }
        guard sawQuote || !text.isEmpty else { return nil }
        return (HBAToken(text: String(decoding: text, as: UTF8.self), isQuoted: isQuoted), endsWithComma)
    }

    /// `text` as a word that stands for itself.
    static func quoted(_ text: String, keywords: [String]) -> String {
        // Bytes, not characters: a sign with a combining mark behind it is another character and the same byte.
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last else { return "\"\"" }
        let isPlain = !keywords.contains(text) && !"+@/".utf8.contains(first) && last != UInt8(ascii: "\\")
            && !bytes.contains { isBlank($0) || ",#\"".utf8.contains($0) }
        guard !isPlain else { return text }
        let doubled = bytes.flatMap { $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0] }
        return "\"" + String(decoding: doubled, as: UTF8.self) + "\""
    }

    /// `@file` or `/regex`, with the quotes inside where it needs them: in front they would take its meaning away.
    static func indirect(_ text: String) -> String {
        text.prefix(1) + quoted(String(text.dropFirst()), keywords: [])
    }
}

/// `pg_isblank` of the server.
private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
