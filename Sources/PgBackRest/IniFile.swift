public import RemoteHost
public import Report

/// A pgBackRest configuration file, byte for byte; an edit changes only its own lines.
///
/// Sections, `key=value`, and lines that begin with `#`: <https://pgbackrest.org/configuration.html>.
public struct IniFile: Sendable, Hashable {
    /// One `key=value` line.
    public struct Setting: Sendable, Hashable {
        public let section: String
        public let key: String
        public let value: String
        /// Counted from 1.
        public let line: Int
    }

    /// The file does not follow the form that pgBackRest reads.
    public struct Malformed: Explained, Hashable {
        public let file: HostPath
        public let line: Int
        public let why: String

        public var fact: String { "\(file) line \(line): \(why)" }
        public var hint: String? { "pgBackRest refuses the whole file; correct the line first." }
    }

    private enum Content: Hashable {
        case empty
        case comment
        case section(String)
        case setting(key: String, value: String)
    }

    private struct Line: Hashable {
        var bytes: [UInt8]
        var content: Content

        static let empty = Line(bytes: [], content: .empty)
        static func section(_ name: String) -> Line { Line(bytes: Array("[\(name)]".utf8), content: .section(name)) }
        static func setting(_ key: String, _ value: String) -> Line {
            Line(bytes: Array("\(key)=\(value)".utf8), content: .setting(key: key, value: value))
        }
    }

    public let path: HostPath
    private var lines: [Line] = []

    /// Reads the bytes of `path`; a file that does not exist yet has none.
    /// - Throws: ``Malformed`` for what pgBackRest would refuse too.
    public init(_ bytes: [UInt8], path: HostPath) throws(Malformed) {
        self.path = path
        var inSection = false
        for bytes in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            do throws(Problem) {
                let content = try IniFile.read(bytes)
                switch content {
                case .section: inSection = true
                case .setting: if !inSection { throw Problem(why: "an option stands before the first section") }
                case .comment, .empty: break
                }
                lines.append(Line(bytes: Array(bytes), content: content))
            } catch {
                throw Malformed(file: path, line: lines.count + 1, why: error.why)
            }
        }
    }

    public var bytes: [UInt8] { Array(lines.map(\.bytes).joined(separator: [UInt8(ascii: "\n")])) }

    /// The bytes as people may see them: without passphrases and keys, however they are written.
    public var withoutSecrets: [UInt8] {
        var shown = self
        for (index, line) in lines.enumerated() {
            if case .setting(let key, _) = line.content, BackRestOption.isSecret(key) { shown.lines[index] = .setting(key, Redaction.mark) }
        }
        return shown.bytes
    }

    /// All settings in the order they stand in the file.
    public var settings: [Setting] {
        var section = "", found: [Setting] = []
        for (index, line) in lines.enumerated() {
            switch line.content {
            case .section(let name): section = name
            case .setting(let key, let value): found.append(Setting(section: section, key: key, value: value, line: index + 1))
            case .comment, .empty: break
            }
        }
        return found
    }

    /// The names of all sections, each once, in order.
    public var sections: [String] {
        lines.reduce(into: []) { names, line in
            if case .section(let name) = line.content, !names.contains(name) { names.append(name) }
        }
    }

    /// Adds `key=value` as the last option of `section`, which is made at the end of the file if there is none.
    mutating func add(_ key: String, _ value: String, to section: String) {
        if let place = endOfOptions(of: section) {
            lines.insert(.setting(key, value), at: place)
            return
        }
        if lines.last?.bytes == [] { lines.removeLast() }
        if let last = lines.last, last.content != .empty { lines.append(.empty) }
        lines += [.section(section), .setting(key, value), .empty]
    }

    /// Takes every line that says exactly `key=value` out of `section`, and the section when nothing is left in it. Without a value every
    /// line of `key` goes.
    mutating func remove(_ key: String, _ value: String?, from section: String) {
        for setting in settings.reversed() where setting.section == section && setting.key == key && (value == nil || setting.value == value) {
            lines.remove(at: setting.line - 1)
        }
        guard !settings.contains(where: { $0.section == section }) else { return }
        for index in lines.indices.reversed() where lines[index].content == .section(section) {
            let rest = lines[(index + 1)...]
            let end = rest.firstIndex { if case .section = $0.content { true } else { false } } ?? rest.endIndex
            guard rest[..<end].allSatisfy({ $0.content == .empty }) else { continue }
            lines.remove(at: index)
            if index > 0, lines[index - 1].content == .empty { lines.remove(at: index - 1) }
        }
    }

    /// Where the next option of `section` goes: behind its last one.
    private func endOfOptions(of section: String) -> Int? {
        var current: String?, place: Int?
        for (index, line) in lines.enumerated() {
            switch line.content {
            case .section(let name):
                current = name
                if name == section { place = index + 1 }
            case .setting: if current == section { place = index + 1 }
            case .comment, .empty: break
            }
        }
        return place
    }

    private struct Problem: Error { let why: String }

    private static func read(_ bytes: ArraySlice<UInt8>) throws(Problem) -> Content {
        let text = bytes.trimmed
        guard let first = text.first else { return .empty }
        if first == UInt8(ascii: "#") { return .comment }
        if first == UInt8(ascii: "[") {
            guard text.last == UInt8(ascii: "]") else { throw Problem(why: "the section does not end with ]") }
            guard text.count > 2 else { throw Problem(why: "the section has no name") }
            return .section(String(decoding: text.dropFirst().dropLast(), as: UTF8.self))
        }
        // The line itself is not shown: it may be a passphrase.
        guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { throw Problem(why: "there is no '='") }
        let key = text[..<equals].trimmed, value = text[(equals + 1)...].trimmed
        guard !key.isEmpty else { throw Problem(why: "there is no option before '='") }
        return .setting(key: String(decoding: key, as: UTF8.self), value: String(decoding: value, as: UTF8.self))
    }
}
