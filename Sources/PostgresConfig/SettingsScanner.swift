/// The grammar of a settings file, token for token as in the server's `guc-file.l`.
enum SettingsScanner {
    /// What one line says.
    enum Content: Sendable, Hashable {
        case nothing
        /// `range` is where the value stands in the line, quotes included.
        case setting(name: [UInt8], value: [UInt8], range: Range<Int>)
        case include(SettingsFile.Include.Kind, path: [UInt8])
        /// `isCutOff` where the line ends too early, rather than holding something that does not belong there.
        case invalid(isCutOff: Bool)

        var value: [UInt8]? { if case .setting(_, let value, _) = self { value } else { nil } }

        func isSetting(_ name: String) -> Bool {
            if case .setting(let own, _, _) = self { isSameName(own, name.utf8) } else { false }
        }
    }

    private enum Kind { case id, qualifiedID, string, unquotedString, integer, real, equals, error }
    private struct Token { var kind: Kind, range: Range<Int> }

    static func content(of line: [UInt8]) -> Content {
        var rest = tokens(of: line)[...]
        guard let first = rest.popFirst() else { return .nothing }
        guard first.kind == .id || first.kind == .qualifiedID else { return .invalid(isCutOff: false) }
        if rest.first?.kind == .equals { rest.removeFirst() }
        guard let last = rest.popFirst() else { return .invalid(isCutOff: true) }
        guard rest.isEmpty else { return .invalid(isCutOff: false) }
        let value: [UInt8]
        switch last.kind {
        case .string: value = unescaped(line[last.range])
        case .id, .integer, .real, .unquotedString: value = Array(line[last.range])
        case .qualifiedID, .equals, .error: return .invalid(isCutOff: false)
        }
        let name = Array(line[first.range])
        for kind in [SettingsFile.Include.Kind.file, .fileIfExists, .directory] where isSameName(name, kind.rawValue.utf8) {
            return .include(kind, path: value)
        }
        return .setting(name: name, value: value, range: last.range)
    }

    /// The setting that a comment would be without the `#` it begins with, as files come with for what is not set.
    static func commentedSetting(in line: [UInt8]) -> Content? {
        let body = Array(line.dropFirst())
        guard case .setting = content(of: body), tokens(of: body).dropFirst().first?.kind == .equals else { return nil }
        return content(of: body)
    }

    /// Whether `name` can stand in front of a value.
    static func isName(_ name: String) -> Bool {
        let bytes = Array(name.utf8), found = tokens(of: bytes)
        return found.count == 1 && found[0].range.count == bytes.count && (found[0].kind == .id || found[0].kind == .qualifiedID)
    }

    /// Whether `value` may stand in a file without quotes.
    static func isPlainValue(_ value: [UInt8]) -> Bool {
        let found = tokens(of: value)
        guard found.count == 1, found[0].range.count == value.count else { return false }
        return [.id, .integer, .real, .unquotedString].contains(found[0].kind)
    }

