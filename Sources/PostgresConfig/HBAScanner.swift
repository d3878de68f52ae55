/// Cuts `pg_hba.conf` into lines and words, byte for byte as the server does.
enum HBAScanner {
    /// A line with those that continue it.
    struct Line {
        /// Where it stands in the file, with its line end.
        var range: Range<Int>
        /// Counted from 1; a continued line counts as its first.
        var number: Int
    }

    /// Calls `body` with each line, and with its text: continuations joined, line ends taken off.
    static func forEachLine(
        of bytes: UnsafeBufferPointer<UInt8>, continued: Bool, _ body: (Line, UnsafeBufferPointer<UInt8>) -> Void
    ) {
        var start = 0, number = 1
        while start < bytes.count {
            let end = lineEnd(bytes, from: start)
            let text = stripped(UnsafeBufferPointer(rebasing: bytes[start..<end]))
            if continued, text.last == UInt8(ascii: "\\") {
                let (joined, last, count) = join(bytes, from: start)
                joined.withUnsafeBufferPointer { body(Line(range: start..<last, number: number), $0) }
                (start, number) = (last, number + count)
            } else {
                body(Line(range: start..<end, number: number), text)
                (start, number) = (end, number + 1)
            }
        }
    }

    private static func lineEnd(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        bytes[start...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.count
    }

    /// Up to a zero byte, where C strings end, and without the line end.
    private static func stripped(_ text: UnsafeBufferPointer<UInt8>) -> UnsafeBufferPointer<UInt8> {
        var count = text.firstIndex(of: 0) ?? text.count
        while count > 0, text[count - 1] == 0x0A || text[count - 1] == 0x0D { count -= 1 }
        return UnsafeBufferPointer(rebasing: text[..<count])
    }

    /// The line at `start` with those that continue it, where it ends and how many lines of the file it is.
    private static func join(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> (text: [UInt8], end: Int, count: Int) {
        var text: [UInt8] = [], position = start, count = 0, continuedAt = 0
        while position < bytes.count {
            let end = lineEnd(bytes, from: position)
            text += bytes[position..<end]
            text.removeLast(text.count - text.withUnsafeBufferPointer { stripped($0).count })
            (position, count) = (end, count + 1)
            // Only a backslash behind the last one counts: two of them, each at the end of a line, are not four.
            guard text.count > continuedAt, text.last == UInt8(ascii: "\\") else { break }
            text.removeLast()
            continuedAt = text.count
        }
        return (text, position, count)
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
