/// Takes what may be a password out of a text that people are about to see. It rather takes too much.
///
/// ```swift
/// Redaction.redacted("primary_conninfo = 'host=n1 password=s3cret user=repl'")
/// // primary_conninfo = 'host=n1 password=‹redacted› user=repl'
/// ```
///
/// A secret is what stands behind `…password=`, `…secret:`, `…key=` and the like, behind `PASSWORD` in SQL, and between
/// user and host in a URI. Where it ends is not always plain: in doubt, with the line. Lines are looked at one by one.
public enum Redaction {
    /// What stands in the place of a secret.
    public static let mark = "‹redacted›"

    public static func redacted(_ text: String) -> String { redacted(text, byAnyMention: false) }

    /// - Parameter byAnyMention: whether a name that only mentions a word such as `pass` or `secret` (`passwort`, `secret_id`) is that of a
    ///   secret as well: for texts that have few other names.
    public static func redacted(_ text: String, byAnyMention: Bool) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            var line = Line(bytes: Array(line.utf8), byAnyMention: byAnyMention), position = 0
            while let secret = line.secret(from: position) {
                line.bytes.replaceSubrange(secret, with: mark.utf8)
                position = secret.lowerBound + mark.utf8.count
            }
            return String(decoding: line.bytes, as: UTF8.self)
        }.joined(separator: "\n")
    }

    /// Words of a command line, before they are quoted: what `PGPASSWORD=…` or `--repo1-cipher-pass=…` says is a secret to the word's end.
    public static func redactedWord(_ word: String) -> String {
        guard let equals = word.firstIndex(of: "="), word[..<equals].utf8.allSatisfy(isOfName), isSecret(word[..<equals]) else { return redacted(word) }
        return word[...equals] + mark
    }

    /// The value of `name`, alone: a secret where the name says so, however many lines it has. An empty one hides nothing.
    public static func redacted(_ value: String, of name: some StringProtocol) -> String {
        isSecret(name) && !value.isEmpty ? mark : redacted(value)
    }

    /// Whether the value of `name` is a secret: a keyword of a connection string, a setting, an option, a variable of the environment.
    public static func isSecret(_ name: some StringProtocol) -> Bool { holdsSecret(Array(name.utf8)[...]) }

    fileprivate static func holdsSecret(_ name: ArraySlice<UInt8>, besides: [String] = besides, byAnyMention: Bool = false) -> Bool {
        var name = name.map { isLetter($0) ? $0 | 0x20 : $0 }
        if byAnyMention {
            let rest = String(decoding: name, as: UTF8.self).replacing("passfile", with: "")
            if ["pass", "pwd", "secret"].contains(where: rest.contains) { return true }
        }
        while let last = name.last, isDigit(last) { name.removeLast() }
        // A file's name.
        guard name != Array("sslkey".utf8) else { return false }
        return (words + besides).contains { name.suffix($0.utf8.count).elementsEqual($0.utf8) }
    }

    fileprivate static let besides = ["key", "token"]
    private static let words = ["password", "passwd", "passphrase", "pass", "pwd", "secret", "secrets"]
}

private struct Line {
    var bytes: [UInt8]
    let byAnyMention: Bool

    /// The first secret that begins at `position` or behind it.
    func secret(from position: Int) -> Range<Int>? {
        for index in bytes.indices.dropFirst(position) {
            let found: Range<Int>? =
                switch bytes[index] {
                case UInt8(ascii: "="): value(behindEquals: index)
                case UInt8(ascii: ":"): password(ofURI: index) ?? value(behindColon: index)
                case UInt8(ascii: "p"), UInt8(ascii: "P"): literal(behindPassword: index)
                default: nil
                }
            if let found, found.lowerBound >= position { return found }
        }
        return nil
    }

    /// `password=…`, `password = …`, `"password" => …`.
    private func value(behindEquals equals: Int) -> Range<Int>? {
        let (name, _) = name(before: equals)
        guard Redaction.holdsSecret(bytes[name], byAnyMention: byAnyMention) else { return nil }
        let start = skipping(blanks, from: skipping([UInt8(ascii: "="), UInt8(ascii: ">")], from: equals + 1))
        return start..<end(ofValueAt: start, named: name)
    }

    /// `password: …`, `"secret_key": …`. Where no quote says that it is a name, a key or token before a colon is a word like others.
    private func value(behindColon colon: Int) -> Range<Int>? {
        let isCast = byte(colon + 1) == UInt8(ascii: ":") || byte(colon - 1) == UInt8(ascii: ":")
        let (name, isQuoted) = name(before: colon)
        guard !isCast, Redaction.holdsSecret(bytes[name], besides: isQuoted ? Redaction.besides : [], byAnyMention: byAnyMention) else { return nil }
        let start = skipping(blanks, from: colon + 1)
        return start < bytes.count ? start..<bytes.count : nil
    }

