/// Quoting for a POSIX shell. Everything that goes through a shell goes through here.
public enum Shell {
    /// `word` as one word of a shell line. Words of harmless characters stay as they are.
    public static func quote(_ word: String) -> String {
        let harmless =
            !word.isEmpty
            && word.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: "@%+=:,./_-".utf8.contains(byte)
                }
            }
        return harmless ? word : "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// `words` as a shell line.
    public static func line(_ words: [String]) -> String { words.map(quote).joined(separator: " ") }
}
