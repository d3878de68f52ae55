/// Cuts `pg_hba.conf` into lines and words, byte for byte as the server does.
enum HBAScanner {
    /// A line with those that continue it.
    struct Line {
        /// Where it stands in the file, with its line end.
        var range: Range<Int>
        /// Counted from 1; a continued line counts as its first.
        var number: Int
        /// How many lines the server takes it for.
        var count = 1
    }

    /// Calls `body` with each line, and with its text: continuations joined, line ends taken off.
    static func forEachLine(
        of bytes: UnsafeBufferPointer<UInt8>, continued: Bool, _ body: (Line, UnsafeBufferPointer<UInt8>) -> Void
    ) {
        var start = 0, number = 1
        while start < bytes.count {
            let (end, hasZero) = lineEnd(bytes, from: start)
            let text = stripped(UnsafeBufferPointer(rebasing: bytes[start..<end]))
            var line = Line(range: start..<end, number: number)
            if hasZero || (continued && text.last == UInt8(ascii: "\\")) {
                let joined = join(bytes, &line, continued: continued)
                joined.withUnsafeBufferPointer { body(line, $0) }
            } else {
                body(line, text)
            }
            (start, number) = (line.range.upperBound, number + line.count)
        }
    }

    /// Behind the line end, and whether there is a zero byte before it.
    private static func lineEnd(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> (end: Int, hasZero: Bool) {
        var position = start, hasZero = false
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            if byte == 0x0A { break }
            if byte == 0 { hasZero = true }
        }
        return (position, hasZero)
    }

    /// Without the line end.
    private static func stripped(_ text: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        var count = text.count
        while count > 0, text[count - 1] == 0x0A || text[count - 1] == 0x0D { count -= 1 }
        return UnsafeBufferPointer(rebasing: text[..<count])
    }

    /// The text of `line` with that of those that continue it.
    private static func join(_ bytes: UnsafeBufferPointer<UInt8>, _ line: inout Line, continued: Bool) -> [UInt8] {
        var text: [UInt8] = [], position = line.range.lowerBound, continuations = 0, continuedAt = 0
        while position < bytes.count {
            // Behind a zero byte C sees no line end, and reads on.
            var hasZero = false
            repeat {
                let start = position
                (position, hasZero) = lineEnd(bytes, from: start)
                text += bytes[start..<position].prefix { $0 != 0 }
            } while hasZero && position < bytes.count
            text.removeLast(text.count - text.withUnsafeBufferPointer { stripped($0).count })
            // Only a backslash behind the last one counts: two of them, each at the end of a line, are not four.
            guard continued, text.count > continuedAt, text.last == UInt8(ascii: "\\") else { break }
            text.removeLast()
            (continuedAt, continuations) = (text.count, continuations + 1)
        }
        line.range = line.range.lowerBound..<position
        line.count = continuations + 1
        return text
    }

    /// The words of a line by fields.
    struct Fields {
        var fields: [[HBAToken]] = []
        /// Why the rest of the line was not read.
        var problem: String?
        /// Where the comment begins, if there is one.
        var comment: Int?
    }

    /// - Parameter expand: appends what stands in the file of this name; returns the problem with it. Otherwise the word stays.
    static func fields(
        of text: UnsafeBufferPointer<UInt8>, limit: Int?,
        expand: (String, inout [HBAToken]) -> String? = { file, tokens in
            tokens.append(HBAToken(text: "@" + file, isQuoted: false))
            return nil
        }
    ) -> Fields {
        var result = Fields(), position = 0
        while position < text.count, result.problem == nil {
            var tokens: [HBAToken] = [], endsWithComma = false
            repeat {
                guard let token = next(text, &position, limit: limit, &endsWithComma, &result) else { break }
                if let file = token.referencedFile {
                    result.problem = expand(file, &tokens)
                } else {
                    tokens.append(token)
                }
            } while endsWithComma && result.problem == nil
            if !tokens.isEmpty { result.fields.append(tokens) }
        }
        return result
    }

    private static func next(
        _ text: UnsafeBufferPointer<UInt8>, _ position: inout Int, limit: Int?, _ endsWithComma: inout Bool, _ result: inout Fields
    ) -> HBAToken? {
        endsWithComma = false
        while position < text.count, isHBABlank(text[position]) || text[position] == UInt8(ascii: ",") { position += 1 }
        let start = position
        var unquoted: [UInt8] = [], isInQuotes = false, wasQuote = false, sawQuote = false, isQuoted = false
        while position < text.count, isInQuotes || !isHBABlank(text[position]) {
            let byte = text[position]
            if byte == UInt8(ascii: "#"), !isInQuotes {
                result.comment = position
                defer { position = text.count }
                return token(text, start..<position, sawQuote ? unquoted : nil, isQuoted)
            }
            if let limit, (sawQuote ? unquoted.count : position - start) >= limit - 1 {
                result.problem = "authentication file token too long"
                position = text.count
                return nil
            }
            if byte == UInt8(ascii: ","), !isInQuotes {
                endsWithComma = true
                break
            }
            let isQuote = byte == UInt8(ascii: "\"")
            if isQuote, !sawQuote {
                unquoted = Array(text[start..<position])
                sawQuote = true
            }
            if sawQuote, !isQuote || wasQuote { unquoted.append(byte) }
            wasQuote = isInQuotes && isQuote && !wasQuote
            if isQuote {
                isInQuotes.toggle()
                if unquoted.isEmpty { isQuoted = true }
            }
            position += 1
        }
        return token(text, start..<position, sawQuote ? unquoted : nil, isQuoted)
    }

    private static func token(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ unquoted: [UInt8]?, _ isQuoted: Bool) -> HBAToken? {
        if let unquoted { return HBAToken(text: String(decoding: unquoted, as: UTF8.self), isQuoted: isQuoted) }
        guard !range.isEmpty else { return nil }
        return HBAToken(text: String(decoding: UnsafeBufferPointer(rebasing: text[range]), as: UTF8.self), isQuoted: isQuoted)
    }
}
