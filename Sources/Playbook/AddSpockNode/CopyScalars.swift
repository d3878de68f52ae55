extension Scalar<String> {
    /// A stanza is a directory of the repository and a word of command lines.
    static let stanza = Scalar("a stanza name of letters, digits, . _ and -, beginning with a letter or digit") { text in
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "._-".utf8.contains(byte)
            }
        }
        guard allowed, let first = text.first, !"._-".contains(first) else { return nil }
        return text
    }
}

extension Scalar<Playbook.AddSpockNode.Copy.Backup> {
    /// A label is pgBackRest's: `20260131-104500F`, and for a differential or incremental set `…F_20260201-104500D` or `…I`.
    static let backup = Scalar("full, newest or the label of a backup set such as 20260131-104500F") { text in
        switch text {
        case "full": return .value(.full)
        case "newest": return .value(.newest)
        default:
            let parts = text.split(separator: "_", omittingEmptySubsequences: false)
            let isLabel =
                switch parts.count {
                case 1: isStamp(parts[0], kinds: "F")
                case 2: isStamp(parts[0], kinds: "F") && isStamp(parts[1], kinds: "DI")
                default: false
                }
            if isLabel { return .value(.set(text)) }
            return .malformed(hint: Spelling.nearest(to: text, among: ["full", "newest"]).map { "did you mean \"\($0)\"?" })
        }
    }

    private static func isStamp(_ text: Substring, kinds: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, kinds.utf8.contains(bytes[15]), bytes[8] == UInt8(ascii: "-") else { return false }
        return bytes.indices.dropLast().allSatisfy { $0 == 8 || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[$0]) }
    }
}
