/// A file of settings: `postgresql.conf`, `postgresql.auto.conf`, `recovery.conf`, or one of those they include.
///
/// The file is read by the server's own grammar and keeps every byte that is not changed: comments, order, quoting,
/// line ends. <https://www.postgresql.org/docs/current/config-setting.html>
///
/// ```swift
/// var file = SettingsFile("port = 5432   # (change requires restart)\n")
/// file.set("port", to: "5433")
/// file.text   // port = 5433   # (change requires restart)
/// ```
public struct SettingsFile: Sendable, Hashable {
    /// `name = value`, as one line says it.
    public struct Setting: Sendable, Hashable {
        public let name: String
        public let value: String
        /// Counted from 1, as the server counts.
        public let line: Int
    }

    /// `include`, `include_if_exists` or `include_dir`.
    public struct Include: Sendable, Hashable {
        public enum Kind: String, Sendable, Hashable {
            case file = "include"
            case fileIfExists = "include_if_exists"
            case directory = "include_dir"
        }

        public let kind: Kind
        /// As written: a relative path starts at the directory of the file it stands in.
        public let path: String
        /// Counted from 1, as the server counts.
        public let line: Int
    }

    /// A line that the server refuses, and with it the whole file.
    public struct SyntaxError: Error, Sendable, Hashable, CustomStringConvertible {
        /// Counted from 1.
        public let line: Int
        public let text: String
        public var description: String { "syntax error in line \(line): \(text)" }
    }

    struct Line: Sendable, Hashable {
        /// With the line end, where there is one.
        var bytes: [UInt8]
        var content: SettingsScanner.Content
    }

    private var lines: [Line]

    public init(_ bytes: some Sequence<UInt8>) {
        lines = splitLines(Array(bytes)).map { Line(bytes: $0, content: SettingsScanner.content(of: $0)) }
    }

    public init(_ text: String = "") { self.init(text.utf8) }

    /// The file's content; what was not changed is byte for byte what was read.
    public func render() -> [UInt8] { lines.flatMap(\.bytes) }

    public var text: String { String(decoding: render(), as: UTF8.self) }

    // MARK: Reading

    /// All settings in the order of the file, overridden ones too.
    public var settings: [Setting] {
        lines.enumerated().compactMap { index, line in
            guard case .setting(let name, let value, _) = line.content else { return nil }
            return Setting(name: name, value: value, line: index + 1)
        }
    }

    public var includes: [Include] {
        lines.enumerated().compactMap { index, line in
            guard case .include(let kind, let path) = line.content else { return nil }
            return Include(kind: kind, path: path, line: index + 1)
        }
    }

    public var syntaxErrors: [SyntaxError] {
        lines.enumerated().compactMap { index, line in
            guard case .invalid = line.content else { return nil }
            let text = String(decoding: line.bytes.filter { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
            return SyntaxError(line: index + 1, text: text)
        }
    }

    /// The value this file gives to `name`: the last one wins. Included files are not looked into.
    public func value(of name: String) -> String? {
        lastIndex(of: name).flatMap { lines[$0].content.value }
    }

    // MARK: Changing

    /// Gives `name` the value, in place of the line that decided so far, or at the end.
    ///
    /// The rest of the line stays as it is, its comment too. A file included further down can still override it.
    public mutating func set(_ name: String, to value: String) {
        guard let index = lastIndex(of: name), case .setting(_, _, let range) = lines[index].content else {
            return append(Array("\(name) = \(quoteSetting(value))\n".utf8))
        }
        var bytes = lines[index].bytes
        let wasPlain = bytes[range.lowerBound] != UInt8(ascii: "'")
        let written = wasPlain && SettingsScanner.isPlainValue(value) ? value : quoteSetting(value)
        bytes.replaceSubrange(range, with: Array(written.utf8))
        lines[index] = Line(bytes: bytes, content: SettingsScanner.content(of: bytes))
    }

    /// Takes out every line that sets `name`.
    public mutating func remove(_ name: String) {
        lines.removeAll { $0.content.isSetting(name) }
    }

    /// Makes a comment of a line, with the reason behind it, so that a reader finds it where it was.
    ///
    /// - Parameter number: counted from 1, as in ``Include/line``.
    public mutating func commentOut(line number: Int, because reason: String) {
        guard lines.indices.contains(number - 1) else { return }
        let old = lines[number - 1].bytes
        let end = old.last == 0x0A ? old.dropLast() : old[...]
        let bytes = Array("#".utf8) + end + Array("  # \(reason)\n".utf8)
        lines[number - 1] = Line(bytes: bytes, content: SettingsScanner.content(of: bytes))
    }

    private mutating func append(_ bytes: [UInt8]) {
        if let last = lines.indices.last, lines[last].bytes.last != 0x0A { lines[last].bytes.append(0x0A) }
        lines.append(Line(bytes: bytes, content: SettingsScanner.content(of: bytes)))
    }

    private func lastIndex(of name: String) -> Int? { lines.lastIndex { $0.content.isSetting(name) } }
}

/// `value` as a quoted value of a settings file, as `ALTER SYSTEM` writes it.
func quoteSetting(_ value: String) -> String {
    var quoted = "'"
    for scalar in value.unicodeScalars {
        switch scalar {
        case "'": quoted += "''"
        case "\\": quoted += "\\\\"
        // A value cannot span lines in the file, but the escape is read back as one.
        case "\n": quoted += "\\n"
        default: quoted.unicodeScalars.append(scalar)
        }
    }
    return quoted + "'"
}

/// The lines of `bytes`, each with its line feed; the last one may lack it.
func splitLines(_ bytes: [UInt8]) -> [[UInt8]] {
    var lines: [[UInt8]] = [], start = bytes.startIndex
    while start < bytes.endIndex {
        let end = bytes[start...].firstIndex(of: 0x0A).map { $0 + 1 } ?? bytes.endIndex
        lines.append(Array(bytes[start..<end]))
        start = end
    }
    return lines
}

/// Whether two setting names are the same to the server, which folds ASCII letters only.
public func isSameSetting(_ left: String, _ right: String) -> Bool {
    func fold(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
    return left.utf8.lazy.map(fold).elementsEqual(right.utf8.lazy.map(fold))
}
