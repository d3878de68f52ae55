/// A word of `pg_hba.conf`. Quoted, it is no keyword.
struct HBAToken: Sendable, Hashable {
    var text: String
    /// Whether a quote stood before its first character.
    var isQuoted: Bool

    func isKeyword(_ keyword: String) -> Bool { !isQuoted && text == keyword }

    /// The file that `@file` stands for.
    var referencedFile: String? {
        !isQuoted && text.utf8.first == UInt8(ascii: "@") && text.utf8.count > 1 ? String(text.dropFirstByte) : nil
    }

    /// `text` as a word that stands for itself.
    static func quoted(_ text: String, keywords: [String]) -> String {
        // Bytes, not characters: a sign with a combining mark behind it is another character and the same byte.
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last else { return "\"\"" }
        let isPlain =
            !keywords.contains(text) && !"+@/".utf8.contains(first) && last != UInt8(ascii: "\\")
            && !bytes.contains { isHBABlank($0) || ",#\"".utf8.contains($0) }
        guard !isPlain else { return text }
        let doubled = bytes.flatMap { $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0] }
        return "\"" + String(decoding: doubled, as: UTF8.self) + "\""
    }
}

extension StringProtocol {
    /// Without its first byte, which is ASCII.
    var dropFirstByte: SubSequence { self[utf8.index(after: startIndex)...] }
}

/// `pg_isblank` of the server.
func isHBABlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

/// Whether two names are the same to the server, which compares bytes and knows nothing of Unicode's equivalences.
func isSameName(_ left: String, _ right: String) -> Bool { left.utf8.elementsEqual(right.utf8) }
