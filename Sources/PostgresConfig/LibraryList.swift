/// The value of `shared_preload_libraries`: read as the server reads it, written so that the server reads it back.
///
/// ```swift
/// let before = LibraryList("pg_stat_statements, spock, auto_explain")
/// let during = before?.removing("spock")          // pg_stat_statements, auto_explain
/// let after = during?.restoring("spock", from: before)
/// ```
public struct LibraryList: Sendable, Hashable, CustomStringConvertible {
    private typealias Element = SettingList.Element

    private let list: SettingList
    private var elements: [Element] { list.elements }

    public static let empty = LibraryList(elements: [])

    private init(elements: [Element]) { list = SettingList(elements, syntax: .paths) }

    /// `nil` for a list the server calls invalid and loads nothing of.
    public init?(_ value: String) {
        guard let list = SettingList(value, syntax: .paths) else { return nil }
        self.list = list
    }

    /// What the server loads, in order: `spock`, `$libdir/spock`, `/opt/lib/spock.so`.
    public var names: [String] { list.names }
    public var isEmpty: Bool { list.isEmpty }

    /// The value for ``SettingsFile/set(_:to:)``; empty for an empty list.
    ///
    /// Write it to a file. `ALTER SYSTEM SET shared_preload_libraries = ''` stores `""`, with which no server starts.
    public var description: String { list.description }

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