    private static func tokens(of line: [UInt8]) -> [Token] {
        var tokens: [Token] = [], position = 0
        while position < line.count {
            switch line[position] {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): position += 1
            case UInt8(ascii: "\n"), UInt8(ascii: "#"): return tokens
            default:
                let token = token(in: line, at: position)
                tokens.append(token)
                position = token.range.upperBound
            }
        }
        return tokens
    }

    /// The longest token at `start`; of equally long ones the first in the order of the grammar.
    private static func token(in line: [UInt8], at start: Int) -> Token {
        func end(from position: Int, while belongs: (UInt8) -> Bool) -> Int {
            line[position...].firstIndex { !belongs($0) } ?? line.count
        }
        func at(_ position: Int, _ belongs: (UInt8) -> Bool) -> Bool { position < line.count && belongs(line[position]) }

        if line[start] == UInt8(ascii: "=") { return Token(kind: .equals, range: start..<start + 1) }
        if line[start] == UInt8(ascii: "'") {
            return Token(
                kind: stringEnd(in: line, from: start) == nil ? .error : .string,
                range: start..<(stringEnd(in: line, from: start) ?? start + 1))
        }
        if isLetter(line[start]) {
            let id = end(from: start, while: isLetterOrDigit)
            let dotted = at(id, { $0 == UInt8(ascii: ".") }) && at(id + 1, isLetter)
            let qualified = dotted ? end(from: id + 1, while: isLetterOrDigit) : id
            let unquoted = end(from: start) { isLetterOrDigit($0) || "-._:/".utf8.contains($0) }
            if unquoted > qualified { return Token(kind: .unquotedString, range: start..<unquoted) }
            return Token(kind: dotted ? .qualifiedID : .id, range: start..<qualified)
        }

        let unsigned = at(start, { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }) ? start + 1 : start
        let digits = end(from: unsigned, while: isDigit)
        var integer = digits > unsigned ? end(from: digits, while: isASCIILetter) : start
        if digits == unsigned + 1, line[unsigned] == UInt8(ascii: "0"), at(digits, { $0 == UInt8(ascii: "x") }), at(digits + 1, isHexDigit) {
            let hexadecimal = end(from: digits + 1, while: isHexDigit)
            integer = max(integer, end(from: hexadecimal, while: isASCIILetter))
        }
        var real = start
        if at(digits, { $0 == UInt8(ascii: ".") }) {
            real = end(from: digits + 1, while: isDigit)
            if at(real, { $0 | 0x20 == UInt8(ascii: "e") }) {
                let sign = at(real + 1, { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }) ? 1 : 0
                let exponent = end(from: min(real + 1 + sign, line.count), while: isDigit)
                if exponent > real + 1 + sign { real = exponent }
            }
        }
        if integer == start, real == start { return Token(kind: .error, range: start..<start + 1) }
        return integer >= real ? Token(kind: .integer, range: start..<integer) : Token(kind: .real, range: start..<real)
    }

    /// Behind the closing quote of the string that opens at `start`; `nil` where none closes it in this line.
    private static func stringEnd(in line: [UInt8], from start: Int) -> Int? {
        var position = start + 1
        while position < line.count, line[position] != 0x0A {
            switch line[position] {
            case UInt8(ascii: "\\"):
                guard position + 1 < line.count, line[position + 1] != 0x0A else { return nil }
                position += 2
            case UInt8(ascii: "'"):
                guard position + 1 < line.count, line[position + 1] == UInt8(ascii: "'") else { return position + 1 }
                position += 2
            default: position += 1
            }
        }
        return nil
    }

    /// What the server makes of a quoted value. To it the text is one of C: it ends at a zero byte, written as such or as `\0`.
    private static func unescaped(_ quoted: ArraySlice<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = [], rest = quoted.dropFirst().prefix { $0 != 0 }
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "'"), rest.first == UInt8(ascii: "'") {
                rest = rest.dropFirst()
                bytes.append(byte)
            } else if byte == UInt8(ascii: "\\") {
                bytes.append(escaped(&rest))
            } else {
                bytes.append(byte)
            }
        }
        // The closing quote, or with a zero byte in the text whatever stands before that.
        return Array(bytes.dropLast().prefix { $0 != 0 })
    }

    /// The byte that is written behind a backslash.
    private static func escaped(_ rest: inout ArraySlice<UInt8>) -> UInt8 {
        func octalDigit() -> Int? {
            guard let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte) else { return nil }
            rest = rest.dropFirst()
            return Int(byte - UInt8(ascii: "0"))
        }
        if let first = octalDigit() {
            var octal = first
            for _ in 0..<2 { octal = octalDigit().map { octal << 3 + $0 } ?? octal }
            return UInt8(truncatingIfNeeded: octal)
        }
        guard let byte = rest.popFirst() else { return 0 }
        return switch byte {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: byte
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    private static func isASCIILetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private static func isHexDigit(_ byte: UInt8) -> Bool { isDigit(byte) || (0x61...0x66).contains(byte | 0x20) }
    private static func isLetter(_ byte: UInt8) -> Bool { isASCIILetter(byte) || byte == UInt8(ascii: "_") || byte >= 0x80 }
    private static func isLetterOrDigit(_ byte: UInt8) -> Bool { isLetter(byte) || isDigit(byte) }
}
