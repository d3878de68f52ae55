public import Report

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
        /// As written; the server folds ASCII letters.
        public let name: String
        public let value: String
        /// Counted from 1, as the server counts.
        public let line: Int
        /// What ``name`` and ``value`` are the text of: the server does not ask for UTF-8.
        public let nameBytes, valueBytes: [UInt8]

        init(name: [UInt8], value: [UInt8], line: Int) {
            (self.name, self.value) = (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
            (nameBytes, valueBytes, self.line) = (name, value, line)
        }
    }

    /// `include`, `include_if_exists` or `include_dir`.
    public struct Include: Sendable, Hashable {
        public enum Kind: String, Sendable, Hashable, CaseIterable {
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
    public struct SyntaxError: Explained, Hashable {
        /// Counted from 1.
        public let line: Int
        /// The line the server names: the one before, where the file ends within this one and something is missing in it.
        public let reportedLine: Int
        public let text: String
        public var fact: String { "syntax error in line \(line): \(text)" }
        public var hint: String? { nil }
    }

    struct Line: Sendable, Hashable {
        /// With the line end, where there is one.
        var bytes: [UInt8]
        let content: SettingsScanner.Content

        init(bytes: [UInt8]) {
            self.bytes = bytes
            content = SettingsScanner.content(of: bytes)
        }
    }

    private var lines: [Line]

    public init(_ bytes: some Sequence<UInt8>) {
        lines = splitLines(Array(bytes)).map(Line.init)
    }

    public init(_ text: String = "") { self.init(text.utf8) }

    /// The file's content; what was not changed is byte for byte what was read.
    public func render() -> [UInt8] { lines.flatMap(\.bytes) }

    public var text: String { String(decoding: render(), as: UTF8.self) }

    // MARK: Reading

    /// All settings in the order of the file, overridden ones too.
    public var settings: [Setting] {
        statements.compactMap { if case .setting(let setting) = $0 { setting } else { nil } }
    }

    public var includes: [Include] {
        statements.compactMap { if case .include(let include) = $0 { include } else { nil } }
    }

    public var syntaxErrors: [SyntaxError] {
        statements.compactMap { if case .syntaxError(let error) = $0 { error } else { nil } }
    }

    /// Whether it begins with a byte-order mark of UTF-8, which the server takes for a part of its first word.
    public var beginsWithByteOrderMark: Bool { lines.first?.bytes.starts(with: Self.byteOrderMark) ?? false }
    public static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// What stands in a line that has a meaning.
    enum Statement: Sendable, Hashable {
        case setting(Setting), include(Include), syntaxError(SyntaxError)
    }

    /// All that has a meaning or should have one, in the order of the file.
    var statements: [Statement] {
        lines.indices.compactMap { index in
            switch lines[index].content {
            case .nothing: nil
            case .setting(let name, let value, _): .setting(Setting(name: name, value: value, line: index + 1))
            case .include(let kind, let path): .include(Include(kind: kind, path: String(decoding: path, as: UTF8.self), line: index + 1))
            case .invalid: syntaxError(index).map(Statement.syntaxError)
            }
        }
    }

    private func syntaxError(_ index: Int) -> SyntaxError? {
        guard case .invalid(let isCutOff) = lines[index].content else { return nil }
        let text = String(decoding: lines[index].bytes.filter { $0 != 0x0A && $0 != 0x0D }, as: UTF8.self)
        let isAtEnd = isCutOff && lines[index].bytes.last != 0x0A
        return SyntaxError(line: index + 1, reportedLine: isAtEnd ? index : index + 1, text: text)
    }

    /// The value this file gives to `name`: the last one wins. Included files are not looked into.
    public func value(of name: String) -> String? {
        lastIndex(of: name).flatMap { lines[$0].content.value }.map { String(decoding: $0, as: UTF8.self) }
    }

    // MARK: Changing

    /// Gives `name` the value, in place of the line that decided so far, or before its commented-out default, or at the end.
    ///
    /// The rest of the line stays as it is, its comment too, and all of it where it says so already. A file included
    /// further down can still override it: ``SettingsTree/setting(_:to:)`` sees to that.
    ///
    /// - Parameter value: one without a zero byte, which no file can say.
    public mutating func set(_ name: String, to value: String) {
        guard let index = lastIndex(of: name) else { return add(name, Array(value.utf8)) }
        set(line: index + 1, to: Array(value.utf8))
    }

    /// Gives the setting in a line another value. Lines without one stay.
    mutating func set(line number: Int, to value: [UInt8]) {
        guard case .setting(_, let old, let range) = lines[number - 1].content, old != value else { return }
        var bytes = lines[number - 1].bytes
        // `x.a+5` is a name and a value, `x.ab` is one name.
        let isApart = [0x20, 0x09, 0x0D, UInt8(ascii: "=")].contains(bytes[range.lowerBound - 1])
        let isPlain = bytes[range.lowerBound] != UInt8(ascii: "'") && isApart && SettingsScanner.isPlainValue(value)
        bytes.replaceSubrange(range, with: isPlain ? value : quoteSetting(value))
        lines[number - 1] = Line(bytes: bytes)
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
        let old = lines[number - 1].bytes, end = lineEnd(of: number - 1)
        let text = old.last == 0x0A ? old.dropLast(old.dropLast().last == 0x0D ? 2 : 1) : old[...]
        lines[number - 1] = Line(bytes: Array("#".utf8) + text + Array("  # \(reason)".utf8) + end)
    }

    private mutating func add(_ name: String, _ value: [UInt8]) {
        let place = commentedDefault(of: name) ?? lines.endIndex, end = lineEnd(of: place)
        if place == lines.endIndex, let last = lines.indices.last, lines[last].bytes.last != 0x0A { lines[last].bytes += end }
        lines.insert(Line(bytes: Array("\(name) = ".utf8) + quoteSetting(value) + end), at: place)
    }

    /// The line that would set `name` if it were not a comment: rather `#name = 1` than `# name = 1`, which may be prose.
    private func commentedDefault(of name: String) -> Int? {
        func index(where belongs: (UInt8) -> Bool) -> Int? {
            lines.firstIndex { line in
                guard line.bytes.first == UInt8(ascii: "#"), line.bytes.count > 1, belongs(line.bytes[1]) else { return false }
                return SettingsScanner.commentedSetting(in: line.bytes)?.isSetting(name) ?? false
            }
        }
        func isBlank(_ byte: UInt8) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        return index { !isBlank($0) } ?? index(where: isBlank)
    }

    /// How a line there is to end: as the line itself does, or the nearest one before it that ends, or the first.
    private func lineEnd(of index: Int) -> [UInt8] {
        let ended = lines[...min(index, lines.count - 1)].last { $0.bytes.last == 0x0A } ?? lines.first
        return ended?.bytes.suffix(2) == [0x0D, 0x0A] ? [0x0D, 0x0A] : [0x0A]
    }

    private func lastIndex(of name: String) -> Int? { lines.lastIndex { $0.content.isSetting(name) } }
}

/// `value` as a quoted value of a settings file, as `ALTER SYSTEM` writes it, with escapes for what would break the line.
func quoteSetting(_ value: [UInt8]) -> [UInt8] {
    var quoted = Array("'".utf8)
    for byte in value {
        switch byte {
        case UInt8(ascii: "'"): quoted += "''".utf8
        case UInt8(ascii: "\\"): quoted += "\\\\".utf8
        case 0x0A: quoted += "\\n".utf8
        case 0x0D: quoted += "\\r".utf8
        case 0x09: quoted += "\\t".utf8
        case ..<0x20, 0x7F: quoted += [UInt8(ascii: "\\")] + [byte >> 6, byte >> 3 & 7, byte & 7].map { UInt8(ascii: "0") + $0 }
        default: quoted.append(byte)
        }
    }
    return quoted + "'".utf8
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
public func isSameSetting(_ left: String, _ right: String) -> Bool { isSameName(left.utf8, right.utf8) }

func isSameName(_ left: some Sequence<UInt8>, _ right: some Sequence<UInt8>) -> Bool {
    left.lazy.map(foldedByte).elementsEqual(right.lazy.map(foldedByte))
}

/// An ASCII letter as a small one, any other byte as it is.
func foldedByte(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