    /// `scheme://user:…@host`, with whatever the password holds.
    private func password(ofURI colon: Int) -> Range<Int>? {
        guard byte(colon + 1) == UInt8(ascii: "/"), byte(colon + 2) == UInt8(ascii: "/") else { return nil }
        let rest = bytes[(colon + 3)...].prefix { !blanks.contains($0) }
        guard let at = rest.lastIndex(of: UInt8(ascii: "@")), let user = rest[..<at].firstIndex(of: UInt8(ascii: ":")), user + 1 < at else { return nil }
        return user + 1..<at
    }

    /// `CREATE ROLE n1 ENCRYPTED PASSWORD '…'`: what stands between the quotes.
    private func literal(behindPassword start: Int) -> Range<Int>? {
        let word = "password".utf8, end = start + word.count
        guard end < bytes.count, zip(bytes[start...], word).allSatisfy({ $0 | 0x20 == $1 }), start == 0 || !isOfName(bytes[start - 1]) else { return nil }
        let value = skipping(blanks, from: end)
        guard let first = byte(value) else { return nil }
        if first == UInt8(ascii: "'"), byte(value + 1) != UInt8(ascii: "\\"), let close = closingQuote(from: value + 1) { return value + 1..<close }
        let isOtherLiteral = first == UInt8(ascii: "$") && byte(value + 1).map { !isDigit($0) } == true || isEscapedString(at: value)
        return first == UInt8(ascii: "'") || isOtherLiteral ? value..<bytes.count : nil
    }

    /// `E'…'`, `U&'…'`.
    private func isEscapedString(at start: Int) -> Bool {
        let letters: [UInt8: Int] = [UInt8(ascii: "e"): 1, UInt8(ascii: "u"): 2]
        guard let first = byte(start), let length = letters[first | 0x20] else { return false }
        return byte(start + length) == UInt8(ascii: "'") && (length == 1 || byte(start + 1) == UInt8(ascii: "&"))
    }

    /// The quote that ends an SQL literal; two in a row stand for one in it.
    private func closingQuote(from start: Int) -> Int? {
        var index = start
        while let byte = byte(index) {
            guard byte == UInt8(ascii: "'") else {
                index += 1
                continue
            }
            guard self.byte(index + 1) == UInt8(ascii: "'") else { return index }
            index += 2
        }
        return nil
    }

    /// A value ends at a blank, or at the quote around it and its name. In quotes of its own, within double quotes and with a
    /// backslash in it a blank need not be the end.
    private func end(ofValueAt start: Int, named name: Range<Int>) -> Int {
        let quote = UInt8(ascii: "'"), double = UInt8(ascii: "\""), backslash = UInt8(ascii: "\\")
        let before = bytes[..<name.lowerBound]
        guard before.count(where: { $0 == double }).isMultiple(of: 2), let first = byte(start), ![quote, double, backslash].contains(first) else { return bytes.count }
        guard let end = bytes[start...].firstIndex(where: { blanks.contains($0) || [quote, double, backslash].contains($0) }) else { return bytes.count }
        if blanks.contains(bytes[end]) { return end }
        // The quote was opened before the name, and is closed for good here.
        let isClosing = bytes[end] == quote && !before.count(where: { $0 == quote }).isMultiple(of: 2)
        let goesOn = byte(end + 1) == quote || byte(end + 1) == backslash
        return isClosing && !goesOn ? end : bytes.count
    }

    /// The name that ends before `separator`, with blanks and quotes between, and whether it is in quotes.
    private func name(before separator: Int) -> (Range<Int>, isQuoted: Bool) {
        let between = bytes[..<separator].reversed().prefix { blanks.contains($0) || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "'") }
        let end = separator - between.count
        let start = bytes[..<end].lastIndex { !isOfName($0) }.map { $0 + 1 } ?? 0
        return (start..<end, between.contains { !blanks.contains($0) })
    }

    private func byte(_ index: Int) -> UInt8? { bytes.indices.contains(index) ? bytes[index] : nil }

    private func skipping(_ some: [UInt8], from start: Int) -> Int {
        bytes.indices.contains(start) ? bytes[start...].firstIndex { !some.contains($0) } ?? bytes.count : bytes.count
    }
}

private let blanks: [UInt8] = [0x20, 0x09, 0x0D]

private func isLetter(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }
private func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
private func isOfName(_ byte: UInt8) -> Bool { isLetter(byte) || isDigit(byte) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") || byte >= 0x80 }
