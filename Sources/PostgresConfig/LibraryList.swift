/// The value of `shared_preload_libraries`: read as the server reads it, written so that the server reads it back.
///
/// ```swift
/// let before = LibraryList("pg_stat_statements, spock, auto_explain")
/// let during = before?.removing("spock")          // pg_stat_statements, auto_explain
/// let after = during?.restoring("spock", from: before)
/// ```
public struct LibraryList: Sendable, Hashable, CustomStringConvertible {
    private struct Element: Sendable, Hashable {
        var name: String
        /// As it stood in the list, quotes included.
        var written: String
    }

    private var elements: [Element] = []

    public static let empty = LibraryList(elements: [])

    private init(elements: [Element]) { self.elements = elements }

    /// `nil` for a list the server calls invalid and loads nothing of.
    public init?(_ value: String) {
        var rest = Array(value.utf8)[...]
        func skipSpace() { rest = rest.drop(while: isSpace) }
        skipSpace()
        guard !rest.isEmpty else { return }
        while true {
            let start = rest
            var name: [UInt8] = []
            if rest.first == UInt8(ascii: "\"") {
                rest = rest.dropFirst()
                while true {
                    guard let byte = rest.popFirst() else { return nil }
                    if byte == UInt8(ascii: "\"") {
                        guard rest.first == UInt8(ascii: "\"") else { break }
                        rest = rest.dropFirst()
                    }
                    name.append(byte)
                }
            } else {
                name = Array(rest.prefix { $0 != UInt8(ascii: ",") })
                while let last = name.last, isSpace(last) { name.removeLast() }
                guard !name.isEmpty else { return nil }
                rest = rest.dropFirst(name.count)
            }
            let written = start.prefix(start.count - rest.count)
            elements.append(Element(name: String(decoding: name, as: UTF8.self), written: String(decoding: written, as: UTF8.self)))
            skipSpace()
            guard let separator = rest.popFirst() else { return }
            guard separator == UInt8(ascii: ",") else { return nil }
            skipSpace()
        }
    }

    /// What the server loads, in order: `spock`, `$libdir/spock`, `/opt/lib/spock.so`.
    public var names: [String] { elements.map(\.name) }
    public var isEmpty: Bool { elements.isEmpty }

    /// The value for ``SettingsFile/set(_:to:)``; empty for an empty list.
    ///
    /// Write it to a file. `ALTER SYSTEM SET shared_preload_libraries = ''` stores `""`, with which no server starts.
    public var description: String { elements.map(\.written).joined(separator: ", ") }

    /// Whether `library` is loaded, however its path and suffix are written.
    public func contains(_ library: String) -> Bool { elements.contains { Self.isFile($0.name, of: library) } }

    public func removing(_ library: String) -> LibraryList {
        LibraryList(elements: elements.filter { !Self.isFile($0.name, of: library) })
    }

    /// This list with `library` back where `original` has it: behind the same neighbour, written the same way.
    public func restoring(_ library: String, from original: LibraryList) -> LibraryList {
        guard !contains(library), let place = original.elements.firstIndex(where: { Self.isFile($0.name, of: library) }) else { return self }
        var list = elements
        let before = original.elements[..<place].reversed().lazy.compactMap { list.firstIndex(of: $0) }.first
        let after = original.elements[(place + 1)...].lazy.compactMap { list.firstIndex(of: $0) }.first
        list.insert(original.elements[place], at: before.map { $0 + 1 } ?? after ?? list.endIndex)
        return LibraryList(elements: list)
    }

    /// Whether `name`, an element of a list, means `library`: with any path, with or without `.so`.
    public static func isFile(_ name: String, of library: String) -> Bool {
        let file = name.split(separator: "/").last.map(String.init) ?? name
        return file == library || file == library + ".so"
    }
}

/// `scanner_isspace` of the server.
private func isSpace(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x20, 0x09, 0x0A, 0x0D, 0x0C: true
    default: false
    }
}
